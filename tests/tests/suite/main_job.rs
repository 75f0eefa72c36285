//! Three proxies, one control plane: a change reaches all of them, and the time
//! that takes with a thousand clusters loaded.

use std::time::Duration;

use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::client::Client;
use evenkeel_tests::config;
use evenkeel_tests::process::{ControlPlane, Proxy, eventually};
use tokio::time::Instant;

use crate::SOON;

const PROXIES: [&str; 3] = ["p1", "p2", "p3"];

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_weight_is_live_on_three_proxies_when_apply_returns() {
    let directory = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(directory.path()).await.unwrap();
    let mut proxies = Vec::new();
    for id in PROXIES {
        proxies.push(
            Proxy::start(id, control_plane.xds, directory.path())
                .await
                .unwrap(),
        );
    }
    let a = Backend::start("a", Mode::Serve).await.unwrap();
    let b = Backend::start("b", Mode::Serve).await.unwrap();

    let mut base: String = proxies
        .iter()
        .map(|proxy| config::proxy_listener(&proxy.id, proxy.listener))
        .collect();
    base.push_str(&config::route("shop", &PROXIES, "shop.test", "shop"));
    for index in 0..1000 {
        let name = format!("filler-{index}");
        base.push_str(&config::cluster(&name, &[(a.address, 1)]));
        base.push_str(&config::route(
            &name,
            &PROXIES,
            &format!("{name}.test"),
            &name,
        ));
    }
    let shop = |weight| config::cluster("shop", &[(a.address, weight), (b.address, 1)]);
    control_plane
        .apply(&(base + &shop(1)), &["--wait"])
        .await
        .unwrap();

    let mut times = Vec::new();
    for round in 0..20 {
        let began = Instant::now();
        let text = control_plane
            .apply(&shop(2 + round), &["--wait"])
            .await
            .unwrap();
        times.push(began.elapsed());
        assert!(text.contains("cluster/shop configured"), "{text}");
    }
    times.sort();
    println!(
        "apply --wait over 3 proxies with 1,000 clusters: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );

    for proxy in &proxies {
        let mut client = Client::new(proxy.listener, "shop.test");
        let mut from_a = 0;
        for _ in 0..100 {
            let answer = client.get("/").await.unwrap();
            assert_eq!(answer.status, 200);
            from_a += i32::from(answer.headers["x-backend"] == "a");
        }
        assert!(from_a > 80, "with 21 of 22 parts, a got {from_a} of 100");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_without_control_plane_serves_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let mut control_plane = ControlPlane::start(directory.path()).await.unwrap();
    let mut proxy = Proxy::start("p1", control_plane.xds, directory.path())
        .await
        .unwrap();
    let backend = Backend::start("a", Mode::Serve).await.unwrap();
    let shop = [
        config::proxy_listener("p1", proxy.listener),
        config::route("shop", &["p1"], "shop.test", "shop"),
        config::cluster("shop", &[(backend.address, 1)]),
    ]
    .concat();
    control_plane.apply(&shop, &["--wait"]).await.unwrap();
    eventually(SOON, || async {
        let kept = std::fs::read(directory.path().join("state-p1/last-known-good"))?;
        let found = kept.windows(7).any(|window| window == b"edge-p1");
        anyhow::ensure!(found, "the listener is not kept yet");
        Ok(())
    })
    .await
    .unwrap();

    control_plane.kill();
    proxy.kill();
    let began = Instant::now();
    proxy.spawn().unwrap();
    eventually(Duration::from_secs(5), || async {
        let answer = Client::new(proxy.listener, "shop.test").get("/").await?;
        anyhow::ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    })
    .await
    .unwrap();
    println!(
        "restart without control plane: first answer after {:?}",
        began.elapsed()
    );
}
