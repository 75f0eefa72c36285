//! The control plane dies in the middle of pushes, again and again.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_tests::backend::Mode;
use evenkeel_tests::client::{Client, Load};
use evenkeel_tests::config;
use evenkeel_tests::process::{Proxy, eventually, text_of};
use tokio::sync::watch;
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
    let mut others = more_proxies(&small).await.unwrap();
    let proxies = || std::iter::once(&small.proxy).chain(&others);
    let admins: Vec<SocketAddr> = proxies().map(|proxy| proxy.admin).collect();
    let running = Load {
        targets: proxies().map(|proxy| proxy.listener).collect(),
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        clients: 6,
        post_every: 0,
        pause: Duration::from_millis(2),
        ..Load::default()
    }
    .start(None);
    let watches: Vec<_> = admins
        .iter()
        .map(|admin| watch_for_steps_back(*admin))
        .collect();

    let mut acknowledged = 0;
    for kill in 0..kills() {
        acknowledged += one_kill(&mut small, &admins, kill).await;
    }

    let tally = running.stop().await.unwrap();
    assert!(
        watches.iter().all(|watch| !watch.is_finished()),
        "a proxy stopped answering"
    );
    small.proxy.kill();
    others.clear();
    let mut looks = 0;
    for watch in watches {
        let (asked, back) = watch.await.unwrap();
        looks += asked;
        assert_eq!(back, [], "revisions went back");
    }
    println!(
        "{} kills, {acknowledged} revisions acknowledged, {} requests, revisions looked at {looks} times",
        kills(),
        tally.gets
    );
    assert!(tally.gets > 0);
    assert_eq!(tally.failed(), 0, "{:?}", tally.failures);
}

/// Two more proxies with listeners of their own for the same route.
async fn more_proxies(small: &Small) -> anyhow::Result<Vec<Proxy>> {
    let mut proxies = Vec::new();
    let mut documents = config::route("shop", &["p1", "p2", "p3"], "shop.test", "shop");
    for id in ["p2", "p3"] {
        let directory = small.directory.path();
        let proxy = Proxy::start(id, small.control_plane.xds, directory).await?;
        documents.push_str(&config::proxy_listener(id, proxy.listener));
        proxies.push(proxy);
    }
    small.control_plane.apply(&documents, &["--wait"]).await?;
    Ok(proxies)
}

/// Kills the control plane in the middle of its pushes, starts it again, and
/// looks whether it has all that it acknowledged and the proxies follow; how
/// much it had acknowledged.
async fn one_kill(small: &mut Small, admins: &[SocketAddr], kill: u32) -> usize {
    let acknowledged = push_until_killed(small, kill).await;
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
    for admin in admins {
        eventually(SOON, || async {
            let reported = reported(*admin).await?;
            anyhow::ensure!(reported >= newest, "{reported} of {newest}");
            Ok(())
        })
        .await
        .unwrap();
    }
    acknowledged.len()
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

/// Pushes 200 revisions and kills the control plane after so many of them were
/// acknowledged, another number and another moment of a push each time; the
/// revisions that were.
async fn push_until_killed(small: &mut Small, kill: u32) -> Vec<u64> {
    let api = small.control_plane.api;
    let backend = small.backends[0].address;
    let (progress, mut seen) = watch::channel(0_usize);
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
            acknowledged.push(revision(&text_of(&output)).unwrap());
            progress.send_replace(acknowledged.len());
        }
        acknowledged
    });
    let enough = 5 + 15 * usize::try_from(kill % 10).unwrap();
    seen.wait_for(|count| *count >= enough).await.unwrap();
    // A pause, and no condition: each kill is to strike at another moment of a push.
    tokio::time::sleep(Duration::from_millis(u64::from(kill % 10))).await;
    small.control_plane.kill();
    let acknowledged = pusher.await.unwrap();
    assert!(
        (enough..200).contains(&acknowledged.len()),
        "{} of 200 pushes were acknowledged, so this was not the middle",
        acknowledged.len()
    );
    acknowledged
}
