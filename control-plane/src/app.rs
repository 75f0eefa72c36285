//! Starts and stops a control plane. Everything it has hangs off one call, so
//! that several live side by side in one process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use evenkeel_shared::proto::DESCRIPTORS;
use evenkeel_shared::proto::v1::management_service_server::ManagementServiceServer;
use futures_util::future::try_join3;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tracing::{info, warn};

use self::serve::{serve, serve_admin};
use crate::access::{Access, Auditor};
use crate::admin;
use crate::admin::metrics::Metrics;
use crate::api::committer::Committer;
use crate::api::service::Management;
use crate::audit_sink::{self, Audit};
use crate::config::ControlPlaneArgs;
use crate::door::{Conn, Door, Keys, Pace};
use crate::fleet::{Fleet, Reporting, Reports};
use crate::seal::{SEALED, Seal};
use crate::snapshot::Snapshot;
use crate::store::{ConfigStore as _, SqliteStore};
use crate::xds::clock::Clock;
use crate::xds::nodes::Nodes;
use crate::xds::service::{Ads, Discovery};

mod serve;

/// How long connections have to end at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// How many requests a connection of the xDS port has open at once: a proxy has
/// one stream for its configuration and one for its reports.
const XDS_REQUESTS: u32 = 16;

/// How fast a connection of the xDS port is read: twice the largest request, and
/// then what a proxy never needs.
const XDS_PACE: Pace = Pace {
    burst: 16 << 20,
    rate: 256 << 10,
};

/// How fast a connection of the API port is read: twice the largest request, and
/// then as much as a user may want.
const API_PACE: Pace = Pace {
    burst: 128 << 20,
    rate: 16 << 20,
};

/// How many requests a connection of the API port has open at once.
const API_REQUESTS: u32 = 128;

/// Where a control plane listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For proxies.
    pub xds: SocketAddr,
    /// For the command line.
    pub api: SocketAddr,
    /// For probes and metrics.
    pub admin: SocketAddr,
}

/// What comes in.
struct Ports {
    xds: ReceiverStream<io::Result<Conn>>,
    api: ReceiverStream<io::Result<Conn>>,
    admin: TcpListener,
}

struct Listeners {
    xds: TcpListener,
    api: TcpListener,
    admin: TcpListener,
}

/// Runs a control plane until `shutdown`; calls `ready` with the addresses when
/// the stored configuration is loaded and connections are accepted.
///
/// # Errors
/// It would be open to other machines without protection, the store cannot be
/// opened or holds an invalid configuration, certificates cannot be used, an
/// address cannot be bound, or a server fails.
pub async fn run(
    args: ControlPlaneArgs,
    shutdown: CancellationToken,
    ready: impl FnOnce(Addresses) + Send,
) -> anyhow::Result<()> {
    let warnings = args.warnings()?;
    for warning in &warnings {
        warn!("insecure: {warning}");
    }
    let keys = Keys::read(&args).await?;
    let clock = Clock::start();
    let (store, seal) = storage(&args).await?;
    let nodes = Arc::new(Nodes::new(clock));
    let metrics = Arc::new(Metrics::new(Arc::clone(&nodes)));
    let tasks = TaskTracker::new();
    let (access, keeper) = Access::load(&store, args.access(), clock, &metrics, &tasks).await?;
    let (stored, known) = (Arc::clone(&store), Arc::clone(&nodes));
    let (committer, configuration) =
        Committer::load(stored, seal, known, Arc::clone(&metrics), access.auditor()).await?;
    let (listeners, addresses) = bind(&args).await?;
    tasks.spawn(keeper.run(shutdown.clone()));
    let ports = Ports::open(listeners, keys, &metrics, &shutdown, &tasks);
    tasks.spawn(committer.run(shutdown.clone()));
    let common = Common {
        nodes: Arc::clone(&nodes),
        fleet: Arc::new(Fleet::default()),
        metrics: Arc::clone(&metrics),
        clock,
        shutdown: shutdown.clone(),
        id: args.id.into(),
        tasks: tasks.clone(),
        auditor: access.auditor(),
    };
    let xds = common.xds(configuration.snapshots()).await;
    let management = Management {
        configuration,
        store: Arc::clone(&store),
        nodes,
        fleet: common.fleet,
        clock,
        id: common.id,
        shutdown: shutdown.clone(),
        gate: access.gate(),
        warnings,
    };
    let api = Routes::new(management.server()).add_service(access.server());
    let api = with_reflection(api)?.add_service(health().await);
    let pages = admin::router(metrics, shutdown.clone());
    info!(xds = %addresses.xds, api = %addresses.api, admin = %addresses.admin, "control plane listens");
    ready(addresses);
    let served = try_join3(
        serve(xds, XDS_REQUESTS, ports.xds, shutdown.clone()),
        serve(api, API_REQUESTS, ports.api, shutdown.clone()),
        serve_admin(pages, ports.admin, shutdown.clone()),
    )
    .await;
    shutdown.cancel();
    end(&tasks, store).await;
    served.map(|_| ())
}

/// What the services of the xDS port work with.
struct Common {
    nodes: Arc<Nodes>,
    fleet: Arc<Fleet>,
    metrics: Arc<Metrics>,
    clock: Clock,
    shutdown: CancellationToken,
    id: Arc<str>,
    tasks: TaskTracker,
    auditor: Auditor,
}

impl Common {
    /// The services of the xDS port.
    async fn xds(&self, snapshots: watch::Receiver<Arc<Snapshot>>) -> Routes {
        let (audit, denials) = Audit::open(Arc::clone(&self.metrics), self.clock);
        let log = audit_sink::log(denials, self.clock, self.auditor.clone());
        self.tasks.spawn(log);
        let discovery = Discovery {
            snapshots,
            nodes: Arc::clone(&self.nodes),
            metrics: Arc::clone(&self.metrics),
            audit: audit.clone(),
            clock: self.clock,
            shutdown: self.shutdown.clone(),
            id: Arc::clone(&self.id),
            tasks: self.tasks.clone(),
        };
        let reporting = Reporting {
            fleet: Arc::clone(&self.fleet),
            audit,
            clock: self.clock,
            tasks: self.tasks.clone(),
            shutdown: self.shutdown.clone(),
        };
        Routes::new(Ads::server(discovery))
            .add_service(Reports::server(reporting))
            .add_service(health().await)
    }
}

/// Waits for the tasks, and closes the store after them.
async fn end(tasks: &TaskTracker, store: Arc<SqliteStore>) {
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        warn!("some streams did not end in time");
    }
    if let Some(store) = Arc::into_inner(store) {
        store.close().await;
    }
}

/// The configuration, and the key to the secrets in it.
async fn storage(args: &ControlPlaneArgs) -> anyhow::Result<(Arc<SqliteStore>, Arc<Seal>)> {
    let directory = || format!("data directory {}", args.data_dir.display());
    let store = SqliteStore::open(args.data_dir.clone()).await;
    let store = store.with_context(directory)?;
    let is_sealed = store.holds(SEALED).await.with_context(directory)?;
    let seal = Seal::of(&args.data_dir, is_sealed).with_context(directory)?;
    Ok((Arc::new(store), Arc::new(seal)))
}

async fn bind(args: &ControlPlaneArgs) -> anyhow::Result<(Listeners, Addresses)> {
    let xds = listen("xds", args.xds_listen).await?;
    let api = listen("api", args.api_listen).await?;
    let admin = listen("admin", args.admin_listen).await?;
    let addresses = Addresses {
        xds: xds.local_addr()?,
        api: api.local_addr()?,
        admin: admin.local_addr()?,
    };
    Ok((Listeners { xds, api, admin }, addresses))
}

async fn listen(name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{name} listener on {address}"))
}

impl Ports {
    /// Lets connections in, and follows the files of certificates.
    fn open(
        listeners: Listeners,
        keys: Option<Keys>,
        metrics: &Arc<Metrics>,
        shutdown: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let door = |port, handshake, pace| Door {
            port,
            handshake,
            pace,
            metrics: Arc::clone(metrics),
            shutdown: shutdown.clone(),
            tasks: tasks.clone(),
        };
        let xds = door("xds", keys.as_ref().map(Keys::xds), XDS_PACE);
        let api = door("api", keys.as_ref().map(Keys::api), API_PACE);
        if let Some(keys) = keys {
            tasks.spawn(keys.follow(Arc::clone(metrics), shutdown.clone()));
        }
        Self {
            xds: xds.open(listeners.xds),
            api: api.open(listeners.api),
            admin: listeners.admin,
        }
    }
}

/// Whether the process serves, for probes that speak gRPC.
async fn health() -> HealthServer<impl Health> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_serving::<ManagementServiceServer<Management<SqliteStore>>>()
        .await;
    health
}

/// Adds the schema, for clients that have none. Only for users: proxies know
/// what they speak.
fn with_reflection(routes: Routes) -> anyhow::Result<Routes> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(routes.add_service(reflection))
}
