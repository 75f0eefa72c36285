//! The PROXY protocol towards endpoints.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_shared::ir::{ProxyProtocol, UpstreamProtocol};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::backends::{Authority, request, say};
use super::support::{Backend, GET, Plan, Proxy, soon, until};

/// What a header says: source and destination.
async fn ends(stream: &mut TcpStream) -> (SocketAddr, SocketAddr) {
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    if first.starts_with(b"PROXY TCP4 ") {
        let mut line = first.to_vec();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.unwrap());
        }
        let line = String::from_utf8(line).unwrap();
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let end = |address: &str, port: &str| format!("{address}:{port}").parse().unwrap();
        return (end(words[2], words[4]), end(words[3], words[5]));
    }
    assert_eq!(&first, b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(stream.read_u8().await.unwrap(), 0x21);
    assert_eq!(stream.read_u8().await.unwrap(), 0x11);
    assert_eq!(stream.read_u16().await.unwrap(), 12);
    let mut addresses = [0; 8];
    stream.read_exact(&mut addresses).await.unwrap();
    let ports = [
        stream.read_u16().await.unwrap(),
        stream.read_u16().await.unwrap(),
    ];
    let end = |at: usize, port| {
        let octets: [u8; 4] = addresses[at..at + 4].try_into().unwrap();
        SocketAddr::from((octets, port))
    };
    (end(0, ports[0]), end(4, ports[1]))
}

/// Answers with what the header of the connection said.
async fn telling() -> Backend {
    Backend::scripted(|_, mut peer| async move {
        let (source, destination) = ends(&mut peer.stream).await;
        while !peer.message().await.is_empty() {
            let body = format!("{source} {destination}");
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            peer.write(&answer).await;
        }
    })
    .await
}

fn plan(backend: SocketAddr, version: ProxyProtocol) -> Plan {
    let mut plan = Plan::to(&[backend]);
    plan.cluster().proxy_protocol = Some(version);
    plan
}

/// Asks as often as told on one connection; the endpoint hears of its two ends.
async fn ask(proxy: &Proxy, times: usize) {
    let mut client = proxy.client().await;
    let source = client.stream.local_addr().unwrap();
    for _ in 0..times {
        client.write(GET).await;
        let answer = client.message().await;
        let told = format!("\r\n\r\n{source} {}", proxy.address);
        assert!(answer.ends_with(&told), "{answer}");
    }
}

#[tokio::test]
async fn endpoints_hear_of_the_client_in_both_versions() {
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let backend = telling().await;
        let proxy = plan(backend.address, version).start();
        for clients in 1..=5 {
            ask(&proxy, 4).await;
            // One connection for each client, whatever is idle.
            assert_eq!(backend.connections(), clients);
        }
    }
}

#[tokio::test]
async fn clients_at_the_same_time_are_never_taken_for_each_other() {
    let backend = telling().await;
    let mut plan = plan(backend.address, ProxyProtocol::V2);
    plan.workers = 2;
    let proxy = plan.start();
    futures_util::future::join_all((0..20).map(|_| ask(&proxy, 10))).await;
    assert_eq!(backend.connections(), 20);
}

#[tokio::test]
async fn connections_for_clients_that_left_make_room_for_others() {
    let backend = telling().await;
    let mut plan = plan(backend.address, ProxyProtocol::V1);
    plan.cluster().connection.max = Some(2);
    plan.settings.queue_timeout = super::support::LONG;
    let proxy = plan.start();
    for _ in 0..10 {
        ask(&proxy, 2).await;
    }
    assert!(proxy.cluster().gauges.connections.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn without_the_protocol_connections_are_for_everybody_again() {
    let backend = Backend::answering(super::support::OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    for _ in 0..3 {
        proxy.ask(GET).await;
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let authority = Authority::new();
    let config = std::sync::Arc::new(authority.server().build().unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::clone(&config));
            tokio::spawn(async move {
                let (source, destination) = ends(&mut stream).await;
                let mut stream = acceptor.accept(stream).await.unwrap();
                while !request(&mut stream).await.is_empty() {
                    let body = format!("{source} {destination}");
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                    say(&mut stream, &answer).await;
                }
            });
        }
    });
    let proxy = plan(address, ProxyProtocol::V2).start();
    proxy.secure(Some(authority.back()));
    ask(&proxy, 3).await;
    ask(&proxy, 3).await;
}

#[tokio::test]
async fn http2_connections_are_for_one_client_too() {
    let backend = Backend::scripted(|_, mut peer| async move {
        ends(&mut peer.stream).await;
        let mut connection = h2::server::handshake(peer.stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let response = http::Response::new(());
            respond.send_response(response, true).unwrap();
        }
    })
    .await;
    let mut plan = plan(backend.address, ProxyProtocol::V2);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    let proxy = plan.start();
    for clients in 1..=3 {
        let mut client = proxy.client().await;
        for _ in 0..3 {
            client.write(GET).await;
            let answer = soon(client.message()).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        assert_eq!(backend.connections(), clients);
    }
}

#[tokio::test]
async fn idle_connections_for_one_client_are_closed_like_others() {
    let backend = telling().await;
    let mut plan = plan(backend.address, ProxyProtocol::V1);
    plan.cluster().connection.idle_timeout = Some(Duration::from_millis(100));
    let proxy = plan.start();
    ask(&proxy, 1).await;
    let cluster = proxy.cluster();
    until(|| cluster.gauges.connections.load(Ordering::SeqCst) == 0).await;
}
