//! HTTP/2 on either side, and connections that switch to something else.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_shared::ir::{HttpProtocol, RetryCondition, UpstreamProtocol};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Backend, GET, OK, Plan, Proxy, soon, until};

type Client = SendRequest<Full<Bytes>>;

async fn client(proxy: &Proxy) -> Client {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("http://shop/path")
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

/// An endpoint that speaks HTTP/2 and sends back what it gets, with trailers.
async fn echo() -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                let collected = request.into_body().collect().await.unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let frames = [
                    Ok::<_, Infallible>(Frame::data(collected.to_bytes())),
                    Ok(Frame::trailers(trailers)),
                ];
                let body = StreamBody::new(futures_util::stream::iter(frames));
                Ok::<_, Infallible>(Response::new(body))
            });
            let io = TokioIo::new(stream);
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service),
            );
        }
    });
    address
}

#[tokio::test]
async fn http2_clients_reach_http1_endpoints() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = client(&proxy).await;
    for (method, body) in [("GET", ""), ("POST", "body"), ("HEAD", "")] {
        let response = soon(client.send_request(request(method, body)))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn a_call_passes_with_its_trailers_over_http2() {
    let mut plan = Plan::to(&[echo().await]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    let proxy = plan.start();
    let mut client = client(&proxy).await;
    let response = soon(client.send_request(request("POST", "hello")))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let body = soon(response.into_body().collect()).await.unwrap();
    let trailers = body.trailers().cloned().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn http2_streams_share_a_connection() {
    let mut plan = Plan::to(&[echo().await]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    let proxy = plan.start();
    let client = client(&proxy).await;
    let asks = (0..50).map(|_| {
        let mut client = client.clone();
        async move { client.send_request(request("POST", "hello")).await }
    });
    for response in soon(futures_util::future::join_all(asks)).await {
        let body = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
    }
    let cluster = proxy.cluster();
    assert_eq!(cluster.gauges.connections.load(Ordering::SeqCst), 1);
    assert_eq!(cluster.gauges.pending.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http1_clients_reach_http2_endpoints() {
    let mut plan = Plan::to(&[echo().await]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    let proxy = plan.start();
    let answer = proxy.ask(super::support::POST).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("body"), "{answer}");
}

#[tokio::test]
async fn a_broken_answer_resets_the_stream_and_nothing_else() {
    let backend = Backend::scripted(|number, mut peer| async move {
        peer.head().await;
        if number == 0 {
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        } else {
            peer.write(OK).await;
        }
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = client(&proxy).await;
    let response = soon(client.send_request(request("GET", ""))).await.unwrap();
    assert!(soon(response.into_body().collect()).await.is_err());
    let response = soon(client.send_request(request("GET", ""))).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// An endpoint that refuses the first streams with the reason, then answers.
async fn refusing(reason: h2::Reason, times: usize) -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let seen = std::sync::Arc::clone(&seen);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    if seen.fetch_add(1, Ordering::SeqCst) < times {
                        respond.send_reset(reason);
                    } else {
                        respond.send_response(Response::new(()), true).unwrap();
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_even_for_a_post() {
    let mut plan = Plan::to(&[refusing(h2::Reason::REFUSED_STREAM, 1).await]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    plan.retry(&[RetryCondition::RefusedStream]);
    let proxy = plan.start();
    let answer = proxy.ask(super::support::POST).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_endpoint_that_says_goaway_after_each_answer_costs_no_request() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_response(Response::new(()), true).unwrap();
                    connection.graceful_shutdown();
                }
            });
        }
    });
    let mut plan = Plan::to(&[address]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    plan.retry(&[RetryCondition::RefusedStream]);
    let proxy = plan.start();
    let mut client = proxy.client().await;
    for round in 0..50 {
        client.write(super::support::POST).await;
        let answer = client.message().await;
        assert!(
            answer.starts_with("HTTP/1.1 200 "),
            "round {round}: {answer}"
        );
    }
}

#[tokio::test]
async fn another_reset_of_a_stream_is_not_tried_again() {
    let mut plan = Plan::to(&[refusing(h2::Reason::CANCEL, 1).await]);
    plan.cluster().protocol = UpstreamProtocol::Http2;
    plan.retry(&[RetryCondition::RefusedStream]);
    let proxy = plan.start();
    let answer = proxy.ask(super::support::POST).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_ended() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
            .await;
        let piece = vec![b'x'; 65_536];
        while tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &piece)
            .await
            .is_ok()
        {}
    })
    .await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.stream_idle = Some(Duration::from_millis(200));
    let proxy = plan.start();
    let mut client = client(&proxy).await;
    let response = soon(client.send_request(request("GET", ""))).await.unwrap();
    let cluster = proxy.cluster();
    until(|| cluster.gauges.requests.load(Ordering::SeqCst) == 0).await;
    assert!(soon(response.into_body().collect()).await.is_err());
}

#[tokio::test]
async fn a_listener_speaks_only_what_it_is_told() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.protocol = HttpProtocol::Http1;
    let proxy = plan.start();
    assert!(proxy.ask(GET).await.ends_with("ok"));
    let mut other = client(&proxy).await;
    assert!(soon(other.send_request(request("GET", ""))).await.is_err());
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.protocol = HttpProtocol::Http2;
    let proxy = plan.start();
    let mut other = client(&proxy).await;
    let response = soon(other.send_request(request("GET", ""))).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_drain_says_goaway_and_finishes_streams() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        peer.write(OK).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = client(&proxy).await;
    let answer = tokio::spawn(client.send_request(request("GET", "")));
    until(|| backend.connections() == 1).await;
    let drain = proxy.workers.drain();
    let report = soon(drain).await;
    assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
    assert_eq!(report.cut, 0);
}

#[tokio::test]
async fn before_the_delay_is_over_clients_are_sent_away_and_served_elsewhere() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.settings.drain.delay = super::support::LONG;
    let proxy = plan.start();
    let (mut first, unused) = (client(&proxy).await, client(&proxy).await);
    let response = soon(first.send_request(request("GET", ""))).await.unwrap();
    assert_eq!(response.status(), 200);
    proxy.workers.leave().unwrap();
    until(|| first.is_closed()).await;
    for mut later in [unused, client(&proxy).await] {
        let response = soon(later.send_request(request("GET", ""))).await.unwrap();
        assert_eq!(response.status(), 200);
        until(|| later.is_closed()).await;
    }
}

const SWITCH: &str = "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";

/// An endpoint that switches and sends back what it gets.
async fn switching() -> Backend {
    Backend::scripted(|_, mut peer| async move {
        let head = peer.head().await;
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        assert!(head.contains("connection: upgrade\r\n"), "{head}");
        peer.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            upgrade: websocket\r\nsec-websocket-accept: y\r\n\r\nhello",
        )
        .await;
        let (mut read, mut write) = peer.stream.split();
        // The client ends it.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_and_outlives_configuration() {
    let backend = switching().await;
    let mut proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client.write(SWITCH).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: y\r\n"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    assert_eq!(client.exactly(5).await, "hello");
    proxy.assign(&[]);
    for word in ["one", "two"] {
        client.write(word).await;
        assert_eq!(client.exactly(3).await, word);
    }
    let counts = proxy.shared.counts.of(0);
    assert_eq!(counts.tunnels_open.load(Ordering::Relaxed), 1);
    drop(client);
    until(|| counts.tunnels_open.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_allowed_is_a_plain_request() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.upgrades.clear();
    let answer = plan.start().ask(SWITCH).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_endpoint_may_decline_to_switch() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client.write(SWITCH).await;
    assert!(client.message().await.ends_with("ok"));
    client.write(GET).await;
    assert!(client.message().await.ends_with("ok"));
}

#[tokio::test]
async fn a_silent_tunnel_is_closed() {
    let backend = switching().await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.stream_idle = Some(Duration::from_millis(100));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write(SWITCH).await;
    client.head().await;
    assert_eq!(client.rest().await.0, "hello");
}
