//! What passes, what is changed, what is refused.

use evenkeel_shared::ir;

use super::support::{Backend, GET, OK, Plan, soon};
use tokio::sync::mpsc;

use crate::worker::Http1Codec;

/// An endpoint that tells of the messages it gets.
async fn telling(answer: &'static str) -> (Backend, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let backend = Backend::scripted(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            loop {
                let message = peer.message().await;
                if message.is_empty() {
                    return;
                }
                tell.send(message).unwrap();
                peer.write(answer).await;
            }
        }
    })
    .await;
    (backend, told)
}

#[tokio::test]
async fn a_get_passes_with_its_answer() {
    let (backend, mut told) = telling(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.starts_with("GET / HTTP/1.1\r\n"), "{seen}");
    for field in [
        "host: shop\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: shop\r\n",
        "x-request-id: ",
    ] {
        assert!(seen.contains(field), "{field} in {seen}");
    }
}

#[tokio::test]
async fn a_post_passes_with_its_body() {
    let (backend, mut told) = telling(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let answer = proxy.ask(super::support::POST).await;
    assert!(answer.ends_with("ok"), "{answer}");
    let seen = soon(told.recv()).await.unwrap();
    assert!(
        seen.contains("content-length: 4\r\n") && seen.ends_with("body"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_chunked_body_passes_in_chunks() {
    let (backend, mut told) = telling(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let request = "PUT / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = proxy.ask(request).await;
    assert!(answer.ends_with("ok"), "{answer}");
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.contains("transfer-encoding: chunked\r\n"), "{seen}");
    assert!(seen.contains("abc") && seen.contains("de"), "{seen}");
}

#[tokio::test]
async fn a_head_keeps_the_length_and_has_no_body() {
    let (backend, _told) = telling("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client.write("HEAD / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        let head = client.head().await;
        assert!(head.contains("content-length: 7\r\n"), "{head}");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn an_empty_answer_leaves_the_connection_usable() {
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
    ] {
        let backend = Backend::answering(answer).await;
        let proxy = Plan::to(&[backend.address]).start();
        let mut client = proxy.client().await;
        for _ in 0..3 {
            client.write(GET).await;
            let head = client.head().await;
            assert!(head.starts_with(&answer[..12]), "{head}");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[tokio::test]
async fn what_is_for_one_connection_stays_there() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-private\r\n\
        x-private: 1\r\nkeep-alive: timeout=1\r\n\r\n";
    let (backend, mut told) = telling(answer).await;
    let proxy = Plan::to(&[backend.address]).start();
    let request = "GET / HTTP/1.1\r\nhost: shop\r\nconnection: x-secret, upgrade\r\n\
        x-secret: 1\r\nupgrade: h2c\r\nte: trailers, gzip\r\nexpect: 100-continue\r\n\r\n";
    let head = proxy.ask(request).await;
    assert!(
        !head.contains("x-private") && !head.contains("keep-alive"),
        "{head}"
    );
    let seen = soon(told.recv()).await.unwrap();
    for gone in ["x-secret", "upgrade", "h2c", "gzip", "expect"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    assert!(seen.contains("te: trailers\r\n"), "{seen}");
}

#[tokio::test]
async fn an_absolute_target_decides_the_host() {
    let (backend, mut told) = telling(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    proxy
        .ask("GET http://Shop:80/a?b=c HTTP/1.1\r\nhost: other\r\n\r\n")
        .await;
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: shop:80\r\n"), "{seen}");
    assert!(!seen.contains("other"), "{seen}");
}

#[tokio::test]
async fn an_unclear_request_is_refused() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET /../../etc HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\nx",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nx",
    ] {
        let answer = proxy.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
    let answer = proxy.ask("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn a_header_beyond_the_limits_is_refused() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(60));
    for request in [long, many] {
        let answer = proxy.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn a_request_id_is_believed_only_of_a_trusted_hop() {
    let (backend, mut told) = telling(OK).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n";
    let proxy = Plan::to(&[backend.address]).start();
    proxy.ask(request).await;
    let seen = soon(told.recv()).await.unwrap();
    assert!(!seen.contains("mine"), "{seen}");
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.trusted_hops = 1;
    plan.start().ask(request).await;
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.contains("x-request-id: mine\r\n"), "{seen}");
}

#[tokio::test]
async fn a_trace_goes_on() {
    let (backend, mut told) = telling(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{parent}tracestate: a=b\r\n\r\n");
    proxy.ask(&request).await;
    let seen = soon(told.recv()).await.unwrap();
    assert!(
        seen.contains("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{seen}"
    );
    assert!(seen.contains("tracestate: a=b\r\n"), "{seen}");
    assert!(!seen.contains("00f067aa0ba902b7"), "{seen}");
}

#[tokio::test]
async fn a_request_of_ambiguous_length_is_refused_and_its_connection_closed() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let smuggled = "GET /admin HTTP/1.1\r\nhost: a\r\n\r\n";
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
    ] {
        let mut client = proxy.client().await;
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        client.write(&request).await;
        let (answer, reset) = client.rest().await;
        let own = proxy.shared.settings.http1_codec == Http1Codec::Own;
        let status = if own && fields.contains("gzip") {
            501
        } else {
            400
        };
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&line), "{fields:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(!reset, "{fields:?}: a reset may overtake the answer");
    }
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn an_ambiguous_length_is_found_behind_other_requests() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    let chunked = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
        4\r\nabcd\r\n0\r\n\r\n";
    let sized = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let bad = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\
        transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    client
        .write(&[chunked, sized, GET, bad, GET].concat())
        .await;
    let (answers, _) = client.rest().await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 400 ").count(), 1, "{answers}");
    assert_eq!(backend.requests(), 3);
}

#[tokio::test]
async fn an_answer_of_ambiguous_length_goes_on_with_one_length() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\n";
    let backend = Backend::answering(answer).await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    let head = client.head().await;
    assert!(
        !(head.contains("content-length") && head.contains("transfer-encoding")),
        "{head}"
    );
    assert!(!head.contains("content-length: 3"), "{head}");
}

#[tokio::test]
async fn an_answer_arrives_though_the_body_was_not_read() {
    let mut plan = Plan::to(&[]);
    plan.route().action = ir::Action::Respond(ir::Respond {
        status: 404,
        body: "nothing here".to_owned(),
    });
    let proxy = plan.start();
    for _ in 0..20 {
        let mut client = proxy.client().await;
        let body = "x".repeat(1_000_000);
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
        client.write(head).await;
        client.write(&body).await;
        let (answer, reset) = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
        assert!(!reset);
    }
}
