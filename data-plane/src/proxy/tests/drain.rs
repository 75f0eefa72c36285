//! Ending without losing a request.

use std::time::Duration;

use tokio::time::Instant;

use super::support::{Backend, GET, LONG, OK, Plan, name, soon, until};
use crate::drain::DrainReport;

/// An endpoint that takes a fifth of a second.
async fn slow() -> Backend {
    Backend::scripted(|_, mut peer| async move {
        while !peer.message().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            peer.write(OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_in_progress_is_finished() {
    let backend = slow().await;
    let mut plan = Plan::to(&[backend.address]);
    plan.workers = 2;
    let proxy = plan.start();
    let (mut busy, mut idle) = (proxy.client().await, proxy.client().await);
    idle.write(GET).await;
    idle.message().await;
    busy.write(GET).await;
    until(|| backend.connections() >= 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let address = proxy.address;
    let drained = tokio::spawn(proxy.workers.drain(Duration::ZERO, LONG));
    let answer = busy.message().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(idle.rest().await.0, "");
    drop(busy);
    let report = soon(drained).await.unwrap();
    assert_eq!(report.cut, 0, "{report:?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let stuck = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = Plan::to(&[stuck.address]).start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    until(|| stuck.connections() == 1).await;
    let drain = proxy
        .workers
        .drain(Duration::ZERO, Duration::from_millis(100));
    let report = soon(drain).await;
    assert_eq!(
        report,
        DrainReport {
            connections: 1,
            cut: 1
        }
    );
}

#[tokio::test]
async fn requests_are_served_until_the_delay_is_over() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let address = proxy.address;
    let began = Instant::now();
    let drained = tokio::spawn(proxy.workers.drain(Duration::from_millis(300), LONG));
    while began.elapsed() < Duration::from_millis(200) {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut client = super::support::Peer::new(stream);
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
    }
    soon(drained).await.unwrap();
}

#[tokio::test]
async fn a_listener_drains_alone() {
    let backend = slow().await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    until(|| backend.connections() == 1).await;
    proxy.workers.unbind(&name()).unwrap();
    let answer = client.message().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(proxy.workers.addresses().is_empty());
    soon(async {
        while tokio::net::TcpStream::connect(proxy.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_request_is_lost_while_listeners_are_replaced() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    for _ in 0..20 {
        let mut queued = Vec::new();
        for _ in 0..5 {
            let mut client = proxy.client().await;
            client.write(GET).await;
            queued.push(client);
        }
        let bound = proxy.workers.bind(&name(), proxy.address).unwrap();
        proxy.workers.serve(bound).unwrap();
        for mut client in queued {
            let answer = client.message().await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
}
