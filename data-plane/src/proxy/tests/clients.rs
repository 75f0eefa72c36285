//! How long clients may take, and how many there may be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::support::{Backend, GET, OK, Plan, until};

#[tokio::test]
async fn a_header_that_does_not_end_is_answered_with_408() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.header = Some(Duration::from_millis(150));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write("GET / HTTP/1.1\r\nhost: shop\r\nx: ").await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn dripping_a_header_does_not_help() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.header = Some(Duration::from_millis(150));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    client.message().await;
    client.write("GET / HTTP/1.1\r\nx: ").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        if client.stream.write_all(b"x").await.is_err() {
            break;
        }
    }
    let (answer, reset) = client.rest().await;
    assert!(reset || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn the_time_of_a_header_does_not_end_an_idle_connection() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.header = Some(Duration::from_millis(50));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    for _ in 0..3 {
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let mut plan = Plan::to(&[]);
    plan.listener.timeouts.header = Some(Duration::from_millis(50));
    let proxy = plan.start();
    let (said, _) = proxy.client().await.rest().await;
    assert_eq!(said, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.idle = Some(Duration::from_millis(100));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
    let (said, reset) = client.rest().await;
    assert_eq!((said.as_str(), reset), ("", false));
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_with_408() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.stream_idle = Some(Duration::from_millis(100));
    let proxy = plan.start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = proxy.ask(request).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_counted() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.limits.connections = 2;
    let proxy = plan.start();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = proxy.client().await;
        client.write(GET).await;
        client.message().await;
        held.push(client);
    }
    let (said, _) = proxy.client().await.rest().await;
    assert_eq!(said, "");
    let counts = &proxy.front.counts;
    assert_eq!(
        counts.sum(|of| of.connections_refused.load(Ordering::Relaxed)),
        1
    );
    drop(held);
    until(|| counts.sum(|of| of.connections_open.load(Ordering::Relaxed)) == 0).await;
    assert!(proxy.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn a_client_that_goes_away_frees_everything() {
    let stuck = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        assert_eq!(peer.rest().await.0, "");
    })
    .await;
    let proxy = Plan::to(&[stuck.address]).start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    let cluster = proxy.cluster();
    let host = std::sync::Arc::clone(&cluster.hosts.load().members[0].host);
    until(|| stuck.connections() == 1).await;
    assert_eq!(host.shared.in_flight.load(Ordering::SeqCst), 1);
    drop(client);
    until(|| host.shared.in_flight.load(Ordering::SeqCst) == 0).await;
    until(|| host.shared.connections.load(Ordering::SeqCst) == 0).await;
    let counts = &proxy.front.counts;
    until(|| counts.sum(|of| of.requests_open.load(Ordering::Relaxed)) == 0).await;
    assert_eq!(counts.sum(|of| of.answers[0].load(Ordering::Relaxed)), 1);
}
