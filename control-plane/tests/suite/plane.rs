//! A control plane in this process, certificates, and clients.
#![allow(dead_code, reason = "two suites use it, each a part")]

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use clap::Parser;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use evenkeel_control_plane::app::{self, Addresses};
use evenkeel_control_plane::config::ControlPlaneArgs;
use evenkeel_shared::ir::TlsVersion;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::management_service_client::ManagementServiceClient;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::tls::{ALPN_HTTP2, ClientSettings, NameRules, Pair, ServerRules, Trust};
use evenkeel_shared::xds::ResourceType;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    pub(crate) fn sign(&self, uris: &[&str], dns: &[&str]) -> Pem {
        self.sign_until(uris, dns, None)
    }

    /// Signs a certificate that ends in so many seconds.
    pub(crate) fn sign_until(&self, uris: &[&str], dns: &[&str], ends: Option<i64>) -> Pem {
        let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        for uri in uris {
            let uri = SanType::URI((*uri).try_into().unwrap());
            params.subject_alt_names.push(uri);
        }
        if let Some(seconds) = ends {
            let end = jiff::Timestamp::now().as_second() + seconds;
            params.not_after =
                rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end.try_into().unwrap());
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pem {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority, with its certificate if it has one.
    pub(crate) fn client(&self, own: Option<&Pem>) -> Arc<ClientConfig> {
        let settings = ClientSettings {
            server: Some(ServerRules {
                trust: Trust::read(self.pem.as_bytes(), None).unwrap(),
                names: NameRules::host("plane.test"),
            }),
            certificate: own
                .map(|own| Pair::read(own.certificate.as_bytes(), own.key.as_bytes()).unwrap()),
            lowest: TlsVersion::Tls12,
            alpn: vec![ALPN_HTTP2.to_vec()],
            names_server: true,
        };
        Arc::new(settings.build().unwrap())
    }
}

/// A control plane, with a directory for its data and its certificates.
pub(crate) struct Plane {
    pub(crate) addresses: Addresses,
    pub(crate) directory: TempDir,
    pub(crate) authority: Authority,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

#[derive(Parser)]
struct Role {
    #[command(flatten)]
    args: ControlPlaneArgs,
}

impl Plane {
    /// One that speaks TLS, and asks for certificates if `clients`.
    pub(crate) async fn secure(clients: bool) -> Self {
        let mut flags = vec!["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
        if clients {
            flags.extend(["--client-ca", "ca.pem"]);
        }
        Self::start(&flags).await
    }

    /// One with these flags; files are in its directory, which has `cert.pem`,
    /// `key.pem` and `ca.pem`.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::try_start(flags).await.unwrap()
    }

    pub(crate) async fn try_start(flags: &[&str]) -> anyhow::Result<Self> {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let pem = authority.sign(&[], &["plane.test"]);
        for (name, text) in [
            ("cert.pem", &pem.certificate),
            ("key.pem", &pem.key),
            ("ca.pem", &authority.pem),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let nowhere = "127.0.0.1:0";
        let mut words: Vec<String> = ["role", "--data-dir", "data"].map(str::to_owned).into();
        for port in ["--xds-listen", "--api-listen", "--admin-listen"] {
            if !flags.contains(&port) {
                words.extend([port.to_owned(), nowhere.to_owned()]);
            }
        }
        words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut args = Role::try_parse_from(words).unwrap().args;
        let inside = |path: PathBuf| directory.path().join(path);
        args.data_dir = directory.path().join("data");
        args.tls_cert = args.tls_cert.map(inside);
        args.tls_key = args.tls_key.map(inside);
        args.client_ca = args.client_ca.map(inside);
        let shutdown = CancellationToken::new();
        let (told, ready) = oneshot::channel();
        let token = shutdown.clone();
        let task = tokio::spawn(app::run(args, token, |addresses| {
            told.send(addresses).unwrap();
        }));
        let Ok(addresses) = ready.await else {
            return Err(task.await.unwrap().unwrap_err());
        };
        Ok(Self {
            addresses,
            directory,
            authority,
            shutdown,
            task,
        })
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.directory.path().join(file), text).unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        let ended = timeout(PATIENCE, self.task).await.unwrap();
        ended.unwrap().unwrap();
    }

    /// The API; over TLS if a certificate or trust is given.
    pub(crate) async fn api(
        &self,
        tls: Option<Arc<ClientConfig>>,
    ) -> ManagementServiceClient<Channel> {
        let channel = channel(self.addresses.api, tls).await.unwrap();
        ManagementServiceClient::new(channel)
    }

    /// The text of the metrics page.
    pub(crate) async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.addresses.admin).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        timeout(PATIENCE, read).await.unwrap().unwrap();
        text
    }

    /// Waits until the metrics page has a line.
    pub(crate) async fn until_counted(&self, line: &str) {
        let poll = async {
            while !self.metrics().await.contains(line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let counted = timeout(PATIENCE, poll).await.is_ok();
        assert!(counted, "{line} is not in\n{}", self.metrics().await);
    }
}

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects, and shakes hands if a configuration is given.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Box<dyn Duplex>> {
    let stream = TcpStream::connect(address).await?;
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from("plane.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(tls);
    Ok(Box::new(connector.connect(name, stream).await?))
}

#[derive(Clone)]
struct Connector {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<Box<dyn Duplex>>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Duplex>>;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Connecting {
        let Self { address, tls } = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connect(address, tls).await?)) })
    }
}

/// A gRPC channel.
pub(crate) async fn channel(
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_static("http://plane.test");
    let connector = Connector { address, tls };
    endpoint.connect_with_connector(connector).await
}

/// The first request of a proxy, for all of a type.
pub(crate) fn hello(id: &str, cluster: &str, kind: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: Some(core::Node {
            id: id.to_owned(),
            cluster: cluster.to_owned(),
            ..core::Node::default()
        }),
        type_url: kind.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// An open stream.
pub(crate) struct Stream {
    pub(crate) say: mpsc::Sender<DeltaDiscoveryRequest>,
    pub(crate) hear: Streaming<DeltaDiscoveryResponse>,
}

impl Stream {
    /// Opens a stream with a first request.
    pub(crate) async fn open(
        channel: Channel,
        first: DeltaDiscoveryRequest,
    ) -> Result<Self, Status> {
        let (say, said) = mpsc::channel(64);
        say.send(first).await.unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let hear = client
            .delta_aggregated_resources(ReceiverStream::new(said))
            .await?;
        let hear = hear.into_inner();
        Ok(Self { say, hear })
    }

    /// The next response, or how the stream ended.
    pub(crate) async fn next(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        let message = timeout(PATIENCE, self.hear.message()).await.unwrap()?;
        message.ok_or_else(|| Status::ok("ended"))
    }

    /// Accepts a response.
    pub(crate) async fn accept(&self, response: &DeltaDiscoveryResponse) {
        let answer = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        // The stream may have ended meanwhile.
        let _ = self.say.send(answer).await;
    }
}

pub(crate) fn resource(name: &str, spec: Spec) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        spec: Some(spec),
    }
}

pub(crate) fn cluster(name: &str, ports: &[u16]) -> v1::Resource {
    let endpoints = ports.iter().map(|port| v1::Endpoint {
        address: format!("127.0.0.1:{port}"),
        ..v1::Endpoint::default()
    });
    let endpoints = v1::ClusterEndpoints {
        r#static: endpoints.collect(),
        ..v1::ClusterEndpoints::default()
    };
    let spec = v1::Cluster {
        endpoints: Some(endpoints),
        ..v1::Cluster::default()
    };
    resource(name, Spec::Cluster(spec))
}

/// A listener with a route to a cluster, all of one name.
pub(crate) fn site(name: &str, port: u16) -> Vec<v1::Resource> {
    let listener = v1::Listener {
        address: format!("127.0.0.1:{port}"),
        ..v1::Listener::default()
    };
    let rule = v1::RouteRule {
        clusters: vec![v1::WeightedCluster {
            name: name.to_owned(),
            ..v1::WeightedCluster::default()
        }],
        ..v1::RouteRule::default()
    };
    let route = v1::Route {
        listeners: vec![name.to_owned()],
        rules: vec![rule],
        ..v1::Route::default()
    };
    vec![
        cluster(name, &[9001]),
        resource(name, Spec::Listener(listener)),
        resource(name, Spec::Route(route)),
    ]
}

pub(crate) fn apply(resources: Vec<v1::Resource>) -> v1::ApplyRequest {
    v1::ApplyRequest {
        resources,
        ..v1::ApplyRequest::default()
    }
}
