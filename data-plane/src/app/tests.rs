//! A whole proxy against a control plane of a few lines, over real sockets.

use std::pin::Pin;
use std::time::Duration;

use clap::Parser;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use evenkeel_shared::tls::{ALPN_HTTP2, ClientRules, NameRules, ServerSettings};
use evenkeel_shared::xds::{Resource, ResourceType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status as GrpcStatus, Streaming};

use super::*;
use crate::tls::sample::{Authority, write};
use crate::xds::sample::{assignment, cluster, listener, response, table};

mod certificates;
mod names;

const PATIENCE: Duration = Duration::from_secs(20);

type Responses = mpsc::Sender<Result<DeltaDiscoveryResponse, GrpcStatus>>;

/// One stream, as the control plane sees it.
struct Conversation {
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: Responses,
}

/// Hands each stream to the test.
struct Ads(mpsc::Sender<Conversation>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, GrpcStatus>> + Send>>;
    type DeltaAggregatedResourcesStream =
        ReceiverStream<Result<DeltaDiscoveryResponse, GrpcStatus>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, GrpcStatus> {
        Err(GrpcStatus::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, GrpcStatus> {
        let (responses, outbound) = mpsc::channel(16);
        let conversation = Conversation {
            requests: request.into_inner(),
            responses,
        };
        self.0.send(conversation).await.unwrap();
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

impl Conversation {
    async fn next(&mut self) -> DeltaDiscoveryRequest {
        let next = tokio::time::timeout(PATIENCE, self.requests.next());
        next.await.unwrap().unwrap().unwrap()
    }

    /// Sends a response and returns the request that answers it.
    async fn push(&mut self, response: DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
        let nonce = response.nonce.clone();
        let type_url = response.type_url.clone();
        self.responses.send(Ok(response)).await.unwrap();
        loop {
            let request = self.next().await;
            if request.response_nonce == nonce && request.type_url == type_url {
                return request;
            }
        }
    }

    async fn accepts(&mut self, response: DeltaDiscoveryResponse) {
        let answer = self.push(response).await;
        assert_eq!(answer.error_detail, None);
    }
}

async fn control_plane() -> (SocketAddr, mpsc::Receiver<Conversation>) {
    let (streams, conversations) = mpsc::channel(4);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let service = AggregatedDiscoveryServiceServer::new(Ads(streams));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(socket)));
    (address, conversations)
}

/// TLS in front of a control plane, which asks for certificates of the
/// authority.
async fn secured(control_plane: SocketAddr, authority: &Authority) -> SocketAddr {
    let shown = authority.pair("127.0.0.1");
    let settings = ServerSettings {
        certificates: vec![shown.read()],
        clients: Some(ClientRules {
            trust: authority.trust(),
            required: true,
            names: NameRules::build(&[]).unwrap(),
        }),
        lowest: evenkeel_shared::ir::TlsVersion::Tls12,
        alpn: vec![ALPN_HTTP2.to_vec()],
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings.build().unwrap()));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut near = acceptor.accept(tcp).await?;
                let mut far = TcpStream::connect(control_plane).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    address
}

/// A backend that greets.
async fn backend() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let greet = axum::Router::new().fallback(|| std::future::ready("hello"));
    tokio::spawn(async move { axum::serve(socket, greet).await });
    address
}

/// A proxy that runs beside the test.
struct Proxy {
    addresses: Addresses,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<anyhow::Result<DrainReport>>,
}

impl Proxy {
    async fn start(control_plane: SocketAddr, state: &std::path::Path) -> Self {
        Self::start_with(&[format!("--control-plane=http://{control_plane}")], state).await
    }

    /// With more arguments.
    async fn start_with(more: &[String], state: &std::path::Path) -> Self {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            args: ProxyArgs,
        }
        let words = [
            "proxy",
            "--node-id=edge-1",
            "--workers=2",
            "--drain-timeout=5s",
        ];
        let words = words.iter().map(|word| (*word).to_owned());
        let state = format!("--state-dir={}", state.display());
        let told = more.iter().any(|word| word.starts_with("--admin-listen"));
        let admin = (!told).then(|| "--admin-listen=127.0.0.1:0".to_owned());
        let words = words
            .chain(more.iter().cloned())
            .chain([state])
            .chain(admin);
        let line = Line::parse_from(words);
        let shutdown = CancellationToken::new();
        let (ready, addresses) = oneshot::channel();
        let ended = tokio::spawn(run(line.args, shutdown.clone(), |addresses| {
            ready.send(addresses).unwrap();
        }));
        Self {
            addresses: addresses.await.unwrap(),
            shutdown,
            ended,
        }
    }

    async fn stop(self) -> DrainReport {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.ended);
        ended.await.unwrap().unwrap().unwrap()
    }

    async fn admin(&self, call: &str) -> (u16, String) {
        exchange(self.addresses.admin, call).await
    }

    fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.listeners.lock().get(name).copied()
    }

    /// Asks the admin port until it answers with the status.
    async fn until(&self, call: &str, status: u16) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (found, text) = self.admin(call).await;
            if found == status {
                return text;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{call}: {found} {text}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One call, for example `GET /ready`.
async fn exchange(address: SocketAddr, call: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{call} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    read.await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.get(9..12).and_then(|digits| digits.parse().ok());
    (status.unwrap_or(0), answer)
}

/// Sends a configuration in which `/api` leads to the backend.
async fn configure(stream: &mut Conversation, backend: SocketAddr) {
    let api = Resource::Cluster(cluster("api"));
    let endpoints = Resource::Assignment(assignment("api", &[backend.port()]));
    let edge = Resource::Listener(listener("edge", 0));
    let routes = Resource::RouteTable(table("edge", &["api"]));
    stream
        .accepts(response(ResourceType::Cluster, 1, &[api], &[]))
        .await;
    stream
        .accepts(response(ResourceType::Assignment, 1, &[endpoints], &[]))
        .await;
    stream
        .accepts(response(ResourceType::Listener, 1, &[edge], &[]))
        .await;
    stream
        .accepts(response(ResourceType::RouteTable, 1, &[routes], &[]))
        .await;
}

#[tokio::test]
async fn a_proxy_serves_what_it_is_told_and_starts_again_without_a_control_plane() {
    let state = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    assert!(proxy.until("GET /ready", 503).await.contains("not ready"));

    let mut stream = streams.recv().await.unwrap();
    assert_eq!(stream.next().await.node.unwrap().id, "edge-1");
    configure(&mut stream, backend).await;
    proxy.until("GET /ready", 200).await;
    let edge = proxy.listener("edge").unwrap();
    let (status, answer) = exchange(edge, "GET /api").await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");

    drop((stream, streams));
    proxy.stop().await;

    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let proxy = Proxy::start(nobody, state.path()).await;
    proxy.until("GET /ready", 200).await;
    let edge = proxy.listener("edge").unwrap();
    assert_eq!(exchange(edge, "GET /api").await.0, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_refused_in_the_system_s_words() {
    let state = tempfile::tempdir().unwrap();
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    let mut elsewhere = listener("edge", 80);
    elsewhere.address = SocketAddr::from(([192, 0, 2, 1], 80));
    let pushed = response(
        ResourceType::Listener,
        1,
        &[Resource::Listener(elsewhere)],
        &[],
    );
    let detail = stream.push(pushed).await.error_detail.unwrap().message;
    assert!(
        detail.starts_with("Listener/edge: address: cannot bind 192.0.2.1:80: "),
        "{detail}"
    );
    let (_, dump) = proxy.admin("GET /config_dump").await;
    assert!(dump.contains("cannot bind 192.0.2.1:80"), "{dump}");
    proxy.stop().await;
}

#[tokio::test]
async fn an_address_that_comes_free_is_bound_without_a_new_version() {
    let state = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    configure(&mut stream, backend).await;
    let occupied = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = occupied.local_addr().unwrap().port();
    let moved = [Resource::Listener(listener("edge", port))];
    let pushed = response(ResourceType::Listener, 2, &moved, &[]);
    let detail = stream.push(pushed.clone()).await.error_detail.unwrap();
    assert!(detail.message.contains("in use"), "{detail:?}");

    drop(occupied);
    let asked = stream.next().await;
    assert_eq!(asked.type_url, ResourceType::Listener.type_url());
    assert_eq!(asked.resource_names_subscribe, ["edge"]);
    let again = DeltaDiscoveryResponse {
        nonce: "again".to_owned(),
        ..pushed
    };
    stream.accepts(again).await;
    let edge = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(exchange(edge, "GET /api").await.0, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn a_mass_removal_waits_for_a_person() {
    let state = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    configure(&mut stream, backend).await;
    assert_eq!(proxy.admin("POST /removals/confirm").await.0, 409);

    let emptied = stream.push(response(ResourceType::Cluster, 2, &[], &["api"]));
    let detail = emptied.await.error_detail.unwrap().message;
    assert!(
        detail.starts_with("held: would remove 1 of 1 clusters in use"),
        "{detail}"
    );
    assert!(proxy.until("GET /ready", 200).await.contains("held: "));
    let edge = proxy.listener("edge").unwrap();
    assert_eq!(exchange(edge, "GET /api").await.0, 200);
    assert!(
        proxy
            .admin("GET /metrics")
            .await
            .1
            .contains("evenkeel_config_held 1")
    );

    assert_eq!(proxy.admin("POST /removals/confirm").await.0, 200);
    assert_eq!(exchange(edge, "GET /api").await.0, 503);
    proxy.stop().await;
}

#[tokio::test]
async fn the_admin_port_tells_and_obeys() {
    let state = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    configure(&mut stream, backend).await;
    proxy.until("GET /ready", 200).await;
    let edge = proxy.listener("edge").unwrap();
    exchange(edge, "GET /api").await;

    for (call, status, part) in [
        ("GET /", 200, "/config_dump"),
        ("GET /livez", 200, "live"),
        ("GET /healthz", 200, "ready"),
        (
            "GET /metrics",
            200,
            "evenkeel_requests_total{listener=\"edge\",route=\"api\"",
        ),
        ("GET /stats/prometheus", 200, "evenkeel_xds_connected 1"),
        ("GET /config_dump", 200, "\"version\": \"1\""),
        ("GET /clusters", 200, "healthy in_flight=0"),
        ("GET /clusters?format=json", 200, "\"requests\": 1"),
        ("GET /listeners", 200, "edge 127.0.0.1:"),
        ("GET /server_info", 200, "\"node\": \"edge-1\""),
        ("GET /clusters?format=xml", 400, "must be format=json"),
        ("GET /quitquitquit", 405, "takes POST"),
        ("POST /metrics", 405, "takes GET"),
        ("GET /nowhere", 404, "no such page"),
    ] {
        let (found, text) = proxy.admin(call).await;
        assert_eq!(found, status, "{call}: {text}");
        assert!(text.contains(part), "{call}: {text}");
    }
    assert_eq!(proxy.admin("POST /drain_listeners").await.0, 200);
    assert!(proxy.until("GET /ready", 503).await.contains("draining"));
    assert_eq!(proxy.admin("POST /quitquitquit").await.0, 200);
    let ended = tokio::time::timeout(PATIENCE, proxy.ended).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_with_the_accepted_versions() {
    let state = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    configure(&mut stream, backend).await;
    drop(stream);
    let again = tokio::time::timeout(PATIENCE, streams.recv());
    let mut stream = again.await.unwrap().unwrap();
    let mut told = false;
    for _ in 0..3 {
        let request = stream.next().await;
        if request.type_url == ResourceType::Cluster.type_url() {
            told = request.initial_resource_versions.contains_key("api");
        }
    }
    assert!(told);
    let edge = proxy.listener("edge").unwrap();
    assert_eq!(exchange(edge, "GET /api").await.0, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn a_proxy_obeys_a_control_plane_behind_tls_and_only_with_its_certificate() {
    let state = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let (address, mut streams) = control_plane().await;
    let authority = Authority::new();
    let address = secured(address, &authority).await;
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let mut line = vec![
        format!("--control-plane=https://{address}"),
        format!("--control-plane-ca={}", ca.display()),
    ];
    let proxy = Proxy::start_with(&line, state.path()).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut info = String::new();
    while !info.contains("CertificateRequired") {
        assert!(tokio::time::Instant::now() < deadline, "{info}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        info = proxy.admin("GET /server_info").await.1;
    }
    proxy.stop().await;

    let (chain, key) = write(files.path(), &authority.pair("edge-1"));
    line.push(format!("--tls-cert={}", chain.display()));
    line.push(format!("--tls-key={}", key.display()));
    let proxy = Proxy::start_with(&line, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    configure(&mut stream, backend().await).await;
    proxy.until("GET /ready", 200).await;
    let (_, info) = proxy.admin("GET /server_info").await;
    assert!(info.contains(&format!("https://{address}")), "{info}");
    proxy.stop().await;
}

#[tokio::test]
async fn an_admin_port_for_others_shows_everybody_and_obeys_the_token() {
    let state = tempfile::tempdir().unwrap();
    let token = state.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123\n").unwrap();
    let line = [
        "--control-plane=http://127.0.0.1:1".to_owned(),
        "--admin-listen=0.0.0.0:0".to_owned(),
        format!("--admin-token-file={}", token.display()),
    ];
    let mut proxy = Proxy::start_with(&line, &state.path().join("state")).await;
    proxy.addresses.admin.set_ip([127, 0, 0, 1].into());
    assert_eq!(proxy.admin("GET /metrics").await.0, 200);
    let (status, text) = proxy.admin("POST /drain_listeners").await;
    assert_eq!(status, 403, "{text}");
    assert!(text.contains("Authorization: Bearer"), "{text}");

    let mut stream = TcpStream::connect(proxy.addresses.admin).await.unwrap();
    let request = "POST /drain_listeners HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                   authorization: Bearer 0123456789abcdef0123\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    proxy.until("GET /ready", 503).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_stop_the_proxy() {
    let state = tempfile::tempdir().unwrap();
    let (address, _streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    for headers in [
        "host: evil.test:9901\r\n",
        "host: 127.0.0.1\r\norigin: http://evil.test\r\n",
    ] {
        let mut stream = TcpStream::connect(proxy.addresses.admin).await.unwrap();
        let request = format!("POST /quitquitquit HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("403 Forbidden"), "{answer}");
    }
    assert_eq!(proxy.admin("GET /livez").await.0, 200);
    proxy.stop().await;
}
