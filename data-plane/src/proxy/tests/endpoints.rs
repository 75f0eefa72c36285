//! TLS towards endpoints.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel_shared::ir::{
    AltName, RetryCondition, ServerVerification, StringMatch, TlsVersion, TrustRef,
    UpstreamProtocol, UpstreamTls,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::backends::{Authority, Endpoint, NAME, back, built, request, say, self_signed, shows};
use super::support::{Backend, GET, OK, POST, Plan, Proxy, until};
use crate::outcome::TlsFailure;
use crate::tls::BackTls;

/// A proxy to this endpoint, with TLS for the authority.
fn proxy(authority: &Authority, endpoint: &Endpoint) -> Proxy {
    let proxy = Plan::to(&[endpoint.address]).start();
    proxy.secure(Some(authority.back()));
    proxy
}

#[tokio::test]
async fn a_connection_under_tls_serves_request_after_request() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(authority.server(), OK).await;
    let proxy = proxy(&authority, &endpoint);
    let mut client = proxy.client().await;
    for round in 0..50 {
        // Tickets to resume the session come at some time in between.
        client.write(if round % 2 == 0 { GET } else { POST }).await;
        assert!(client.message().await.ends_with("ok"));
    }
    assert_eq!(endpoint.shaken(), 1);
}

#[tokio::test]
async fn the_protocols_own_records_do_not_end_an_idle_connection() {
    let authority = Authority::new();
    let endpoint = Endpoint::scripted(authority.server(), |_, mut stream| async move {
        while !request(&mut stream).await.is_empty() {
            say(&mut stream, OK).await;
            // The client must look at this record, and at nothing behind it.
            stream.get_mut().1.refresh_traffic_keys().unwrap();
            let _ = stream.flush().await;
        }
    })
    .await;
    let proxy = proxy(&authority, &endpoint);
    let mut client = proxy.client().await;
    for round in 0..25 {
        client.write(if round % 2 == 0 { GET } else { POST }).await;
        assert!(client.message().await.ends_with("ok"));
    }
    assert_eq!(endpoint.shaken(), 1);
}

#[tokio::test]
async fn an_endpoint_that_closes_after_each_answer_costs_no_request() {
    let authority = Authority::new();
    for polite in [true, false] {
        let endpoint = Endpoint::scripted(authority.server(), move |_, mut stream| async move {
            if !request(&mut stream).await.is_empty() {
                say(&mut stream, OK).await;
                if polite {
                    let _ = stream.shutdown().await;
                }
            }
        })
        .await;
        let proxy = proxy(&authority, &endpoint);
        let mut client = proxy.client().await;
        for round in 0..60 {
            client.write(if round % 2 == 0 { GET } else { POST }).await;
            let answer = client.message().await;
            assert!(answer.ends_with("ok"), "round {round}: {answer}");
            // Let the close arrive: a race that nobody can win is not the point.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(endpoint.shaken(), 60);
    }
}

#[tokio::test]
async fn unasked_bytes_are_never_taken_for_an_answer() {
    let authority = Authority::new();
    for apart in [true, false] {
        let endpoint = Endpoint::scripted(authority.server(), move |_, mut stream| async move {
            while !request(&mut stream).await.is_empty() {
                let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
                for words in [OK, evil] {
                    let (_, session) = stream.get_mut();
                    session.writer().write_all(words.as_bytes()).unwrap();
                    if apart {
                        let _ = stream.flush().await;
                    }
                }
                let _ = stream.flush().await;
            }
        })
        .await;
        let proxy = proxy(&authority, &endpoint);
        let mut client = proxy.client().await;
        for round in 0..20 {
            client.write(if round % 2 == 0 { GET } else { POST }).await;
            let answer = client.message().await;
            assert!(
                answer.ends_with("ok") || answer.starts_with("HTTP/1.1 502 "),
                "round {round}, apart {apart}: {answer}"
            );
            if apart {
                // Let them arrive: until then they might be an answer.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_without_goodbye_is_cut_and_not_complete() {
    let authority = Authority::new();
    for polite in [true, false] {
        let endpoint = Endpoint::scripted(authority.server(), move |_, mut stream| async move {
            request(&mut stream).await;
            say(&mut stream, "HTTP/1.1 200 OK\r\n\r\nhalf").await;
            if polite {
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let proxy = proxy(&authority, &endpoint);
        let mut client = proxy.client().await;
        client.write(GET).await;
        let head = client.head().await;
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let body = client.until("\r\n0\r\n\r\n").await;
        assert!(body.contains("half"), "{body}");
        assert_eq!(body.ends_with("\r\n0\r\n\r\n"), polite, "{body}");
    }
}

#[tokio::test]
async fn a_configuration_with_an_authority_in_a_file_is_enough() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let tls = |name: &str| UpstreamTls {
        server_name: Some(NAME.to_owned()),
        verification: Some(ServerVerification {
            trust: TrustRef::File(file.display().to_string()),
            names: vec![AltName::Dns(StringMatch::Exact(name.to_owned()))],
        }),
        certificate: None,
        min_version: TlsVersion::Tls13,
    };
    let endpoint = Endpoint::answering(authority.server(), OK).await;
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().tls = Some(tls(NAME));
    assert!(plan.start().ask(POST).await.ends_with("ok"));
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().tls = Some(tls("else.test"));
    failure(&plan.start(), TlsFailure::WrongName).await;
}

/// Asks once, and says why it failed.
async fn failure(proxy: &Proxy, failure: TlsFailure) {
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains("x-evenkeel-reason: upstream-failure\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with(failure.text()), "{answer}");
    assert_eq!(proxy.tls_failures(failure), 1);
}

#[tokio::test]
async fn each_bad_certificate_is_refused_with_its_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let table = [
        (
            authority.pair_valid(NAME, (2020, 2021)),
            TlsFailure::Expired,
        ),
        (
            authority.pair_valid(NAME, (2090, 2100)),
            TlsFailure::NotValidYet,
        ),
        (authority.pair("else.test"), TlsFailure::WrongName),
        (other.pair(NAME), TlsFailure::UnknownIssuer),
        (self_signed(), TlsFailure::UnknownIssuer),
    ];
    for (pair, reason) in table {
        let endpoint = Endpoint::answering(shows(pair), OK).await;
        failure(&proxy(&authority, &endpoint), reason).await;
    }
}

#[tokio::test]
async fn what_is_not_tls_or_too_old_has_its_reason() {
    let authority = Authority::new();
    // A ServerHello of TLS 1.1, and the alert of an endpoint that knows no other.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 47, 0]);
    let alert = vec![21, 3, 1, 0, 2, 2, 70];
    let plain = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
    let table = [
        (hello, TlsFailure::Version),
        (alert, TlsFailure::Version),
        (plain, TlsFailure::NotTls),
        (Vec::new(), TlsFailure::Closed),
    ];
    for (bytes, reason) in table {
        let backend = Backend::scripted(move |_, mut peer| {
            let bytes = bytes.clone();
            async move {
                let mut hello = [0; 1_024];
                let _ = peer.stream.read(&mut hello).await;
                let _ = peer.stream.write_all(&bytes).await;
                let _ = peer.stream.shutdown().await;
                let _ = peer.rest().await;
            }
        })
        .await;
        let proxy = Plan::to(&[backend.address]).start();
        proxy.secure(Some(authority.back()));
        failure(&proxy, reason).await;
    }
}

#[tokio::test]
async fn a_silent_endpoint_costs_the_time_to_connect() {
    let silent = Backend::scripted(|_, mut peer| async move {
        peer.rest().await;
    })
    .await;
    let mut plan = Plan::to(&[silent.address]);
    plan.cluster().connection.connect_timeout = Duration::from_millis(100);
    let proxy = plan.start();
    proxy.secure(Some(Authority::new().back()));
    failure(&proxy, TlsFailure::Timeout).await;
}

#[tokio::test]
async fn without_settings_there_is_neither_tls_nor_plain_text() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let missing = BackTls::new(Err("secret \"ca\" is missing".into()), None);
    proxy.secure(Some(Arc::new(missing)));
    failure(&proxy, TlsFailure::NotReady).await;
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn an_endpoint_must_speak_what_its_cluster_speaks() {
    let authority = Authority::new();
    let mut settings = authority.server();
    settings.alpn = Vec::new();
    let endpoint = Endpoint::answering(settings, OK).await;
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    let two = plan.start();
    two.secure(Some(back(authority.client(UpstreamProtocol::Http2))));
    failure(&two, TlsFailure::NoCommonProtocol).await;
    // An endpoint without an opinion speaks HTTP/1.1.
    assert!(proxy(&authority, &endpoint).ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn an_endpoint_without_a_name_is_called_by_its_address() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(shows(authority.pair("127.0.0.1")), OK).await;
    let mut settings = authority.client(UpstreamProtocol::Http1);
    settings.server.as_mut().unwrap().names = evenkeel_shared::tls::NameRules::host("127.0.0.1");
    let proxy = Plan::to(&[endpoint.address]).start();
    proxy.secure(Some(Arc::new(BackTls::new(Ok(built(settings)), None))));
    assert!(proxy.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn an_endpoint_that_wants_a_certificate_says_so() {
    let authority = Authority::new();
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let endpoint = Endpoint::answering(authority.demanding_server(), OK).await;
        let mut plan = Plan::to(&[endpoint.address]);
        plan.cluster().protocol = protocol;
        let proxy = plan.start();
        proxy.secure(Some(back(authority.client(protocol))));
        for round in 1..=20 {
            let answer = proxy.ask(if round % 2 == 0 { GET } else { POST }).await;
            let text = TlsFailure::CertificateRefused.text();
            assert!(answer.ends_with(text), "round {round}: {answer}");
            let counted = proxy.tls_failures(TlsFailure::CertificateRefused);
            assert_eq!(counted, round);
        }
        assert_eq!(endpoint.shaken(), 0);
    }
}

#[tokio::test]
async fn our_certificate_is_shown() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(authority.demanding_server(), OK).await;
    let mut settings = authority.client(UpstreamProtocol::Http1);
    settings.certificate = Some(authority.pair("proxy.test"));
    let proxy = Plan::to(&[endpoint.address]).start();
    proxy.secure(Some(back(settings)));
    assert!(proxy.ask(POST).await.ends_with("ok"));
}

#[tokio::test]
async fn a_failed_handshake_is_retried_elsewhere_like_a_failed_connection() {
    let authority = Authority::new();
    let expired = shows(authority.pair_valid(NAME, (2020, 2021)));
    let bad = Endpoint::answering(expired, OK).await;
    let good = Endpoint::answering(authority.server(), OK).await;
    let demanding = Endpoint::answering(authority.demanding_server(), OK).await;
    let mut plan = Plan::to(&[bad.address, good.address, demanding.address]);
    plan.retry(&[RetryCondition::ConnectFailure]);
    let proxy = plan.start();
    proxy.secure(Some(authority.back()));
    for _ in 0..12 {
        assert!(proxy.ask(POST).await.ends_with("ok"));
    }
    assert!(proxy.tls_failures(TlsFailure::Expired) > 0);
    assert!(proxy.tls_failures(TlsFailure::CertificateRefused) > 0);
}

#[tokio::test]
async fn the_second_connection_resumes_the_session_of_the_first() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(authority.server(), OK).await;
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().connection.max_requests = Some(1);
    let proxy = plan.start();
    proxy.secure(Some(authority.back()));
    for _ in 0..5 {
        assert!(proxy.ask(GET).await.ends_with("ok"));
    }
    assert_eq!(endpoint.shaken(), 5);
    assert_eq!(endpoint.resumed.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn other_settings_mean_other_connections() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(authority.server(), OK).await;
    let proxy = proxy(&authority, &endpoint);
    let mut client = proxy.client().await;
    for settings in 1..=3 {
        for _ in 0..3 {
            client.write(GET).await;
            assert!(client.message().await.ends_with("ok"));
        }
        assert_eq!(endpoint.shaken(), settings);
        proxy.secure(Some(authority.back()));
    }
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
    // Nobody can use the old ones any more.
    let gauges = Arc::clone(&proxy.cluster().gauges);
    until(|| gauges.connections.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_switch_to_tls_never_uses_a_connection_in_the_clear() {
    let authority = Authority::new();
    let config = Arc::new(authority.server().build().unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    // Speaks both, and says which.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
            tokio::spawn(async move {
                let mut first = [0];
                stream.peek(&mut first).await.unwrap();
                if first == [22] {
                    let mut stream = acceptor.accept(stream).await.unwrap();
                    while !request(&mut stream).await.is_empty() {
                        say(&mut stream, OK).await;
                    }
                } else {
                    let mut buffer = [0; 4_096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain";
                        stream.write_all(plain).await.unwrap();
                    }
                }
            });
        }
    });
    let proxy = Plan::to(&[address]).start();
    let mut client = proxy.client().await;
    for (tls, word) in [(false, "plain"), (true, "ok"), (false, "plain")] {
        proxy.secure(tls.then(|| authority.back()));
        for _ in 0..3 {
            client.write(GET).await;
            let answer = client.message().await;
            assert!(answer.ends_with(word), "{answer}");
        }
    }
}

#[tokio::test]
async fn renewed_certificates_cost_no_request() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(authority.demanding_server(), OK).await;
    let settings = |name: &str| {
        let mut settings = authority.client(UpstreamProtocol::Http1);
        settings.certificate = Some(authority.pair(name));
        settings
    };
    let tls = back(settings("first.test"));
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().connection.max_requests = Some(3);
    let proxy = plan.start();
    proxy.secure(Some(Arc::clone(&tls)));
    let done = Arc::new(AtomicBool::new(false));
    let renewed = Arc::new(AtomicUsize::new(0));
    let renewing = {
        let (done, renewed) = (Arc::clone(&done), Arc::clone(&renewed));
        let settings = [settings("first.test"), settings("second.test")];
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let turn = renewed.fetch_add(1, Ordering::SeqCst);
                tls.renew(Ok(built(settings[turn % 2].clone())));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    };
    let mut client = proxy.client().await;
    for round in 0..300 {
        client.write(if round % 2 == 0 { GET } else { POST }).await;
        let answer = client.message().await;
        assert!(answer.ends_with("ok"), "round {round}: {answer}");
    }
    done.store(true, Ordering::SeqCst);
    renewing.await.unwrap();
    assert!(renewed.load(Ordering::SeqCst) > 10);
    assert_eq!(endpoint.shaken(), 100);
}

#[tokio::test]
async fn renewed_settings_are_for_new_connections() {
    let authority = Authority::new();
    let other = Authority::new();
    let endpoint = Endpoint::answering(authority.server(), OK).await;
    let proxy = Plan::to(&[endpoint.address]).start();
    let tls = authority.back();
    proxy.secure(Some(Arc::clone(&tls)));
    let mut client = proxy.client().await;
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
    tls.renew(Ok(built(other.client(UpstreamProtocol::Http1))));
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
    assert_eq!(endpoint.shaken(), 1);
    let cut = proxy.cluster();
    cut.hosts.load().members[0]
        .host
        .shared
        .retired
        .store(true, Ordering::SeqCst);
    until(|| cut.gauges.connections.load(Ordering::SeqCst) == 0).await;
    failure(&proxy, TlsFailure::UnknownIssuer).await;
}

#[tokio::test]
async fn endpoints_are_told_goodbye() {
    let authority = Authority::new();
    let ends = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ends);
    let endpoint = Endpoint::scripted(authority.server(), move |_, mut stream| {
        let ends = Arc::clone(&counted);
        async move {
            request(&mut stream).await;
            say(&mut stream, OK).await;
            // An end without goodbye is an error.
            if matches!(stream.read(&mut [0]).await, Ok(0)) {
                ends.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().connection.max_requests = Some(1);
    let proxy = plan.start();
    proxy.secure(Some(authority.back()));
    proxy.ask(GET).await;
    until(|| ends.load(Ordering::SeqCst) == 1).await;
}
