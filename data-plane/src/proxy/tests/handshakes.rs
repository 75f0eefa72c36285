//! TLS with clients: HTTP through it, and handshakes that do not succeed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_shared::ir::{self, HttpProtocol, TlsVersion};
use evenkeel_shared::tls::{ALPN_HTTP1, ALPN_HTTP2};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::secure::{Authority, front, shake};
use super::support::{Backend, GET, LONG, OK, POST, Peer, Plan, soon, until};

/// An endpoint that answers, and tells each message.
async fn telling() -> (Backend, mpsc::UnboundedReceiver<String>) {
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
                peer.write(OK).await;
            }
        }
    })
    .await;
    (backend, told)
}

#[tokio::test]
async fn http1_goes_through_both_versions_of_tls() {
    let authority = Authority::new();
    let (backend, mut told) = telling().await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.server(&["shop.test"]))
        .start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = authority.plain_client();
        let provider = Arc::clone(config.crypto_provider());
        let roots = authority.trust().roots;
        config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = proxy.secure_client(config).await;
        for _ in 0..3 {
            client.write(POST).await;
            assert!(client.message().await.ends_with("ok"));
            let seen = soon(told.recv()).await.unwrap();
            assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
        }
    }
    assert_eq!(proxy.shaken("TLSv1.2"), (1, 0));
    assert_eq!(proxy.shaken("TLSv1.3"), (1, 0));
}

#[tokio::test]
async fn http2_is_agreed_on() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let plan = Plan::to(&[backend.address]).secured(authority.server(&["shop.test"]));
    let proxy = plan.start();
    let config = authority.client(&[ALPN_HTTP2, ALPN_HTTP1], None);
    let stream = proxy.secure_client(config).await.stream;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(ALPN_HTTP2));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::post("https://shop.test/")
            .body(Full::new(Bytes::from(vec![b'x'; 100_000])))
            .unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = soon(response.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "ok");
    }
}

#[tokio::test]
async fn who_agrees_on_nothing_speaks_http1_unless_the_listener_does_not() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let plan = || Plan::to(&[backend.address]).secured(authority.server(&["shop.test"]));
    let proxy = plan().start();
    let mut client = proxy.secure_client(authority.client(&[], None)).await;
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
    let mut plan = plan();
    plan.listener.protocol = HttpProtocol::Http2;
    let proxy = plan.start();
    let stream = proxy
        .secure_client(authority.client(&[], None))
        .await
        .stream;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://shop.test/").body(Full::new(Bytes::new()));
    let response = soon(sender.send_request(request.unwrap())).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let authority = Authority::new();
    let backend = Backend::scripted(|_, mut peer| async move {
        let message = peer.message().await;
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        peer.write(&(head + body)).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.server(&["shop.test"]))
        .start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    let body = "0123456789".repeat(300_000);
    let head = format!(
        "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write(&(head + &body)).await;
    let answer = client.message().await;
    assert!(answer.ends_with(&body), "{}", answer.len());
}

#[tokio::test]
async fn a_tunnel_goes_through_and_ends_properly() {
    let authority = Authority::new();
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            upgrade: websocket\r\n\r\nhello";
        peer.write(switch).await;
        let (mut read, mut write) = peer.stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.server(&["shop.test"]))
        .start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write(upgrade).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.exactly(5).await, "hello");
    let much = "0123456789".repeat(10_000);
    client.write(&much).await;
    assert_eq!(client.exactly(much.len()).await, much);
    soon(client.stream.shutdown()).await.unwrap();
    assert_eq!(client.rest().await, (String::new(), false));
}

#[tokio::test]
async fn an_upload_that_is_cut_never_looks_complete() {
    let authority = Authority::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::scripted(move |_, mut peer| {
        let tell = tell.clone();
        async move { tell.send(peer.rest().await.0).unwrap() }
    })
    .await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.server(&["shop.test"]))
        .start();
    for (sent, properly) in [(1, false), (2, true)] {
        let mut client = proxy.secure_client(authority.plain_client()).await;
        let half = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n";
        client.write(half).await;
        until(|| backend.connections() == sent).await;
        if properly {
            soon(client.stream.shutdown()).await.unwrap();
        }
        drop(client);
        let seen = soon(told.recv()).await.unwrap();
        assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    }
    let load =
        |number: &std::sync::atomic::AtomicU64| number.load(std::sync::atomic::Ordering::Relaxed);
    let counts = &proxy.front.counts;
    until(|| counts.sum(|of| load(&of.requests_open)) == 0).await;
    assert_eq!(counts.sum(|of| load(&of.answers[2])), 0);
}

#[tokio::test]
async fn an_answer_that_is_cut_never_looks_complete() {
    let authority = Authority::new();
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        let half = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        peer.write(half).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.server(&["shop.test"]))
        .start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    // To whom the end of the connection is the end of the answer.
    client.write("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let (answer, broken) = client.rest().await;
    assert!(broken, "{answer}");
}

#[tokio::test]
async fn a_connection_ends_with_the_word_for_it() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]).secured(authority.server(&["shop.test"]));
    plan.listener.timeouts.idle = Some(Duration::from_millis(100));
    plan.listener.timeouts.header = Some(Duration::from_millis(300));
    let proxy = plan.start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
    // Without it, the library says so by an error.
    assert_eq!(client.rest().await, (String::new(), false));
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write("GET / HTTP/1.1\r\nx: ").await;
    let (answer, reset) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(!reset);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_ended() {
    let authority = Authority::new();
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
        peer.write(head).await;
        let piece = vec![b'x'; 65_536];
        while peer.stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    let mut plan = Plan::to(&[backend.address]).secured(authority.server(&["shop.test"]));
    plan.listener.timeouts.stream_idle = Some(Duration::from_millis(200));
    let proxy = plan.start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write(GET).await;
    client.head().await;
    let cluster = proxy.cluster();
    let open = || {
        cluster
            .gauges
            .requests
            .load(std::sync::atomic::Ordering::SeqCst)
    };
    until(|| open() == 0).await;
}

#[tokio::test]
async fn a_redirect_stays_with_https() {
    let authority = Authority::new();
    let mut plan = Plan::to(&[]).secured(authority.server(&["shop.test"]));
    plan.route().action = ir::Action::Redirect(ir::Redirect {
        scheme: None,
        host: Some("www.test".into()),
        port: None,
        path: None,
        status: 301,
    });
    let proxy = plan.start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write(GET).await;
    let answer = client.message().await;
    assert!(
        answer.contains("location: https://www.test/\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_ended() {
    let authority = Authority::new();
    let settings = authority.server(&["shop.test"]).build().unwrap();
    let mut plan = Plan::to(&[]);
    plan.tls = Some(front(Ok(settings), Some(Duration::from_millis(150))));
    let proxy = plan.start();
    let mut silent = proxy.client().await;
    let mut half = proxy.client().await;
    soon(half.stream.write_all(&[22, 3, 1, 2, 0, 1]))
        .await
        .unwrap();
    assert_eq!(silent.rest().await.0, "");
    assert_eq!(half.rest().await.0, "");
    until(|| proxy.refused("timeout") == 2).await;
}

#[tokio::test]
async fn a_handshake_without_a_limit_is_held_to_the_idle_time() {
    let authority = Authority::new();
    let settings = authority.server(&["shop.test"]).build().unwrap();
    let mut plan = Plan::to(&[]);
    plan.tls = Some(front(Ok(settings), None));
    plan.listener.timeouts.header = None;
    plan.listener.timeouts.idle = Some(Duration::from_millis(150));
    let proxy = plan.start();
    let mut silent = proxy.client().await;
    assert_eq!(silent.rest().await.0, "");
    until(|| proxy.refused("timeout") == 1).await;
}

#[tokio::test]
async fn what_is_not_tls_gets_nothing_but_the_close() {
    let authority = Authority::new();
    let plan = Plan::to(&[]).secured(authority.server(&["shop.test"]));
    let proxy = plan.start();
    for garbage in [GET, "\0\0\0\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = proxy.client().await;
        client.write(garbage).await;
        assert_eq!(client.rest().await.0, "");
    }
    // Begins like TLS: is told by an alert.
    let mut client = proxy.client().await;
    soon(client.stream.write_all(&[22, 9, 9, 0xff, 0xff, 0, 0]))
        .await
        .unwrap();
    let mut answer = Vec::new();
    soon(client.stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    until(|| proxy.refused("not_tls") == 4).await;
    // Who only looks whether the port is open is not counted.
    drop(proxy.client().await);
    let open = |of: &crate::runtime::snapshot::ListenerCounts| {
        of.connections_open
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    until(|| proxy.front.counts.sum(open) == 0).await;
    assert_eq!(proxy.refused("gone"), 0);
}

/// A `ClientHello` of TLS 1.0 or 1.1.
fn old_hello(minor: u8) -> Vec<u8> {
    let body = [&[3, minor][..], &[7; 32], &[0], &[0, 2, 0, 0x2f], &[1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[tokio::test]
async fn old_versions_are_refused_by_name() {
    let authority = Authority::new();
    let mut settings = authority.server(&["shop.test"]);
    let proxy = Plan::to(&[]).secured(settings.clone()).start();
    for minor in [1, 2] {
        let mut client = proxy.client().await;
        soon(client.stream.write_all(&old_hello(minor)))
            .await
            .unwrap();
        let mut answer = Vec::new();
        soon(client.stream.read_to_end(&mut answer)).await.unwrap();
        // A fatal alert, `handshake_failure`.
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 40]);
    }
    until(|| proxy.refused("version") == 2).await;
    settings.lowest = TlsVersion::Tls13;
    let proxy = Plan::to(&[]).secured(settings).start();
    let provider = evenkeel_shared::tls::provider();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(authority.trust().roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    assert!(shake(stream, config, "shop.test").await.is_err());
    until(|| proxy.refused("version") == 1).await;
}

#[tokio::test]
async fn no_protocol_in_common_is_refused() {
    let authority = Authority::new();
    let proxy = Plan::to(&[])
        .secured(authority.server(&["shop.test"]))
        .start();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let config = authority.client(&[b"spdy/3"], None);
    assert!(shake(stream, config, "shop.test").await.is_err());
    until(|| proxy.refused("no_common_protocol") == 1).await;
}

#[tokio::test]
async fn without_settings_handshakes_are_refused_until_there_are_some() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    let tls = front(Err("no certificate yet"), Some(LONG));
    plan.tls = Some(Arc::clone(&tls));
    let proxy = plan.start();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let refused = shake(stream, authority.plain_client(), "shop.test").await;
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("InternalError"), "{error}");
    until(|| proxy.refused("no_settings") == 1).await;
    tls.renew(Ok(Arc::new(
        authority.server(&["shop.test"]).build().unwrap(),
    )));
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
}

#[tokio::test]
async fn a_drain_does_not_wait_for_those_who_say_nothing() {
    let authority = Authority::new();
    let mut plan = Plan::to(&[]);
    let settings = authority.server(&["shop.test"]).build().unwrap();
    plan.tls = Some(front(Ok(settings), None));
    let proxy = plan.start();
    let mut silent = proxy.client().await;
    let open = |of: &crate::runtime::snapshot::ListenerCounts| {
        of.connections_open
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    until(|| proxy.front.counts.sum(open) == 1).await;
    let report = soon(proxy.workers.drain()).await;
    assert_eq!((report.connections, report.cut), (1, 0));
    assert_eq!(silent.rest().await.0, "");
}

#[tokio::test]
async fn a_drain_finishes_requests() {
    let authority = Authority::new();
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        peer.write(OK).await;
    })
    .await;
    let plan = Plan::to(&[backend.address]).secured(authority.server(&["shop.test"]));
    let proxy = plan.start();
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write(GET).await;
    until(|| backend.connections() == 1).await;
    let drained = tokio::spawn(proxy.workers.drain());
    assert!(client.message().await.ends_with("ok"));
    assert_eq!(client.rest().await, (String::new(), false));
    assert_eq!(soon(drained).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_stream_in_the_clear_is_what_it_was() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let telling = Backend::scripted(move |_, mut peer: Peer| {
        let tell = tell.clone();
        async move {
            tell.send(peer.message().await).unwrap();
            peer.write(OK).await;
        }
    })
    .await;
    let proxy = Plan::to(&[telling.address]).start();
    let forged = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-client-cert: Hash=0\r\n\
        x-forwarded-proto: https\r\nforwarded: for=6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n\
        x-forwarded-port: 443\r\n\r\n";
    proxy.ask(forged).await;
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.contains("x-forwarded-proto: http\r\n"), "{seen}");
    for gone in ["client-cert", "6.6.6.6", "x-forwarded-port", "x-real-ip"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
}
