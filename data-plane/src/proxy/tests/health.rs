//! Endpoints that are asked whether they are well, and endpoints that are slow.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_shared::ir;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backends::{Authority, Endpoint};
use super::support::{Backend, GET, LONG, OK, Plan, Proxy, soon, until};
use crate::health::active::Failure;
use crate::health::outlier::Cause;
use crate::health::task::Task;
use crate::upstream::cluster::{Exclusion, Member};
use crate::upstream::probe::probe;

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// Looks after the health of a proxy's clusters until it is dropped.
fn looked_after(proxy: &mut Proxy) -> DropGuard {
    let triggers = std::mem::replace(&mut proxy.triggers, mpsc::channel(1).1);
    let shutdown = CancellationToken::new();
    let task = Task {
        current: Arc::clone(&proxy.shared.config),
        triggers,
        clock: proxy.shared.clock,
        seed: 7,
        entropy: StdRng::seed_from_u64(7),
        shutdown: shutdown.clone(),
    };
    tokio::spawn(task.run());
    shutdown.drop_guard()
}

fn check(probe: ir::Probe) -> ir::HealthCheck {
    ir::HealthCheck {
        probe,
        interval: Duration::from_millis(10),
        no_traffic_interval: Duration::from_millis(10),
        jitter_percent: 0,
        timeout: LONG,
        healthy_threshold: 1,
        unhealthy_threshold: 1,
    }
}

fn http(protocol: ir::UpstreamProtocol) -> ir::Probe {
    ir::Probe::Http {
        protocol,
        host: None,
        path: "/well".to_owned(),
        expected: vec![(200, 200)],
    }
}

/// The member with this endpoint, as requests find it.
fn member(proxy: &Proxy, backend: &Backend) -> Member {
    let hosts = proxy.cluster().hosts.load_full();
    let mut members = hosts.members.iter();
    let found = members.find(|member| member.host.address == backend.address);
    found.unwrap().clone()
}

/// Whether the endpoint of a cluster is well, as one check of it says.
async fn asked(proxy: &Proxy) -> Result<(), Failure> {
    let cluster = proxy.cluster();
    let address = cluster.hosts.load().members[0].host.address;
    soon(probe(&cluster, address)).await
}

#[tokio::test]
async fn an_endpoint_gets_requests_while_its_checks_succeed() {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let moody = Backend::scripted(move |_, mut peer| {
        let well = Arc::clone(&told);
        async move {
            loop {
                let head = peer.message().await;
                if head.is_empty() {
                    return;
                }
                let asks = head.starts_with("GET /well ");
                let answer = if asks && !well.load(Ordering::SeqCst) {
                    UNAVAILABLE
                } else {
                    OK
                };
                peer.write(answer).await;
            }
        }
    })
    .await;
    let steady = Backend::answering(OK).await;
    let mut plan = Plan::to(&[moody.address, steady.address]);
    plan.cluster().health_check = Some(check(http(ir::UpstreamProtocol::Http1)));
    let mut proxy = plan.start();
    assert_eq!(member(&proxy, &steady).excluded, Some(Exclusion::Unchecked));
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");

    let _guard = looked_after(&mut proxy);
    let failing = Some(Exclusion::FailsChecks(Failure::Status(503)));
    until(|| member(&proxy, &moody).excluded == failing).await;
    until(|| member(&proxy, &steady).excluded.is_none()).await;
    for _ in 0..4 {
        let answer = proxy.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let requests = |backend: &Backend| {
        let host = member(&proxy, backend).host;
        host.counts.sum(|of| of.requests.load(Ordering::Relaxed))
    };
    assert_eq!(requests(&moody), 0);

    well.store(true, Ordering::SeqCst);
    until(|| member(&proxy, &moody).excluded.is_none()).await;
    for _ in 0..4 {
        proxy.ask(GET).await;
    }
    assert_eq!(requests(&moody), 2);

    well.store(false, Ordering::SeqCst);
    until(|| member(&proxy, &moody).excluded == failing).await;
    let [good, bad] = proxy.cluster().membership.lock().checks_total;
    assert!(good > 0 && bad > 0);
}

#[tokio::test]
async fn a_check_says_why_an_endpoint_is_not_well() {
    let silent = Backend::scripted(|_, mut peer| async move {
        peer.message().await;
        std::future::pending::<()>().await;
    })
    .await;
    let closing = Backend::scripted(|_, mut peer| async move {
        peer.message().await;
    })
    .await;
    let refusing = Backend::answering(UNAVAILABLE).await;
    let serving = Backend::answering(OK).await;
    let cases = [
        (serving.address, Ok(())),
        (refusing.address, Err(Failure::Status(503))),
        (closing.address, Err(Failure::Protocol)),
        (Backend::nowhere().await, Err(Failure::Connect)),
    ];
    for (address, expected) in cases {
        let mut plan = Plan::to(&[address]);
        plan.cluster().health_check = Some(check(http(ir::UpstreamProtocol::Http1)));
        assert_eq!(asked(&plan.start()).await, expected);
    }
    let mut plan = Plan::to(&[silent.address]);
    plan.cluster().health_check = Some(check(http(ir::UpstreamProtocol::Http1)));
    let check = plan.cluster().health_check.as_mut().unwrap();
    check.timeout = Duration::from_millis(20);
    assert_eq!(asked(&plan.start()).await, Err(Failure::Timeout));
}

#[tokio::test]
async fn a_connection_is_enough_for_a_check_over_tcp() {
    let silent = Backend::scripted(|_, _| std::future::pending()).await;
    for (address, expected) in [
        (silent.address, Ok(())),
        (Backend::nowhere().await, Err(Failure::Connect)),
    ] {
        let mut plan = Plan::to(&[address]);
        plan.cluster().health_check = Some(check(ir::Probe::Tcp));
        assert_eq!(asked(&plan.start()).await, expected);
    }
}

#[tokio::test]
async fn checks_are_made_under_tls_where_requests_are() {
    let authority = Authority::new();
    let endpoint = Endpoint::answering(authority.server(), OK).await;
    let mut plan = Plan::to(&[endpoint.address]);
    plan.cluster().health_check = Some(check(http(ir::UpstreamProtocol::Http1)));
    let proxy = plan.start();
    proxy.secure(Some(authority.back()));
    assert_eq!(asked(&proxy).await, Ok(()));
    assert_eq!(endpoint.shaken(), 1);
    proxy.secure(Some(Authority::new().back()));
    assert_eq!(asked(&proxy).await, Err(Failure::Tls));
}

/// Speaks the health service of gRPC: `good` serves, `bad` does not, and there
/// are no others.
async fn health_service() -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let answer = |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let question = request.into_body().collect().await.unwrap().to_bytes();
        let (status, code) = match &question[..] {
            b"\0\0\0\0\x06\x0a\x04good" => (1, "0"),
            b"\0\0\0\0\x05\x0a\x03bad" => (2, "0"),
            _ => (0, "5"),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Ok::<_, Infallible>(Response::new(body))
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let service = hyper::service::service_fn(answer);
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn a_grpc_endpoint_is_well_if_its_service_serves() {
    let address = health_service().await;
    for (service, expected) in [
        ("good", Ok(())),
        ("bad", Err(Failure::NotServing)),
        ("other", Err(Failure::NotServing)),
    ] {
        let mut plan = Plan::to(&[address]);
        plan.cluster().protocol = ir::UpstreamProtocol::Http2;
        plan.cluster().health_check = Some(check(ir::Probe::Grpc {
            service: service.to_owned(),
            authority: None,
        }));
        assert_eq!(asked(&plan.start()).await, expected, "{service}");
    }
}

#[tokio::test]
async fn an_endpoint_that_answers_slowly_is_taken_out() {
    let slow = Backend::scripted(|_, mut peer| async move {
        while !peer.message().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            peer.write(OK).await;
        }
    })
    .await;
    let fast = [
        Backend::answering(OK).await,
        Backend::answering(OK).await,
        Backend::answering(OK).await,
    ];
    let mut addresses: Vec<_> = fast.iter().map(|backend| backend.address).collect();
    addresses.push(slow.address);
    let mut plan = Plan::to(&addresses);
    plan.cluster().outlier = Some(ir::Outlier {
        consecutive_5xx: 0,
        consecutive_gateway_failure: 0,
        consecutive_local_origin_failure: 0,
        split_local_origin: true,
        interval: Duration::from_millis(500),
        base_ejection_time: LONG,
        max_ejection_time: LONG,
        max_ejection_percent: 50,
        always_eject_one: true,
        success_rate: None,
        failure_percentage: None,
        latency: Some(ir::LatencyOutlier {
            minimum_hosts: 3,
            request_volume: 2,
            mad_factor: 5000,
            minimum_difference: Duration::from_millis(50),
            enforcing: 100,
        }),
        return_when_healthy: true,
    });
    let mut proxy = plan.start();
    let _guard = looked_after(&mut proxy);
    let out = || member(&proxy, &slow).excluded;
    soon(async {
        while out().is_none() {
            proxy.ask(GET).await;
        }
    })
    .await;
    assert!(matches!(
        out(),
        Some(Exclusion::Ejected {
            cause: Cause::Latency,
            ..
        })
    ));
    assert!(
        fast.iter()
            .all(|backend| member(&proxy, backend).excluded.is_none())
    );
}
