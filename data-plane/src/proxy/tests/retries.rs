//! Attempts, timeouts, breakers, and what health hears of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_shared::ir::{self, RetryCondition};

use super::support::{Backend, GET, OK, POST, Plan, soon, until};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// An endpoint that reads requests and closes without an answer.
async fn closing() -> Backend {
    Backend::scripted(|_, mut peer| async move {
        peer.message().await;
    })
    .await
}

#[tokio::test]
async fn a_refused_connection_is_tried_elsewhere_even_for_a_post() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address, Backend::nowhere().await]);
    plan.retry(&[RetryCondition::ConnectFailure]);
    let proxy = plan.start();
    for _ in 0..4 {
        let answer = proxy.ask(POST).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(backend.requests(), 4);
    let retries = proxy
        .cluster()
        .counts
        .sum(|of| of.retries.load(Ordering::Relaxed));
    // A retry moves the turn on as well.
    assert!((2..=4).contains(&retries), "{retries}");
}

#[tokio::test]
async fn a_failing_status_is_tried_elsewhere() {
    let good = Backend::answering(OK).await;
    let bad = Backend::answering(UNAVAILABLE).await;
    let mut plan = Plan::to(&[good.address, bad.address]);
    plan.retry(&[RetryCondition::FiveXx]);
    let proxy = plan.start();
    for _ in 0..4 {
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(good.requests(), 4);
    assert!(bad.requests() >= 2);
}

#[tokio::test]
async fn a_replayed_body_is_whole() {
    let good = Backend::scripted(|_, mut peer| async move {
        let message = peer.message().await;
        assert!(message.ends_with("body"), "{message}");
        peer.write(OK).await;
    })
    .await;
    let bad = Backend::answering(UNAVAILABLE).await;
    let mut plan = Plan::to(&[good.address, bad.address]);
    plan.retry(&[RetryCondition::FiveXx]);
    let proxy = plan.start();
    for _ in 0..2 {
        let answer = proxy.ask(POST).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(bad.requests() >= 1);
}

#[tokio::test]
async fn a_post_that_may_have_been_executed_is_not_sent_again() {
    let (one, two) = (closing().await, closing().await);
    let mut plan = Plan::to(&[one.address, two.address]);
    plan.retry(&[
        RetryCondition::ConnectFailure,
        RetryCondition::RefusedStream,
    ]);
    let proxy = plan.start();
    let answer = proxy.ask(POST).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        answer.contains("x-evenkeel-reason: upstream-failure\r\n"),
        "{answer}"
    );
    assert_eq!(one.connections() + two.connections(), 1);
}

#[tokio::test]
async fn a_reset_get_is_tried_elsewhere() {
    let (bad, good) = (closing().await, Backend::answering(OK).await);
    let mut plan = Plan::to(&[bad.address, good.address]);
    plan.retry(&[RetryCondition::Reset]);
    let proxy = plan.start();
    for _ in 0..4 {
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn a_slow_attempt_is_given_up_for_another() {
    let slow = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let good = Backend::answering(OK).await;
    let mut plan = Plan::to(&[slow.address, good.address]);
    plan.retry(&[RetryCondition::FiveXx]);
    plan.forward().per_try_timeout = Some(Duration::from_millis(100));
    let proxy = plan.start();
    for _ in 0..2 {
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let timeouts = proxy
        .cluster()
        .counts
        .sum(|of| of.per_try_timeouts.load(Ordering::Relaxed));
    assert!(timeouts >= 1);
}

#[tokio::test]
async fn the_time_of_a_request_ends_it() {
    let slow = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut plan = Plan::to(&[slow.address]);
    plan.forward().timeout = Some(Duration::from_millis(100));
    let proxy = plan.start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(
        answer.contains("x-evenkeel-reason: request-timeout\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_gateway() {
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let backend = Backend::answering(garbage).await;
        let proxy = Plan::to(&[backend.address]).start();
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{garbage:?}: {answer}");
    }
}

#[tokio::test]
async fn nobody_to_ask_is_an_answer_of_its_own() {
    let proxy = Plan::to(&[]).start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("no healthy upstream"), "{answer}");
    let mut plan = Plan::to(&[]);
    plan.clusters.clear();
    let answer = plan.start().ask(GET).await;
    assert!(
        answer.contains("x-evenkeel-reason: no-cluster\r\n"),
        "{answer}"
    );
    let mut plan = Plan::to(&[]);
    plan.route().matches.path = ir::PathMatch::Exact("/other".to_owned());
    let answer = plan.start().ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn an_open_breaker_refuses_at_once() {
    let slow = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut plan = Plan::to(&[slow.address]);
    plan.cluster().breakers.requests = 1;
    let proxy = plan.start();
    let mut first = proxy.client().await;
    first.write(GET).await;
    super::support::until(|| slow.connections() == 1).await;
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains("x-evenkeel-reason: overflow\r\n"),
        "{answer}"
    );
    drop(first);
    let cluster = proxy.cluster();
    super::support::until(|| cluster.gauges.requests.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn health_hears_of_every_attempt() {
    let bad = Backend::answering(UNAVAILABLE).await;
    let mut plan = Plan::to(&[bad.address]);
    plan.retry(&[RetryCondition::FiveXx]);
    plan.cluster().outlier = Some(ir::Outlier {
        consecutive_5xx: 3,
        consecutive_gateway_failure: 0,
        consecutive_local_origin_failure: 0,
        split_local_origin: false,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_time: Duration::from_mins(5),
        max_ejection_percent: 100,
        always_eject_one: true,
        success_rate: None,
        failure_percentage: None,
        latency: None,
        return_when_healthy: true,
    });
    let mut proxy = plan.start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(bad.requests(), 3);
    let trigger = soon(proxy.triggers.recv()).await.unwrap();
    assert_eq!(trigger.cluster.spec.name.as_str(), "shop");
}

#[tokio::test]
async fn a_rate_limit_refuses_and_tells() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.route().rate_limit = Some(ir::RateLimit {
        tokens: 1,
        per: Duration::from_mins(1),
        burst: 1,
        key: None,
    });
    let proxy = plan.start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("ratelimit: "), "{answer}");
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    assert_eq!(backend.requests(), 1);
}

#[tokio::test]
async fn a_route_may_answer_by_itself() {
    let mut plan = Plan::to(&[]);
    plan.route().action = ir::Action::Respond(ir::Respond {
        status: 418,
        body: "teapot".to_owned(),
    });
    let answer = plan.start().ask(GET).await;
    assert!(
        answer.starts_with("HTTP/1.1 418 ") && answer.ends_with("teapot"),
        "{answer}"
    );
    let mut plan = Plan::to(&[]);
    plan.route().action = ir::Action::Redirect(ir::Redirect {
        scheme: Some("https".to_owned()),
        host: None,
        port: None,
        path: None,
        status: 308,
    });
    let answer = plan.start().ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains("location: https://shop/\r\n"), "{answer}");
}

#[tokio::test]
async fn a_retry_counts_in_the_budget_only_until_its_head_has_come() {
    let slow = Backend::scripted(|_, mut peer| async move {
        peer.message().await;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        std::future::pending::<()>().await;
    })
    .await;
    let bad = Backend::answering(UNAVAILABLE).await;
    let mut plan = Plan::to(&[slow.address, bad.address]);
    plan.retry(&[RetryCondition::FiveXx]);
    let proxy = plan.start();
    let cluster = proxy.cluster();
    let retries = || cluster.counts.sum(|of| of.retries.load(Ordering::Relaxed));
    let mut clients = Vec::new();
    while retries() == 0 {
        let mut client = proxy.client().await;
        client.write(GET).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        clients.push(client);
    }
    assert_eq!(cluster.retry_budget.active(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_in_the_budget_back() {
    let silent = Backend::scripted(|_, mut peer| async move {
        peer.message().await;
        std::future::pending::<()>().await;
    })
    .await;
    let bad = Backend::answering(UNAVAILABLE).await;
    let mut plan = Plan::to(&[silent.address, bad.address]);
    plan.retry(&[RetryCondition::FiveXx]);
    let proxy = plan.start();
    let cluster = proxy.cluster();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.client().await;
        client.write(GET).await;
        clients.push(client);
    }
    until(|| cluster.retry_budget.active() > 0).await;
    drop(clients);
    until(|| cluster.retry_budget.active() == 0).await;
    let in_flight = || cluster.gauges.requests.load(Ordering::Relaxed);
    until(|| in_flight() == 0).await;
}
