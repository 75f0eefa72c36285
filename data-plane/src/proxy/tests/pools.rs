//! Connections to endpoints: reused, limited, closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{Backend, GET, OK, POST, Plan, until};

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    for _ in 0..20 {
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
    }
    assert_eq!((backend.connections(), backend.requests()), (1, 20));
}

#[tokio::test]
async fn a_connection_is_closed_after_its_last_request() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.cluster().connection.max_requests = Some(2);
    let proxy = plan.start();
    let mut client = proxy.client().await;
    for _ in 0..6 {
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
    }
    assert_eq!(backend.connections(), 3);
}

#[tokio::test]
async fn an_endpoint_that_closes_after_each_answer_costs_no_request() {
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let backend = Backend::scripted(move |_, mut peer| {
        let served = Arc::clone(&counted);
        async move {
            if !peer.message().await.is_empty() {
                served.fetch_add(1, Ordering::SeqCst);
                peer.write(OK).await;
            }
        }
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    for round in 0..100 {
        client.write(if round % 2 == 0 { GET } else { POST }).await;
        let answer = client.message().await;
        assert!(
            answer.starts_with("HTTP/1.1 200 "),
            "round {round}: {answer}"
        );
        // Let the close arrive: a race that nobody can win is not the point.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(served.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn a_get_that_meets_a_close_is_sent_again() {
    // Closes without a word after every other answer, at once.
    let backend = Backend::scripted(|_, mut peer| async move {
        for _ in 0..2 {
            if peer.message().await.is_empty() {
                return;
            }
            peer.write(OK).await;
        }
    })
    .await;
    let mut plan = Plan::to(&[backend.address]);
    plan.retry(&[evenkeel_shared::ir::RetryCondition::Reset]);
    let proxy = plan.start();
    let mut client = proxy.client().await;
    for round in 0..500 {
        client.write(GET).await;
        let answer = client.message().await;
        assert!(
            answer.starts_with("HTTP/1.1 200 "),
            "round {round}: {answer}"
        );
    }
}

#[tokio::test]
async fn unasked_bytes_are_never_taken_for_an_answer() {
    let backend = Backend::scripted(|_, mut peer| async move {
        loop {
            if peer.message().await.is_empty() {
                return;
            }
            peer.write(OK).await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
                .await;
        }
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    for _ in 0..10 {
        client.write(GET).await;
        let answer = client.message().await;
        assert!(
            answer.ends_with("ok") || answer.starts_with("HTTP/1.1 502 "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.cluster().connection.idle_timeout = Some(Duration::from_millis(100));
    let proxy = plan.start();
    proxy.ask(GET).await;
    let cluster = proxy.cluster();
    until(|| cluster.gauges.connections.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn connections_to_a_host_that_left_are_closed() {
    let backend = Backend::answering(OK).await;
    let other = Backend::answering(OK).await;
    let mut proxy = Plan::to(&[backend.address]).start();
    proxy.ask(GET).await;
    let host = Arc::clone(&proxy.cluster().hosts.load().members[0].host);
    proxy.assign(&[other.address]);
    until(|| host.shared.connections.load(Ordering::SeqCst) == 0).await;
    assert!(proxy.ask(GET).await.ends_with("ok"));
    assert_eq!(other.requests(), 1);
}

/// An endpoint that takes its time, and counts how many requests it has at once.
async fn slow() -> (Backend, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let peak = Arc::clone(&most);
    let backend = Backend::scripted(move |_, mut peer| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            while !peer.message().await.is_empty() {
                let active = now.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(active, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                peer.write(OK).await;
            }
        }
    })
    .await;
    (backend, most)
}

#[tokio::test]
async fn requests_queue_for_the_connections_that_an_endpoint_allows() {
    for workers in [1, 2] {
        let (backend, most) = slow().await;
        let mut plan = Plan::to(&[backend.address]);
        plan.workers = workers;
        plan.settings.queue_timeout = super::support::LONG;
        plan.cluster().connection.max = Some(2);
        let proxy = plan.start();
        let asks = (0..20).map(|_| proxy.ask(GET));
        for answer in futures_util::future::join_all(asks).await {
            assert!(answer.ends_with("ok"), "{answer}");
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
    }
}

#[tokio::test]
async fn a_worker_gives_up_an_idle_connection_for_another() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.workers = 4;
    plan.cluster().connection.max = Some(1);
    let proxy = plan.start();
    // Each client is on some worker; all share one connection, one after another.
    for _ in 0..16 {
        let answer = proxy.ask(GET).await;
        assert!(answer.ends_with("ok"), "{answer}");
    }
    assert_eq!(backend.requests(), 16);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (backend, _) = slow().await;
    let mut plan = Plan::to(&[backend.address]);
    plan.cluster().connection.max = Some(1);
    plan.cluster().breakers.pending = 1;
    let proxy = plan.start();
    let asks = (0..5).map(|_| proxy.ask(GET));
    let answers = futures_util::future::join_all(asks).await;
    let overflow = |answer: &&String| answer.contains("x-evenkeel-reason: overflow");
    assert_eq!(answers.iter().filter(overflow).count(), 3, "{answers:?}");
}

#[tokio::test]
async fn the_wait_for_a_connection_is_bounded() {
    let stuck = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut plan = Plan::to(&[stuck.address]);
    plan.cluster().connection.max = Some(1);
    plan.settings.queue_timeout = Duration::from_millis(50);
    let proxy = plan.start();
    let mut first = proxy.client().await;
    first.write(GET).await;
    until(|| stuck.connections() == 1).await;
    let answer = proxy.ask(GET).await;
    assert!(answer.contains("x-evenkeel-reason: overflow"), "{answer}");
}
