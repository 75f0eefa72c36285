//! HTTP/2 and tunnels to endpoints under TLS, and dead HTTP/2 connections.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_shared::ir::UpstreamProtocol;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::backends::{Authority, Endpoint, back, request, say};
use super::support::{Backend, GET, POST, Plan, Proxy, soon, until};

/// Speaks HTTP/2 under TLS: sends back scheme and body, with trailers.
async fn echo(authority: &Authority) -> Endpoint {
    Endpoint::scripted(authority.server(), |_, stream| async move {
        let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
            let scheme = request.uri().scheme_str().unwrap().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let frames = [
                Ok::<_, Infallible>(Frame::data(Bytes::from(scheme + ":"))),
                Ok(Frame::data(body)),
                Ok(Frame::trailers(trailers)),
            ];
            let body = StreamBody::new(futures_util::stream::iter(frames));
            Ok::<_, Infallible>(Response::new(body))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // The proxy ends it.
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

fn proxy(authority: &Authority, endpoint: &Endpoint) -> Proxy {
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    let proxy = plan.start();
    proxy.secure(Some(back(authority.client(UpstreamProtocol::Http2))));
    proxy
}

#[tokio::test]
async fn calls_pass_with_their_trailers_over_one_connection_under_tls() {
    let authority = Authority::new();
    let endpoint = echo(&authority).await;
    let proxy = proxy(&authority, &endpoint);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let asks = (0..50).map(|_| {
        let mut client = client.clone();
        let request = Request::post("http://shop/call")
            .body(Full::new(Bytes::from("hello")))
            .unwrap();
        async move { client.send_request(request).await }
    });
    for response in soon(futures_util::future::join_all(asks)).await {
        let body = soon(response.unwrap().into_body().collect()).await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "https:hello");
    }
    assert_eq!(endpoint.shaken(), 1);
    let cluster = proxy.cluster();
    assert_eq!(cluster.gauges.pending.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http1_clients_reach_http2_endpoints_under_tls() {
    let authority = Authority::new();
    let endpoint = echo(&authority).await;
    let proxy = proxy(&authority, &endpoint);
    for _ in 0..5 {
        let answer = proxy.ask(POST).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("body"), "{answer}");
    }
    assert_eq!(endpoint.shaken(), 1);
}

#[tokio::test]
async fn a_tunnel_goes_through_tls_and_ends_with_a_goodbye() {
    let authority = Authority::new();
    let endpoint = Endpoint::scripted(authority.server(), |_, mut stream| async move {
        let head = request(&mut stream).await;
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            upgrade: websocket\r\n\r\nhello";
        say(&mut stream, switch).await;
        let (mut read, mut write) = tokio::io::split(stream);
        // An end without goodbye is an error, and says nothing.
        if tokio::io::copy(&mut read, &mut write).await.is_ok() {
            let bye = tokio::io::AsyncWriteExt::write_all(&mut write, b"bye");
            bye.await.unwrap();
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
        }
    })
    .await;
    let proxy = Plan::to(&[endpoint.address]).start();
    proxy.secure(Some(authority.back()));
    let mut client = proxy.client().await;
    client
        .write(
            "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: Upgrade\r\n\
            upgrade: websocket\r\nsec-websocket-key: x\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.exactly(5).await, "hello");
    for word in ["one", "two"] {
        client.write(word).await;
        assert_eq!(client.exactly(3).await, word);
    }
    let big = "x".repeat(100_000);
    client.write(&big).await;
    assert_eq!(client.exactly(big.len()).await, big);
    let shutdown = tokio::io::AsyncWriteExt::shutdown(&mut client.stream);
    shutdown.await.unwrap();
    assert_eq!(client.rest().await.0, "bye");
}

#[tokio::test]
async fn a_dead_http2_connection_is_noticed_while_it_is_used() {
    // Takes the connection and everything on it, and never says a word again.
    let hole = Backend::scripted(|_, mut peer| async move {
        // Its own settings, which may be empty.
        tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        peer.rest().await;
    })
    .await;
    let mut plan = Plan::to(&[hole.address]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    plan.settings.keep_alive.interval = Duration::from_millis(100);
    plan.settings.keep_alive.timeout = Duration::from_millis(100);
    let proxy = plan.start();
    let begun = proxy.shared.clock.now();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let took = proxy.shared.clock.now().since(begun);
    assert!(took >= Duration::from_millis(150));
    // The next one does not share its fate. On a busy machine both may be over
    // before the endpoint has looked who is there.
    proxy.ask(GET).await;
    until(|| hole.connections() >= 2).await;
}
