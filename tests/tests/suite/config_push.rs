//! Keep-alive load while the configuration changes all the time.

use std::time::Duration;

use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::client::Load;
use evenkeel_tests::config;
use tokio::time::Instant;

use crate::Small;

/// With so few endpoints, moving a route takes more than half of them out of use.
const SHRINKS: &[&str] = &["--allow-mass-removal"];

/// How many pushes; a longer run is asked for with `EVENKEEL_PUSHES`.
fn pushes() -> u32 {
    std::env::var("EVENKEEL_PUSHES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_and_no_connection_is_lost_while_configuration_changes() {
    let small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    let extra = Backend::start("c", Mode::Serve).await.unwrap();
    let load = Load {
        targets: vec![small.proxy.listener],
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        clients: 8,
        post_every: 2,
        pause: Duration::from_millis(2),
        ..Load::default()
    };
    let running = load.start(None);

    let began = Instant::now();
    for round in 0..pushes() {
        push(&small, &extra, round).await;
    }
    let took = began.elapsed();
    let tally = running.stop().await.unwrap();

    println!(
        "{} pushes in {took:?} ({:.1}/s), {} requests over {} connections",
        pushes(),
        f64::from(pushes()) / took.as_secs_f64(),
        tally.gets + tally.posts,
        tally.connects
    );
    assert_eq!(tally.failed(), 0, "{:?}", tally.failures);
    assert_eq!(tally.connects, 8, "every client kept its connection");
    assert!(tally.gets > 0 && tally.posts > 0);
}

/// One change, of a different kind each time: weights, endpoints, a new route
/// and cluster, moving the route, and taking them away again.
async fn push(small: &Small, extra: &Backend, round: u32) {
    let [a, b] = [small.backends[0].address, small.backends[1].address];
    let control_plane = &small.control_plane;
    match round % 6 {
        0 => {
            let weights = [1 + round % 7, 1 + round % 5];
            control_plane
                .apply(&small.shop(weights), &[])
                .await
                .unwrap();
        }
        1 => {
            let three = config::cluster("shop", &[(a, 1), (b, 1), (extra.address, 2)]);
            control_plane.apply(&three, &[]).await.unwrap();
        }
        2 => {
            let moved = [
                config::cluster("other", &[(extra.address, 1)]),
                config::route("shop", &["p1"], "shop.test", "other"),
            ];
            control_plane.apply(&moved.concat(), SHRINKS).await.unwrap();
        }
        3 => {
            let two = [
                config::cluster("shop", &[(a, 1), (b, 1)]),
                config::route("more", &["p1"], "more.test", "other"),
            ];
            control_plane.apply(&two.concat(), SHRINKS).await.unwrap();
        }
        4 => {
            let back = config::route("shop", &["p1"], "shop.test", "shop");
            control_plane.apply(&back, SHRINKS).await.unwrap();
        }
        _ => {
            let deleted = control_plane
                .cli(&["delete", "route/more", "cluster/other", SHRINKS[0]])
                .await
                .unwrap();
            let text = evenkeel_tests::process::text_of(&deleted);
            assert!(deleted.status.success(), "{text}");
        }
    }
}
