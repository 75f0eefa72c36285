//! One of two backends is bad, with defaults only.

use std::time::Duration;

use evenkeel_tests::backend::Mode;
use evenkeel_tests::client::{Load, Tally};
use evenkeel_tests::process::{eventually, text_of};

use crate::{SOON, Small};

/// 8 closed-loop clients, half GET half POST, 2,000 requests.
async fn load(small: &Small) -> Tally {
    Load {
        targets: vec![small.proxy.listener],
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        clients: 8,
        post_every: 2,
        pause: Duration::ZERO,
    }
    .start(Some(250))
    .join()
    .await
    .unwrap()
}

fn judge(fault: &str, small: &Small, tally: &Tally) {
    println!(
        "{fault}: GET {}/{}, POST {}/{}, {:?}",
        tally.gets_ok, tally.gets, tally.posts_ok, tally.posts, tally.failures
    );
    assert_eq!(tally.gets + tally.posts, 2000);
    let least = tally.gets * 995 / 1000;
    assert!(
        tally.gets_ok >= least,
        "{fault}: {} of {} GETs succeeded: {:?}",
        tally.gets_ok,
        tally.gets,
        tally.failures
    );
    let mut executions = small.backends[0].books.executions();
    for (id, count) in small.backends[1].books.executions() {
        *executions.entry(id).or_default() += count;
    }
    for id in &tally.posted {
        assert_eq!(executions.get(id), Some(&1), "POST {id}");
    }
}

/// No POST at all is executed twice; GETs may be.
async fn posts_once(small: &Small) {
    small.backends[0].books.clear();
    small.backends[1].books.clear();
    let posts = Load {
        targets: vec![small.proxy.listener],
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        clients: 8,
        post_every: 1,
        pause: Duration::ZERO,
    }
    .start(Some(50))
    .join()
    .await
    .unwrap();
    assert_eq!(posts.posts, 400);
    let mut executions = small.backends[0].books.executions();
    for (id, count) in small.backends[1].books.executions() {
        *executions.entry(id).or_default() += count;
    }
    let twice: Vec<_> = executions.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "executed more than once: {twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_backend_is_not_noticed() {
    let mut small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    small.backends[0].crash();
    let tally = load(&small).await;
    judge("refuse", &small, &tally);
    posts_once(&small).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_503_is_hardly_noticed() {
    let small = Small::start([Mode::Status(503), Mode::Serve])
        .await
        .unwrap();
    let tally = load(&small).await;
    judge("503", &small, &tally);
    posts_once(&small).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_resets_at_once_is_hardly_noticed() {
    let small = Small::start([Mode::ResetOnAccept, Mode::Serve])
        .await
        .unwrap();
    let tally = load(&small).await;
    judge("reset on accept", &small, &tally);
    posts_once(&small).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_resets_after_the_request_is_hardly_noticed() {
    let small = Small::start([Mode::ResetAfterRequest, Mode::Serve])
        .await
        .unwrap();
    let tally = load(&small).await;
    judge("reset after request", &small, &tally);
    posts_once(&small).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revived_backend_gets_traffic_again() {
    let mut small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    let short = small.shop([1, 1]).replace(
        "kind: Cluster\nname: shop\nspec:\n",
        "kind: Cluster\nname: shop\nspec:\n  outlierDetection: {baseEjectionTime: 1s}\n",
    );
    small
        .control_plane
        .apply(&short, &["--wait"])
        .await
        .unwrap();
    let running = Load {
        targets: vec![small.proxy.listener],
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        clients: 8,
        post_every: 0,
        pause: Duration::from_millis(2),
    }
    .start(None);

    small.backends[0].crash();
    eventually(SOON, || async {
        let seen = small.control_plane.cli(&["endpoints", "shop"]).await?;
        let seen = text_of(&seen);
        anyhow::ensure!(seen.contains("ejected"), "{seen}");
        Ok(())
    })
    .await
    .unwrap();

    small.backends[0].revive("a").unwrap();
    small.backends[0].books.clear();
    eventually(SOON, || async {
        let executed = small.backends[0].books.executions().len();
        anyhow::ensure!(executed > 500, "only {executed} requests");
        Ok(())
    })
    .await
    .unwrap();
    let tally = running.stop().await.unwrap();
    assert!(
        tally.gets_ok * 1000 >= tally.gets * 995,
        "{} of {} GETs succeeded: {:?}",
        tally.gets_ok,
        tally.gets,
        tally.failures
    );
}
