//! Handshakes, exposure, and rotation of certificates.

use std::time::Duration;

use evenkeel_shared::proto::v1;
use evenkeel_shared::xds::ResourceType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

use super::plane::*;

const P1: &str = "spiffe://plane.test/proxy/p1";

#[tokio::test]
async fn other_machines_are_not_served_without_tls() {
    let started = Plane::try_start(&["--xds-listen", "0.0.0.0:0"]).await;
    let text = format!("{:#}", started.err().unwrap());
    assert!(
        text.contains("--xds-listen") && text.contains("--insecure"),
        "{text}"
    );
}

#[tokio::test]
async fn an_accepted_danger_is_shown_in_the_status() {
    let flags = ["--api-listen", "0.0.0.0:0", "--insecure"];
    let mut plane = Plane::start(&flags).await;
    // The port is open on every address, also on this one.
    plane.addresses.api.set_ip([127, 0, 0, 1].into());
    let mut api = plane.api(None).await;
    // It may ask who we are before it says anything.
    if let Ok(status) = api.status(v1::StatusRequest {}).await {
        let warnings = status.into_inner().warnings;
        assert!(warnings[0].contains("--api-listen"), "{warnings:?}");
    }
    plane.stop().await;
}

#[tokio::test]
async fn proxies_need_a_certificate_of_the_authority_and_users_may_have_one() {
    let plane = Plane::secure(true).await;
    let ours = plane.authority.sign(&[P1], &[]);
    let theirs = Authority::new().sign(&[P1], &[]);
    let (xds, api) = (plane.addresses.xds, plane.addresses.api);
    for (address, certificate, welcome) in [
        (xds, Some(&ours), true),
        (xds, Some(&theirs), false),
        (xds, None, false),
        (api, Some(&ours), true),
        (api, Some(&theirs), false),
        (api, None, true),
    ] {
        let tls = plane.authority.client(certificate);
        // With TLS 1.3 the client learns of its refusal by the first read.
        let answered = match connect(address, Some(tls)).await {
            Ok(mut stream) => {
                let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
                let mut byte = [0];
                stream.write_all(preface).await.is_ok()
                    && matches!(timeout(PATIENCE, stream.read(&mut byte)).await, Ok(Ok(1)))
            }
            Err(_) => false,
        };
        assert_eq!(answered, welcome, "{address} {}", certificate.is_some());
    }
    for line in [
        r#"tls_handshakes_failed_total{port="xds",reason="unknown_issuer"} 1"#,
        r#"tls_handshakes_failed_total{port="xds",reason="no_certificate"} 1"#,
        r#"tls_handshakes_failed_total{port="api",reason="unknown_issuer"} 1"#,
    ] {
        plane.until_counted(line).await;
    }
    plane.stop().await;
}

#[tokio::test]
async fn plain_text_on_a_port_with_tls_is_refused() {
    let plane = Plane::secure(false).await;
    let mut stream = TcpStream::connect(plane.addresses.xds).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // Reset or closed after an alert, never a frame of HTTP/2.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(answer.len() <= 7, "{answer:?}");
    plane
        .until_counted(r#"tls_handshakes_failed_total{port="xds",reason="not_tls"} 1"#)
        .await;
    plane.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let plane = Plane::secure(true).await;
    let own = plane.authority.sign(&[P1], &[]);
    let shown = async || {
        let tls = plane.authority.client(Some(&own));
        connect(plane.addresses.xds, Some(tls)).await.is_ok()
    };
    let old = channel(
        plane.addresses.xds,
        Some(plane.authority.client(Some(&own))),
    );
    let mut stream = Stream::open(old.await.unwrap(), hello("p1", "", ResourceType::Cluster))
        .await
        .unwrap();
    stream.next().await.unwrap();

    plane.write("key.pem", "garbage");
    plane
        .until_counted(r#"tls_reloads_total{result="failure"} 1"#)
        .await;
    assert!(shown().await, "the old pair stays in force");

    // A name that the client does not take shows that it is in use.
    let other = plane.authority.sign(&[], &["else.test"]);
    plane.write("cert.pem", &other.certificate);
    plane.write("key.pem", &other.key);
    plane
        .until_counted(r#"tls_reloads_total{result="success"} 1"#)
        .await;
    assert!(!shown().await);

    // What was open before goes on.
    stream
        .say
        .send(hello("p1", "", ResourceType::Listener))
        .await
        .unwrap();
    stream.next().await.unwrap();
    plane.stop().await;
}

#[tokio::test]
async fn the_status_tells_where_a_proxy_comes_from_and_what_it_showed() {
    let plane = Plane::secure(true).await;
    let own = plane.authority.sign(&[P1], &[]);
    let tls = plane.authority.client(Some(&own));
    let channel = channel(plane.addresses.xds, Some(tls)).await.unwrap();
    let first = hello("p1", "", ResourceType::Cluster);
    let mut stream = Stream::open(channel, first).await.unwrap();
    stream.next().await.unwrap();
    let admin = plane
        .authority
        .sign(&["spiffe://plane.test/admin/ann"], &[]);
    let mut api = plane.api(Some(plane.authority.client(Some(&admin)))).await;
    let status = api.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert!(status.warnings.is_empty());
    let proxy = &status.proxies[0];
    assert_eq!((proxy.id.as_str(), proxy.identity.as_str()), ("p1", P1));
    assert!(proxy.address.starts_with("127.0.0.1:"), "{}", proxy.address);
    plane.stop().await;
}

#[tokio::test]
async fn a_certificate_does_not_open_what_it_does_not_name() {
    let plane = Plane::secure(true).await;
    let own = plane.authority.sign(&[P1], &[]);
    let tls = plane.authority.client(Some(&own));
    let channel = channel(plane.addresses.xds, Some(tls)).await.unwrap();
    let first = hello("p2", "", ResourceType::Cluster);
    let mut stream = Stream::open(channel, first).await.unwrap();
    let refused = stream.next().await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let text = refused.message();
    assert!(text.contains("\"p2\"") && text.contains(P1), "{text}");
    plane
        .until_counted(r#"xds_denied_total{reason="node_id"} 1"#)
        .await;
    tokio::time::timeout(Duration::from_secs(20), plane.stop())
        .await
        .unwrap();
}
