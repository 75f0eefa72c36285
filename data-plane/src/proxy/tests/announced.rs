//! Connections behind a load balancer that speaks the PROXY protocol.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::secure::{Authority, shake};
use super::support::{Backend, GET, OK, Peer, Plan, Proxy, soon, until};

/// From `192.0.2.7:4711`.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n";

/// The same, with an extension.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\0\x50\
    \x04\0\x02ab";

/// For itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A proxy behind a load balancer at an address, and what its endpoint sees.
async fn behind(balancer: &str, change: impl FnOnce(&mut Plan)) -> (Proxy, Seen) {
    let (tell, told) = mpsc::unbounded_channel();
    let backend = Backend::scripted(move |_, mut peer: Peer| {
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
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.proxy_protocol_from = vec![balancer.parse().unwrap()];
    change(&mut plan);
    (plan.start(), told)
}

type Seen = mpsc::UnboundedReceiver<String>;

fn failures(proxy: &Proxy) -> u64 {
    let counts = &proxy.front.counts;
    counts.sum(|of| of.proxy_protocol_failures.load(Ordering::Relaxed))
}

#[tokio::test]
async fn the_address_in_the_header_is_the_client() {
    let (proxy, mut seen) = behind("127.0.0.0/8", |_| {}).await;
    for (header, client) in [
        (V1, "192.0.2.7"),
        (V2, "192.0.2.7"),
        (LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let mut peer = proxy.client().await;
        // With the request right behind it.
        let both = [header, GET.as_bytes()].concat();
        soon(peer.stream.write_all(&both)).await.unwrap();
        assert!(peer.message().await.ends_with("ok"));
        let told = soon(seen.recv()).await.unwrap();
        let line = format!("x-forwarded-for: {client}\r\n");
        assert!(told.contains(&line), "{told}");
    }
    assert_eq!(failures(&proxy), 0);
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (proxy, mut seen) = behind("127.0.0.1/32", |_| {}).await;
    for header in [V1, V2] {
        let mut peer = proxy.client().await;
        for byte in header {
            soon(peer.stream.write_all(&[*byte])).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer.write(GET).await;
        assert!(peer.message().await.ends_with("ok"));
        let told = soon(seen.recv()).await.unwrap();
        assert!(told.contains("x-forwarded-for: 192.0.2.7\r\n"), "{told}");
    }
}

#[tokio::test]
async fn a_header_comes_before_tls() {
    let authority = Authority::new();
    let (proxy, mut seen) = behind("127.0.0.0/8", |plan| {
        let settings = authority.server(&["shop.test"]).build().unwrap();
        plan.tls = Some(super::secure::front(Ok(settings), None));
    })
    .await;
    for header in [V1, V2] {
        let mut stream = proxy.client().await.stream;
        soon(stream.write_all(header)).await.unwrap();
        let client = shake(stream, authority.plain_client(), "shop.test").await;
        let mut client = client.unwrap();
        client.write(GET).await;
        assert!(client.message().await.ends_with("ok"));
        let told = soon(seen.recv()).await.unwrap();
        assert!(told.contains("x-forwarded-for: 192.0.2.7\r\n"), "{told}");
        assert!(told.contains("x-forwarded-proto: https\r\n"), "{told}");
    }
}

#[tokio::test]
async fn without_a_header_a_load_balancer_is_not_served() {
    let (proxy, _seen) = behind("127.0.0.0/8", |plan| {
        plan.listener.timeouts.header = Some(Duration::from_millis(150));
    })
    .await;
    let mut late = proxy.client().await;
    soon(late.stream.write_all(&V1[..20])).await.unwrap();
    let mut plain = proxy.client().await;
    plain.write(GET).await;
    assert_eq!(plain.rest().await.0, "");
    assert_eq!(late.rest().await.0, "");
    // Looks whether the port is open.
    drop(proxy.client().await);
    // Breaks off.
    let mut short = proxy.client().await;
    soon(short.stream.write_all(&V2[..20])).await.unwrap();
    drop(short);
    let counts = &proxy.front.counts;
    until(|| counts.sum(|of| of.connections.load(Ordering::Relaxed)) == 4).await;
    until(|| counts.sum(|of| of.connections_open.load(Ordering::Relaxed)) == 0).await;
    assert_eq!(failures(&proxy), 3);
}

#[tokio::test]
async fn from_elsewhere_no_header_is_read() {
    let (proxy, mut seen) = behind("10.0.0.0/8", |_| {}).await;
    let mut peer = proxy.client().await;
    peer.write(GET).await;
    assert!(peer.message().await.ends_with("ok"));
    let told = soon(seen.recv()).await.unwrap();
    assert!(told.contains("x-forwarded-for: 127.0.0.1\r\n"), "{told}");
    let mut peer = proxy.client().await;
    soon(peer.stream.write_all(V1)).await.unwrap();
    peer.write(GET).await;
    let (answer, _) = peer.rest().await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn headers_are_believed_by_the_address_that_the_load_balancer_names() {
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.5\r\n\
        forwarded: for=203.0.113.5\r\nx-request-id: mine\r\n\r\n";
    for (trusted, believed) in [("192.0.2.0/24", true), ("127.0.0.0/8", false)] {
        let (proxy, mut seen) = behind("127.0.0.0/8", |plan| {
            plan.listener.trusted_hops = 1;
            plan.listener.trusted_addresses = vec![trusted.parse().unwrap()];
        })
        .await;
        let mut peer = proxy.client().await;
        soon(peer.stream.write_all(V1)).await.unwrap();
        peer.write(request).await;
        assert!(peer.message().await.ends_with("ok"));
        let told = soon(seen.recv()).await.unwrap();
        let line = if believed {
            "x-forwarded-for: 203.0.113.5, 192.0.2.7\r\n"
        } else {
            "x-forwarded-for: 192.0.2.7\r\n"
        };
        assert!(told.contains(line), "{told}");
        assert_eq!(told.contains("\r\nforwarded: "), believed, "{told}");
        assert_eq!(told.contains("x-request-id: mine"), believed, "{told}");
    }
}
