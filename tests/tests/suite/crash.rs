//! The control plane dies in the middle of pushes, again and again.

use std::time::Duration;

use evenkeel_tests::backend::Mode;
use evenkeel_tests::client::Load;
use evenkeel_tests::config;
use evenkeel_tests::process::{eventually, text_of};

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

/// The revision a proxy reports.
async fn reported(small: &Small) -> anyhow::Result<u64> {
    let answer = small.proxy.admin("/config_dump").await?;
    let dump: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let version = dump["version"].as_str().unwrap_or("0");
    Ok(version.parse().unwrap_or(0))
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

    let mut last_reported = 0;
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
        let caught_up = eventually(SOON, || async {
            let reported = reported(&small).await?;
            anyhow::ensure!(reported >= newest, "{reported} of {newest}");
            Ok(reported)
        })
        .await
        .unwrap();
        assert!(caught_up >= last_reported, "{caught_up} < {last_reported}");
        last_reported = caught_up;
    }

    let tally = running.stop().await.unwrap();
    println!("{} kills, {} requests", kills(), tally.gets);
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
