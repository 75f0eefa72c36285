//! A proxy between a client and endpoints, all in one process.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_shared::ir;
use evenkeel_shared::names::{AssignmentName, ClusterName, ListenerName, RouteTableName};
use evenkeel_shared::units::Percent;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::health::Trigger;
use crate::runtime::build::Builder;
use crate::runtime::membership::{HostIds, HostSource};
use crate::runtime::snapshot::{Front, Listener, Snapshot};
use crate::telemetry::sink::Sink;
use crate::tls::FrontTls;
use crate::upstream::cluster::Cluster;
use crate::worker::{Http1Codec, Settings, WorkerShared, Workers};
use crate::xds::state::{Active, ActiveCluster, ActiveListener};

/// Longer than anything takes that works.
pub(super) const LONG: Duration = Duration::from_secs(10);

/// What is put in force.
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) settings: Settings,
    pub(super) listener: ir::Listener,
    pub(super) clusters: Vec<ir::Cluster>,
    pub(super) tls: Option<Arc<FrontTls>>,
    pub(super) sink: Sink,
}

impl Plan {
    /// All requests to one cluster of these endpoints, without retries.
    pub(super) fn to(endpoints: &[SocketAddr]) -> Self {
        Self {
            workers: 1,
            settings: settings(),
            listener: listener(),
            clusters: vec![cluster(endpoints)],
            tls: None,
            sink: Sink::closed(),
        }
    }

    pub(super) fn forward(&mut self) -> &mut ir::Forward {
        match &mut self.route().action {
            ir::Action::Forward(forward) => forward,
            _ => panic!("the route forwards"),
        }
    }

    pub(super) fn route(&mut self) -> &mut ir::Route {
        match &mut self.listener.routes {
            ir::RouteSource::Inline(table) => &mut table.hosts[0].routes[0],
            ir::RouteSource::Named(_) => panic!("the routes are inline"),
        }
    }

    pub(super) fn cluster(&mut self) -> &mut ir::Cluster {
        &mut self.clusters[0]
    }

    /// Retries under these conditions, twice, on other hosts.
    pub(super) fn retry(&mut self, on: &[ir::RetryCondition]) {
        self.forward().retry = Some(ir::RetryPolicy {
            on: on.iter().copied().collect(),
            status_codes: [].into(),
            retries: 2,
            backoff: ir::Backoff {
                base: Duration::from_millis(1),
                max: Duration::from_millis(2),
            },
            avoid_previous_hosts: true,
        });
    }

    pub(super) fn start(self) -> Proxy {
        Proxy::start(self)
    }
}

/// The environment can choose the codec, to run all of these tests with the other.
fn settings() -> Settings {
    let hyper = std::env::var("EVENKEEL_HTTP1_CODEC").is_ok_and(|codec| codec == "hyper");
    let mut settings = Settings::default();
    if hyper {
        settings.http1_codec = Http1Codec::Hyper;
    }
    settings
}

/// A proxy that runs.
pub(super) struct Proxy {
    pub(super) workers: Workers,
    pub(super) address: SocketAddr,
    pub(super) front: Arc<Front>,
    pub(super) shared: Arc<WorkerShared>,
    pub(super) triggers: mpsc::Receiver<Trigger>,
    builder: Builder,
    plan: (ir::Listener, Vec<ir::Cluster>),
    tls: Option<Arc<FrontTls>>,
}

pub(super) fn name() -> ListenerName {
    ListenerName::from("web")
}

impl Proxy {
    fn start(plan: Plan) -> Self {
        let source = HostSource {
            ids: Arc::new(HostIds::default()),
            workers: plan.workers,
        };
        let mut builder = Builder::new(source, 7);
        let config = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        apply(&mut builder, &config, &plan.listener, &plan.clusters);
        secure(&config, plan.tls.as_ref());
        let (tell, triggers) = mpsc::channel(16);
        let sink = Arc::new(plan.sink);
        let clock = Clock::start();
        let mut shared = WorkerShared::new(plan.workers, Arc::clone(&config), clock, tell, sink);
        shared.settings = plan.settings;
        let shared = Arc::new(shared);
        let workers = Workers::start(plan.workers, &shared).unwrap();
        let bound = workers
            .bind(&name(), SocketAddr::from(([127, 0, 0, 1], 0)))
            .unwrap();
        let address = bound.address;
        workers.serve(bound).unwrap();
        let front = Arc::clone(&config.load().listeners[&name()].front);
        Self {
            workers,
            address,
            front,
            shared,
            triggers,
            builder,
            plan: (plan.listener, plan.clusters),
            tls: plan.tls,
        }
    }

    pub(super) fn cluster(&self) -> Arc<Cluster> {
        let snapshot = self.shared.config.load();
        Arc::clone(snapshot.clusters.values().next().unwrap())
    }

    /// Puts other endpoints in force.
    pub(super) fn assign(&mut self, endpoints: &[SocketAddr]) {
        self.plan.1 = vec![cluster(endpoints)];
        self.apply();
    }

    fn apply(&mut self) {
        let (listener, clusters) = &self.plan;
        apply(&mut self.builder, &self.shared.config, listener, clusters);
        secure(&self.shared.config, self.tls.as_ref());
    }

    /// Puts other routes in force, which answer with this status.
    pub(super) fn respond(&mut self, status: u16) {
        if let ir::RouteSource::Inline(table) = &mut self.plan.0.routes {
            table.hosts[0].routes[0].action = ir::Action::Respond(ir::Respond {
                status,
                body: "changed".into(),
            });
        }
        self.apply();
    }

    pub(super) async fn client(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own; the whole answer.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut client = self.client().await;
        client.write(request).await;
        client.message().await
    }
}

fn apply(
    builder: &mut Builder,
    config: &ArcSwap<Snapshot>,
    listener: &ir::Listener,
    clusters: &[ir::Cluster],
) {
    let routes = match &listener.routes {
        ir::RouteSource::Inline(table) => Some(Arc::new(table.clone())),
        ir::RouteSource::Named(_) => None,
    };
    let mut active = Active::default();
    active.listeners.insert(
        listener.name.clone(),
        ActiveListener {
            spec: Arc::new(listener.clone()),
            routes,
        },
    );
    for cluster in clusters {
        let assignment = match &cluster.discovery {
            ir::Discovery::Inline(assignment) => Some(Arc::new(assignment.clone())),
            ir::Discovery::Named(_) | ir::Discovery::Dns(_) => None,
        };
        let spec = Arc::new(cluster.clone());
        let active_cluster = ActiveCluster { spec, assignment };
        active.clusters.insert(cluster.name.clone(), active_cluster);
    }
    let staged = builder.stage(&active, "1").unwrap();
    builder.commit(staged, config);
}

/// Puts TLS in front of all listeners.
fn secure(config: &ArcSwap<Snapshot>, tls: Option<&Arc<FrontTls>>) {
    let Some(tls) = tls else {
        return;
    };
    let current = config.load();
    let listeners = current.listeners.iter().map(|(name, listener)| {
        let front = Front {
            spec: listener.front.spec.clone(),
            counts: Arc::clone(&listener.front.counts),
            tls: Some(Arc::clone(tls)),
        };
        let secured = Listener {
            front: Arc::new(front),
            routes: Arc::clone(&listener.routes),
        };
        (name.clone(), Arc::new(secured))
    });
    config.store(Arc::new(Snapshot {
        version: current.version.clone(),
        listeners: listeners.collect(),
        clusters: current.clusters.clone(),
    }));
}

fn listener() -> ir::Listener {
    let route = ir::Route {
        name: "all".to_owned(),
        matches: ir::RouteMatch {
            path: ir::PathMatch::Prefix("/".to_owned()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: ir::Action::Forward(Box::new(ir::Forward {
            clusters: vec![ir::WeightedCluster {
                name: ClusterName::from("shop"),
                weight: 1,
            }],
            timeout: None,
            per_try_timeout: None,
            retry: None,
            path_rewrite: None,
            host_rewrite: None,
            hash_policy: Vec::new(),
        })),
        request_headers: ir::HeaderEdits::default(),
        response_headers: ir::HeaderEdits::default(),
        rate_limit: None,
    };
    ir::Listener {
        tls: None,
        proxy_protocol_from: Vec::new(),
        trusted_addresses: Vec::new(),
        name: name(),
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        protocol: ir::HttpProtocol::Auto,
        routes: ir::RouteSource::Inline(ir::RouteTable {
            name: RouteTableName::from("web"),
            hosts: vec![ir::VirtualHost {
                name: "all".to_owned(),
                domains: vec![ir::Domain::Any],
                routes: vec![route],
            }],
            ignore_port: false,
        }),
        timeouts: ir::Timeouts {
            header: Some(LONG),
            idle: Some(LONG),
            stream_idle: Some(LONG),
        },
        limits: ir::Limits {
            connections: 1_000,
            header_bytes: 16_384,
            headers: 50,
            body_bytes: None,
            concurrent_streams: 100,
        },
        trusted_hops: 0,
        upgrades: vec!["websocket".to_owned()],
        access_log: None,
        trace_sampling: Percent::ZERO,
    }
}

pub(super) fn cluster(endpoints: &[SocketAddr]) -> ir::Cluster {
    let endpoints = endpoints.iter().map(|address| ir::Endpoint {
        address: *address,
        weight: 1,
        health: ir::Health::Healthy,
        locality: ir::Locality::default(),
    });
    ir::Cluster {
        tls: None,
        proxy_protocol: None,
        name: ClusterName::from("shop"),
        discovery: ir::Discovery::Inline(ir::Assignment {
            name: AssignmentName::from("shop"),
            endpoints: endpoints.collect(),
        }),
        protocol: ir::UpstreamProtocol::Http1,
        load_balancing: ir::LoadBalancing {
            policy: ir::LbPolicy::RoundRobin,
            panic_threshold: Percent::ZERO,
        },
        breakers: ir::Breakers {
            connections: 1_000,
            pending: 1_000,
            requests: 1_000,
            retries: ir::RetryBudget {
                share: Percent::HUNDRED,
                min_concurrency: 100,
                min_per_second: None,
            },
        },
        outlier: None,
        health_check: None,
        connection: ir::Connection {
            max: None,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Some(LONG),
            max_requests: None,
        },
    }
}

/// Waits for what must not take long.
pub(super) async fn soon<T>(task: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, task)
        .await
        .expect("takes too long")
}

/// Waits until something is so.
pub(super) async fn until(what: impl Fn() -> bool) {
    soon(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// One end of a connection, byte by byte.
pub(super) struct Peer<S = TcpStream> {
    pub(super) stream: S,
    ahead: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) fn over(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(super) async fn write(&mut self, text: &str) {
        soon(self.stream.write_all(text.as_bytes())).await.unwrap();
        soon(self.stream.flush()).await.unwrap();
    }

    async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 16_384];
        let read = soon(self.stream.read(buffer.as_mut_slice()))
            .await
            .unwrap_or(0);
        self.ahead.extend_from_slice(&buffer[..read]);
        read > 0
    }

    fn take(&mut self, length: usize) -> String {
        let rest = self.ahead.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.ahead, rest)).unwrap()
    }

    /// Up to and with `end`; what there is if the connection ends before.
    pub(super) async fn until(&mut self, end: &str) -> String {
        let end = end.as_bytes();
        loop {
            let found = self.ahead.windows(end.len()).position(|part| part == end);
            if let Some(place) = found {
                return self.take(place + end.len());
            }
            if !self.more().await {
                return self.take(self.ahead.len());
            }
        }
    }

    pub(super) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    pub(super) async fn exactly(&mut self, length: usize) -> String {
        while self.ahead.len() < length {
            assert!(self.more().await, "ends after {:?}", self.ahead);
        }
        self.take(length)
    }

    /// A whole message with `content-length`, chunks, or neither.
    pub(super) async fn message(&mut self) -> String {
        let mut text = self.head().await;
        let lower = text.to_ascii_lowercase();
        if let Some((_, rest)) = lower.split_once("content-length: ") {
            let length = rest.split("\r\n").next().unwrap().parse().unwrap();
            text += &self.exactly(length).await;
        } else if lower.contains("transfer-encoding: chunked") {
            let mut body = String::new();
            while !body.ends_with("0\r\n\r\n") {
                let piece = self.until("\r\n\r\n").await;
                assert!(!piece.is_empty(), "ends after {body:?}");
                body += &piece;
                if body.contains("\r\n0\r\n") {
                    break;
                }
            }
            text += &body;
        }
        text
    }

    /// What comes until the end of the connection, and whether it was reset.
    pub(super) async fn rest(&mut self) -> (String, bool) {
        loop {
            let mut buffer = vec![0; 4_096];
            match soon(self.stream.read(buffer.as_mut_slice())).await {
                Ok(0) => return (self.take(self.ahead.len()), false),
                Ok(read) => self.ahead.extend_from_slice(&buffer[..read]),
                Err(_) => return (self.take(self.ahead.len()), true),
            }
        }
    }
}

/// An endpoint that does what it is told.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) requests: Arc<AtomicUsize>,
}

impl Backend {
    /// Gives each connection, and its number, to `serve`.
    pub(super) async fn scripted<F, S>(serve: F) -> Self
    where
        F: Fn(usize, Peer) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, Peer::new(stream)));
            }
        });
        Self {
            address,
            connections,
            requests: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Answers every message with this text, on as many connections as come.
    pub(super) async fn answering(answer: &'static str) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let mut backend = Self::scripted(move |_, mut peer| {
            let requests = Arc::clone(&counted);
            async move {
                loop {
                    let head = peer.message().await;
                    if head.is_empty() {
                        return;
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                    peer.write(answer).await;
                }
            }
        })
        .await;
        backend.requests = requests;
        backend
    }

    /// An address at which nobody listens.
    pub(super) async fn nowhere() -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
pub(super) const GET: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
pub(super) const POST: &str = "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 4\r\n\r\nbody";
