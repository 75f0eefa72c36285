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
        ..Load::default()
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
    judge_posts(fault, small, tally);
}

/// Every POST was executed once if it was answered with 200, and at most once
/// if it was not.
fn judge_posts(fault: &str, small: &Small, tally: &Tally) {
    let mut executions = small.backends[0].books.executions();
    for (id, count) in small.backends[1].books.executions() {
        *executions.entry(id).or_default() += count;
    }
    let count = |id: &String| executions.get(id).copied().unwrap_or(0);
    let twice = tally.posted.iter().filter(|(id, _)| count(id) > 1).count();
    let lost = tally
        .posted
        .iter()
        .filter(|(id, ok)| *ok && count(id) == 0)
        .count();
    println!(
        "{fault}: of {} POSTs {twice} were executed twice",
        tally.posted.len()
    );
    assert_eq!(tally.posted.len(), 1000);
    assert_eq!(twice, 0, "{fault}: POSTs were executed more than once");
    assert_eq!(
        lost, 0,
        "{fault}: POSTs were answered without being executed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_backend_is_not_noticed() {
    let mut small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    small.backends[0].crash();
    let tally = load(&small).await;
    judge("refuse", &small, &tally);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_503_is_hardly_noticed() {
    let small = Small::start([Mode::Status(503), Mode::Serve])
        .await
        .unwrap();
    let tally = load(&small).await;
    judge("503", &small, &tally);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_resets_at_once_is_hardly_noticed() {
    let small = Small::start([Mode::ResetOnAccept, Mode::Serve])
        .await
        .unwrap();
    let tally = load(&small).await;
    judge("reset on accept", &small, &tally);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_resets_after_the_request_is_hardly_noticed() {
    let small = Small::start([Mode::ResetAfterRequest, Mode::Serve])
        .await
        .unwrap();
    let tally = load(&small).await;
    judge("reset after request", &small, &tally);
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
        ..Load::default()
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
