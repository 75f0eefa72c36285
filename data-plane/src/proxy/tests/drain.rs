//! Ending without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::support::{Backend, GET, OK, Peer, Plan, Proxy, name, soon, until};
use crate::drain::DrainReport;

impl Proxy {
    fn requests_open(&self) -> u64 {
        let counts = &self.front.counts;
        counts.sum(|of| of.requests_open.load(Ordering::Relaxed))
    }
}

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
    until(|| proxy.requests_open() == 1).await;
    let address = proxy.address;
    let drained = tokio::spawn(proxy.workers.drain());
    let answer = busy.message().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(idle.rest().await.0, "");
    drop(busy);
    let report = soon(drained).await.unwrap();
    assert_eq!(report.cut, 0, "{report:?}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let stuck = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut plan = Plan::to(&[stuck.address]);
    plan.settings.drain.timeout = Duration::from_millis(100);
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    until(|| stuck.connections() == 1).await;
    let report = soon(proxy.workers.drain()).await;
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
    let mut plan = Plan::to(&[backend.address]);
    plan.settings.drain.delay = Duration::from_millis(300);
    let proxy = plan.start();
    let address = proxy.address;
    let began = Instant::now();
    let drained = tokio::spawn(proxy.workers.drain());
    while began.elapsed() < Duration::from_millis(200) {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Peer::new(stream);
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
    }
    soon(drained).await.unwrap();
}

/// Waits until nobody listens there any more.
async fn closed(address: SocketAddr) {
    soon(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Asks again and again, on one connection until its answer says that it ends,
/// with pauses between requests. Ends when it has been told twice.
async fn steady(address: SocketAddr, pause: Duration, answered: Arc<AtomicUsize>) {
    for _ in 0..2 {
        let mut client = Peer::new(TcpStream::connect(address).await.unwrap());
        loop {
            client.write(GET).await;
            let answer = client.message().await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
            answered.fetch_add(1, Ordering::SeqCst);
            if answer.contains("connection: close\r\n") {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        assert_eq!(client.rest().await, (String::new(), false));
    }
}

#[tokio::test]
async fn clients_with_shorter_pauses_than_the_delay_lose_nothing() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.workers = 2;
    plan.settings.drain.delay = Duration::from_secs(2);
    let proxy = plan.start();
    let answered = Arc::new(AtomicUsize::new(0));
    let pauses = (1..=25).map(|client| Duration::from_millis(20 * client));
    let clients: Vec<_> = pauses
        .map(|pause| tokio::spawn(steady(proxy.address, pause, Arc::clone(&answered))))
        .collect();
    let mut idle = proxy.client().await;
    idle.write(GET).await;
    assert!(!idle.message().await.contains("connection: close"));
    until(|| answered.load(Ordering::SeqCst) >= 100).await;
    let began = Instant::now();
    let drained = tokio::spawn(proxy.workers.drain());
    for client in clients {
        soon(client).await.unwrap();
    }
    assert_eq!(idle.rest().await, (String::new(), false));
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(soon(drained).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_request_that_has_begun_to_come_is_answered() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let address = proxy.address;
    let mut client = proxy.client().await;
    client.write(GET).await;
    client.message().await;
    let (first, rest) = GET.split_at(20);
    client.write(first).await;
    let read = tokio::spawn(proxy.workers.drain());
    closed(address).await;
    client.write(rest).await;
    let answer = client.message().await;
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    assert_eq!(soon(read).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_listener_drains_alone() {
    let backend = slow().await;
    let mut plan = Plan::to(&[backend.address]);
    plan.settings.drain.timeout = Duration::from_millis(500);
    let proxy = plan.start();
    let (mut busy, mut idle, mut silent) = (
        proxy.client().await,
        proxy.client().await,
        proxy.client().await,
    );
    for client in [&mut idle, &mut silent] {
        client.write(GET).await;
        client.message().await;
    }
    busy.write(GET).await;
    until(|| proxy.requests_open() == 1).await;
    let began = Instant::now();
    proxy.workers.unbind(&name()).unwrap();
    assert!(proxy.workers.addresses().is_empty());
    closed(proxy.address).await;
    idle.write(GET).await;
    for mut client in [busy, idle] {
        let answer = client.message().await;
        assert!(answer.contains("connection: close\r\n"), "{answer:?}");
        assert_eq!(client.rest().await, (String::new(), false));
    }
    assert_eq!(silent.rest().await, (String::new(), false));
    assert!(began.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn who_comes_while_a_listener_goes_is_served() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    for config in [proxy.shared.config.load_full(), Arc::default()] {
        proxy.shared.config.store(config);
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
}

#[tokio::test]
async fn all_listeners_accept_on_before_they_end() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.settings.drain.delay = Duration::from_millis(300);
    let proxy = plan.start();
    let began = Instant::now();
    proxy.workers.leave().unwrap();
    let answer = proxy.ask(GET).await;
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    closed(proxy.address).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(soon(proxy.workers.drain()).await, DrainReport::default());
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
