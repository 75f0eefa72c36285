//! Whose certificate is shown to clients, and what theirs are good for.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::ir::AccessLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::secure::{Authority, front, shake};
use super::support::{Backend, GET, LONG, OK, Plan, soon, until};
use crate::telemetry::sink::Sink;

#[tokio::test]
async fn the_certificate_that_is_asked_for_is_shown() {
    let authority = Authority::new();
    let plan = Plan::to(&[]).secured(authority.server(&["shop.test", "blog.test"]));
    let proxy = plan.start();
    for (asked, shown) in [("shop.test", "shop.test"), ("blog.test", "blog.test")] {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let client = shake(stream, authority.plain_client(), asked).await;
        let stream = client.unwrap().stream;
        let certificate = &stream.get_ref().1.peer_certificates().unwrap()[0];
        let identity = evenkeel_shared::tls::Identity::read(certificate).unwrap();
        assert_eq!(identity.dns, [shown]);
    }
}

#[tokio::test]
async fn a_second_handshake_is_resumed_with_what_was_known() {
    let authority = Authority::new();
    let (backend, mut told) = telling().await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.asking(true))
        .start();
    let cart = authority.pair(&[], &["spiffe://shop/cart"]);
    let config = Arc::new(authority.client(&[], Some(cart)));
    for _ in 0..3 {
        let mut client = proxy.secure_client(Arc::clone(&config)).await;
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
        let seen = soon(told.recv()).await.unwrap();
        assert!(seen.contains("URI=spiffe://shop/cart"), "{seen}");
    }
    assert_eq!(proxy.shaken("TLSv1.3"), (1, 2));
}

#[tokio::test]
async fn a_session_does_not_outlive_the_certificate_of_its_client() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.asking(true))
        .start();
    let cart = authority.pair_for("spiffe://shop/cart", Duration::from_secs(3));
    let config = Arc::new(authority.client(&[], Some(cart)));
    let limit = Instant::now() + LONG;
    // Each connection brings the ticket for the next.
    while proxy.refused("expired") == 0 {
        assert!(Instant::now() < limit);
        let mut client = proxy.secure_client(Arc::clone(&config)).await;
        let _ = client.stream.write_all(GET.as_bytes()).await;
        // Nothing comes from who is refused.
        let _ = soon(client.stream.read(&mut [0; 1024])).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (full, resumed) = proxy.shaken("TLSv1.3");
    assert_eq!(full, 1);
    assert!(resumed > 0);
}

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
async fn a_client_with_a_certificate_is_told_to_endpoints_and_logs() {
    let authority = Authority::new();
    let (backend, mut told) = telling().await;
    let mut plan = Plan::to(&[backend.address]).secured(authority.asking(false));
    let (sink, outlets) = Sink::new(1, 8, None);
    plan.sink = sink;
    plan.listener.access_log = Some(AccessLog {
        path: "/dev/null".into(),
    });
    let proxy = plan.start();
    let forged = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-client-cert: Hash=0\r\n\r\n";
    let cart = authority.pair(&["cart.test"], &["spiffe://shop/cart"]);
    let hash = cart.identity.fingerprint.clone();
    let mut client = proxy.secure_client(authority.client(&[], Some(cart))).await;
    client.write(forged).await;
    client.message().await;
    let seen = soon(told.recv()).await.unwrap();
    assert_eq!(seen.matches("x-forwarded-client-cert").count(), 1, "{seen}");
    assert!(seen.contains(&format!("Hash={hash};Subject=\"")), "{seen}");
    assert!(
        seen.contains(";URI=spiffe://shop/cart;DNS=cart.test\r\n"),
        "{seen}"
    );
    // It is optional: without one nothing is told, and nothing believed.
    let mut client = proxy.secure_client(authority.plain_client()).await;
    client.write(forged).await;
    client.message().await;
    let seen = soon(told.recv()).await.unwrap();
    assert!(!seen.contains("x-forwarded-client-cert"), "{seen}");
    let mut text = String::new();
    while text.lines().count() < 2 {
        text += &outlets.log.recv_timeout(LONG).unwrap().text;
    }
    let identities: Vec<_> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["tls_version"], "TLSv1.3");
            line["client_identity"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(identities, [Some("spiffe://shop/cart".to_owned()), None]);
}

#[tokio::test]
async fn clients_without_a_good_certificate_are_refused_by_reason() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address])
        .secured(authority.asking(true))
        .start();
    let stranger = Authority::new().pair(&[], &["spiffe://shop/cart"]);
    let teller = authority.pair(&[], &["spiffe://bank/teller"]);
    for (certificate, reason, alert) in [
        (None, "no_certificate", "CertificateRequired"),
        // Of another authority of the same name.
        (Some(stranger), "unknown_issuer", "DecryptError"),
        (Some(teller), "wrong_name", "BadCertificate"),
    ] {
        let config = authority.client(&[], certificate);
        // With TLS 1.3 the client is done before it is refused; it finds the
        // alert where the answer would be.
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let error = match shake(stream, config, "shop.test").await {
            Err(error) => error,
            Ok(mut client) => {
                let _ = client.stream.write_all(GET.as_bytes()).await;
                let mut buffer = [0; 64];
                soon(client.stream.read(&mut buffer)).await.unwrap_err()
            }
        };
        let error = error.to_string();
        assert!(error.contains(alert), "{reason}: {error}");
        until(|| proxy.refused(reason) == 1).await;
    }
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn certificates_are_exchanged_under_load_without_a_failure() {
    let authority = Authority::new();
    let backend = Backend::answering(OK).await;
    let settings = |name: &str| Arc::new(authority.server(&[name]).build().unwrap());
    let first = settings("first.test");
    let tls = front(Ok((*first).clone()), Some(LONG));
    let mut plan = Plan::to(&[backend.address]);
    plan.tls = Some(Arc::clone(&tls));
    plan.workers = 2;
    let proxy = plan.start();
    let config = Arc::new(authority.plain_client());
    let mut held = proxy.secure_client(Arc::clone(&config)).await;
    let next = settings("second.test");
    let until = Instant::now() + Duration::from_millis(800);
    let renewing = async {
        let mut turn = 0;
        while Instant::now() < until {
            let settings = if turn % 2 == 0 { &next } else { &first };
            tls.renew(Ok(Arc::clone(settings)));
            turn += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        turn
    };
    let asking = async {
        let mut asked = 0;
        while Instant::now() < until {
            let mut client = proxy.secure_client(Arc::clone(&config)).await;
            client.write(GET).await;
            assert!(client.message().await.ends_with("ok"));
            asked += 1;
        }
        asked
    };
    let (turns, asked) = tokio::join!(renewing, asking);
    assert!(turns > 10 && asked > 10, "{turns} {asked}");
    for reason in crate::telemetry::handshakes::REASONS {
        assert_eq!(proxy.refused(reason), 0, "{reason}");
    }
    // A connection keeps what it has.
    held.write(GET).await;
    assert!(held.message().await.ends_with("ok"));
}
