//! Requests that go where answers are expected sooner.

use std::time::Duration;

use evenkeel_shared::ir::{LbPolicy, PeakEwma};

use super::support::{Backend, GET, OK, Plan};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

fn by_latency(backends: &[&Backend]) -> Plan {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut plan = Plan::to(&addresses);
    plan.cluster().load_balancing.policy = LbPolicy::PeakEwma(PeakEwma {
        decay: Duration::from_secs(10),
        failure_penalty: Duration::from_secs(5),
    });
    plan
}

#[tokio::test]
async fn an_endpoint_that_was_slow_is_left_alone() {
    let quick = Backend::answering(OK).await;
    let slow = Backend::scripted(|_, mut peer| async move {
        while !peer.message().await.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.write(OK).await;
        }
    })
    .await;
    let proxy = by_latency(&[&quick, &slow]).start();
    for _ in 0..30 {
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!((quick.requests(), slow.connections()), (29, 1));
    let hosts = proxy.cluster().hosts.load_full();
    let known = |backend: &Backend| {
        let members = hosts.members.iter();
        let mut found = members.filter(|member| member.host.address == backend.address);
        found.find_map(|member| member.host.shared.latency.known())
    };
    assert!(known(&slow) >= Some(Duration::from_secs(1)));
    assert!(known(&quick) < known(&slow));
}

#[tokio::test]
async fn an_endpoint_that_fails_quickly_is_left_alone() {
    let good = Backend::answering(OK).await;
    let bad = Backend::answering(UNAVAILABLE).await;
    let proxy = by_latency(&[&good, &bad]).start();
    for _ in 0..30 {
        proxy.ask(GET).await;
    }
    assert_eq!((good.requests(), bad.requests()), (29, 1));
}
