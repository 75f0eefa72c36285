//! Certificates, endpoints that speak TLS, and clusters that do.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use evenkeel_shared::ir::{RouteSource, TlsVersion, UpstreamProtocol};
use evenkeel_shared::tls::{
    ALPN_HTTP1, ALPN_HTTP2, ClientRules, ClientSettings, NameRules, Pair, ServerRules,
    ServerSettings, Trust,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::support::Proxy;
use crate::outcome::TlsFailure;
use crate::route::{Table, Weighted};
use crate::runtime::snapshot::{Listener, Route, Snapshot};
use crate::telemetry::counters::Sharded;
use crate::tls::{BackTls, sample};
use crate::upstream::cluster::Cluster;

/// The name that endpoints carry.
pub(super) const NAME: &str = "shop.test";

/// Signs certificates.
pub(super) struct Authority(sample::Authority);

impl Authority {
    pub(super) fn new() -> Self {
        Self(sample::Authority::new())
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.0.pem
    }

    pub(super) fn trust(&self) -> Trust {
        self.0.trust()
    }

    pub(super) fn pair(&self, name: &str) -> Pair {
        self.pair_valid(name, (2020, 2120))
    }

    /// Valid from and until the first of January of these years.
    pub(super) fn pair_valid(&self, name: &str, (from, until): (i32, i32)) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        self.0.signed(&params).read()
    }

    /// What an endpoint with a certificate of this authority shows and asks.
    pub(super) fn server(&self) -> ServerSettings {
        shows(self.pair(NAME))
    }

    /// What an endpoint shows that asks for a certificate of this authority.
    pub(super) fn demanding_server(&self) -> ServerSettings {
        ServerSettings {
            clients: Some(ClientRules {
                trust: self.trust(),
                required: true,
                names: NameRules::build(&[]).unwrap(),
            }),
            ..self.server()
        }
    }

    /// What a cluster asks whose endpoints have certificates of this authority.
    pub(super) fn client(&self, protocol: UpstreamProtocol) -> ClientSettings {
        let alpn = match protocol {
            UpstreamProtocol::Http1 => ALPN_HTTP1,
            UpstreamProtocol::Http2 => ALPN_HTTP2,
        };
        ClientSettings {
            server: Some(ServerRules {
                trust: self.trust(),
                names: NameRules::host(NAME),
            }),
            certificate: None,
            lowest: TlsVersion::Tls12,
            alpn: vec![alpn.to_vec()],
            names_server: true,
        }
    }

    /// TLS of a cluster whose endpoints have certificates of this authority.
    pub(super) fn back(&self) -> Arc<BackTls> {
        back(self.client(UpstreamProtocol::Http1))
    }
}

/// Signed by nobody but itself.
pub(super) fn self_signed() -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let pem = sample::Pem {
        chain: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    };
    pem.read()
}

/// What an endpoint with this certificate shows.
pub(super) fn shows(pair: Pair) -> ServerSettings {
    ServerSettings {
        certificates: vec![pair],
        clients: None,
        lowest: TlsVersion::Tls12,
        alpn: vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()],
    }
}

pub(super) fn built(settings: ClientSettings) -> Arc<ClientConfig> {
    Arc::new(settings.build().unwrap())
}

/// TLS of a cluster with these settings.
pub(super) fn back(settings: ClientSettings) -> Arc<BackTls> {
    let name = ServerName::try_from(NAME).unwrap();
    Arc::new(BackTls::new(Ok(built(settings)), Some(name)))
}

impl Proxy {
    /// Puts TLS towards the endpoints of its cluster in force; all else stays.
    pub(super) fn secure(&self, tls: Option<Arc<BackTls>>) {
        let old = self.cluster();
        let cluster = Arc::new(Cluster {
            spec: old.spec.clone(),
            hosts: ArcSwap::new(old.hosts.load_full()),
            membership: Arc::clone(&old.membership),
            gauges: Arc::clone(&old.gauges),
            retry_budget: Arc::clone(&old.retry_budget),
            counts: Arc::clone(&old.counts),
            tls,
        });
        let RouteSource::Inline(table) = &self.front.spec.routes else {
            panic!("the routes are inline");
        };
        let routes = Table::build(table, |route| {
            Arc::new(Route {
                spec: route.clone(),
                clusters: Weighted::new(vec![(Some(Arc::clone(&cluster)), 1)]),
                limiter: None,
                counts: Arc::new(Sharded::new(1)),
            })
        });
        let mut snapshot = Snapshot::default();
        let listener = Listener {
            front: Arc::clone(&self.front),
            routes: Arc::new(routes.unwrap()),
        };
        let name = self.front.spec.name.clone();
        snapshot.listeners.insert(name, Arc::new(listener));
        snapshot.clusters.insert(old.spec.name.clone(), cluster);
        self.shared.config.store(Arc::new(snapshot));
    }

    /// Connections on which TLS failed in this way, as counted.
    pub(super) fn tls_failures(&self, failure: TlsFailure) -> u64 {
        let count = |counts: &crate::upstream::cluster::ClusterCounts| {
            counts.tls_failures[failure.place()].load(Ordering::Relaxed)
        };
        self.cluster().counts.sum(count)
    }
}

/// An endpoint that speaks TLS.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// Handshakes that ended well.
    pub(super) shaken: Arc<AtomicUsize>,
    /// Those among them that resumed a session.
    pub(super) resumed: Arc<AtomicUsize>,
}

impl Endpoint {
    /// Gives each connection, and its number, to `serve` after the handshake.
    pub(super) async fn scripted<F, S>(settings: ServerSettings, serve: F) -> Self
    where
        F: Fn(usize, TlsStream<TcpStream>) -> S + Clone + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let config: Arc<ServerConfig> = Arc::new(settings.build().unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Self {
            address: socket.local_addr().unwrap(),
            shaken: Arc::default(),
            resumed: Arc::default(),
        };
        let (shaken, resumed) = (Arc::clone(&endpoint.shaken), Arc::clone(&endpoint.resumed));
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (shaken, resumed) = (Arc::clone(&shaken), Arc::clone(&resumed));
                stream.set_nodelay(true).unwrap();
                let (config, serve) = (Arc::clone(&config), serve.clone());
                tokio::spawn(async move {
                    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
                        return;
                    };
                    if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                        resumed.fetch_add(1, Ordering::SeqCst);
                    }
                    serve(shaken.fetch_add(1, Ordering::SeqCst), stream).await;
                });
            }
        });
        endpoint
    }

    /// Answers every request with this text.
    pub(super) async fn answering(settings: ServerSettings, answer: &'static str) -> Self {
        Self::scripted(settings, move |_, mut stream| async move {
            while !request(&mut stream).await.is_empty() {
                say(&mut stream, answer).await;
            }
        })
        .await
    }

    pub(super) fn shaken(&self) -> usize {
        self.shaken.load(Ordering::SeqCst)
    }
}

/// A request with its body, byte by byte; empty if the connection ends.
pub(super) async fn request(stream: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => return String::new(),
        }
    }
    let mut text = String::from_utf8(text).unwrap();
    if let Some((_, rest)) = text.to_ascii_lowercase().split_once("content-length: ") {
        let length = rest.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        text += &String::from_utf8(body).unwrap();
    }
    text
}

/// Says something; whoever hears it may be gone.
pub(super) async fn say(stream: &mut TlsStream<TcpStream>, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
}
