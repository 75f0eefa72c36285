//! Requests that are tied to an endpoint.

use std::time::Duration;

use evenkeel_shared::ir::{HashCookie, HashPolicy, HashSource, LbPolicy, Maglev, RetryCondition};

use super::support::{Backend, OK, Plan};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

fn tied_by(backends: &[&Backend], source: HashSource) -> Plan {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut plan = Plan::to(&addresses);
    plan.cluster().load_balancing.policy = LbPolicy::Maglev(Maglev {
        table_size: 251,
        balance_factor: None,
    });
    plan.forward().hash_policy = vec![HashPolicy {
        source,
        terminal: false,
    }];
    plan
}

fn get(field: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: shop\r\n{field}\r\n\r\n")
}

fn by_cookie() -> HashSource {
    HashSource::Cookie(HashCookie {
        name: "seat".to_owned(),
        ttl: Some(Duration::from_mins(1)),
        path: Some("/".to_owned()),
    })
}

#[tokio::test]
async fn requests_of_one_key_go_to_one_endpoint() {
    let (one, two) = (Backend::answering(OK).await, Backend::answering(OK).await);
    let by_user = HashSource::Header("x-user".to_owned());
    let proxy = tied_by(&[&one, &two], by_user).start();
    for user in 0..20 {
        let before = (one.requests(), two.requests());
        for _ in 0..3 {
            let answer = proxy.ask(&get(&format!("x-user: {user}"))).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        let more = (one.requests() - before.0, two.requests() - before.1);
        assert!(matches!(more, (0, 3) | (3, 0)), "{user}: {more:?}");
    }
    assert!(one.requests() > 0 && two.requests() > 0);
}

#[tokio::test]
async fn a_client_is_given_a_cookie_and_comes_back_with_it() {
    let (one, two) = (Backend::answering(OK).await, Backend::answering(OK).await);
    let proxy = tied_by(&[&one, &two], by_cookie()).start();
    for _ in 0..10 {
        let before = (one.requests(), two.requests());
        let answer = proxy.ask(&get("accept: */*")).await;
        let (_, rest) = answer.split_once("set-cookie: ").expect(&answer);
        let (cookie, rest) = rest.split_once(';').expect(&answer);
        assert!(rest.starts_with(" Max-Age=60; Path=/; HttpOnly"), "{rest}");
        for _ in 0..3 {
            let answer = proxy.ask(&get(&format!("cookie: {cookie}"))).await;
            assert!(!answer.contains("set-cookie"), "{answer}");
        }
        let more = (one.requests() - before.0, two.requests() - before.1);
        assert!(matches!(more, (0, 4) | (4, 0)), "{more:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_does_not_hash_gives_no_cookie() {
    let backend = Backend::answering(OK).await;
    let mut plan = tied_by(&[&backend], by_cookie());
    plan.cluster().load_balancing.policy = LbPolicy::RoundRobin;
    let answer = plan.start().ask(&get("accept: */*")).await;
    assert!(!answer.contains("set-cookie"), "{answer}");
}

#[tokio::test]
async fn a_retry_leaves_the_endpoint_that_failed() {
    let good = Backend::answering(OK).await;
    let bad = Backend::answering(UNAVAILABLE).await;
    let by_user = HashSource::Header("x-user".to_owned());
    let mut plan = tied_by(&[&good, &bad], by_user);
    plan.retry(&[RetryCondition::FiveXx]);
    let proxy = plan.start();
    for user in 0..20 {
        let answer = proxy.ask(&get(&format!("x-user: {user}"))).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(good.requests(), 20);
    assert!(bad.requests() > 0);
}
