//! The control plane dies in the middle of pushes, again and again.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_tests::backend::Mode;
use evenkeel_tests::client::{Client, Load};
use evenkeel_tests::config;
use evenkeel_tests::process::{eventually, text_of};
use tokio::task::JoinHandle;

use crate::{SOON, Small};

/// How many kills; the long run is asked for with `EVENKEEL_KILLS`.
fn kills() -> u32 {
    std::env::var("EVENKEEL_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2)
}

/// The revision in the text that `apply` prints.
fn revision(text: &str) -> Option<u64> {
    let (_, tail) = text.split_once("revision ")?;
    tail.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The revision a proxy reports at its admin port.
async fn reported(admin: SocketAddr) -> anyhow::Result<u64> {
    let answer = Client::new(admin, "admin").get("/config_dump").await?;
    let dump: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let version = dump["version"].as_str().unwrap_or("0");
    Ok(version.parse().unwrap_or(0))
}

/// Asks a proxy for its revision again and again; how often it was asked, and
/// the steps back that were seen.
fn watch_for_steps_back(admin: SocketAddr) -> JoinHandle<(u64, Vec<(u64, u64)>)> {
    tokio::spawn(async move {
        let (mut asked, mut last, mut back) = (0, 0, Vec::new());
        while let Ok(now) = reported(admin).await {
            asked += 1;
            if now < last {
                back.push((last, now));
            }
            last = now;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (asked, back)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_revision_survives_kill_9_and_proxies_go_on() {
    let mut small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    let running = Load {
        targets: vec![small.proxy.listener],
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        clients: 4,
        post_every: 0,
        pause: Duration::from_millis(2),
    }
    .start(None);

    let watch = watch_for_steps_back(small.proxy.admin);
    for kill in 0..kills() {
        let acknowledged = push_until_killed(&mut small, kill).await;
        small.control_plane.restart().await.unwrap();
        let history = small
            .control_plane
            .cli(&["history", "--limit", "1000", "-o", "json"])
            .await
            .unwrap();
        let history: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap();
        let stored: Vec<u64> = revisions(&history);
        for revision in &acknowledged {
            assert!(stored.contains(revision), "revision {revision} is lost");
        }
        let newest = stored.iter().copied().max().unwrap();
        eventually(SOON, || async {
            let reported = reported(small.proxy.admin).await?;
            anyhow::ensure!(reported >= newest, "{reported} of {newest}");
            Ok(())
        })
        .await
        .unwrap();
    }

    let tally = running.stop().await.unwrap();
    small.proxy.kill();
    let (asked, back) = watch.await.unwrap();
    println!(
        "{} kills, {} requests, revision looked at {asked} times",
        kills(),
        tally.gets
    );
    assert!(asked > 10, "looked only {asked} times");
    assert_eq!(back, [], "revisions went back");
    assert_eq!(tally.failed(), 0, "{:?}", tally.failures);
}

/// Revision numbers in the output of `history -o json`.
fn revisions(history: &serde_json::Value) -> Vec<u64> {
    let number = |revision: &serde_json::Value| {
        let value = &revision["revision"];
        value
            .as_u64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    history["revisions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(number)
        .collect()
}

/// Pushes 200 revisions and kills the control plane at a different place each
/// time; the revisions that were acknowledged before.
async fn push_until_killed(small: &mut Small, kill: u32) -> Vec<u64> {
    let api = small.control_plane.api;
    let backend = small.backends[0].address;
    let stop_after = 20 + u64::from(kill) * 17;
    let pusher = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for round in 0..200 {
            let name = format!("k{kill}-{}", round % 10);
            let weight = 1 + round % 900;
            let yaml = config::cluster(&name, &[(backend, weight)]);
            let output = evenkeel_tests::process::run_cli(api, &["apply", "-f", "-"], &yaml)
                .await
                .unwrap();
            if !output.status.success() {
                break;
            }
            acknowledged.extend(revision(&text_of(&output)));
        }
        acknowledged
    });
    tokio::time::sleep(Duration::from_millis(stop_after * 10)).await;
    small.control_plane.kill();
    pusher.await.unwrap()
}
