//! Starts and stops a control plane. Everything it has hangs off one call, so
//! that several live side by side in one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use evenkeel_shared::proto::DESCRIPTORS;
use evenkeel_shared::proto::v1::management_service_server::ManagementServiceServer;
use futures_util::future::try_join3;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tracing::{info, warn};

use crate::admin;
use crate::admin::metrics::Metrics;
use crate::api::committer::Committer;
use crate::api::service::Management;
use crate::config::ControlPlaneArgs;
use crate::fleet::{Fleet, Reports};
use crate::store::SqliteStore;
use crate::xds::clock::Clock;
use crate::xds::nodes::Nodes;
use crate::xds::service::{Ads, Discovery};

/// How often a silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long it has for an answer.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);

/// How long connections have to end at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

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

struct Listeners {
    xds: TcpListener,
    api: TcpListener,
    admin: TcpListener,
}

/// Runs a control plane until `shutdown`; calls `ready` with the addresses when
/// the stored configuration is loaded and connections are accepted.
///
/// # Errors
/// The store cannot be opened or holds an invalid configuration, an address
/// cannot be bound, or a server fails.
pub async fn run(
    args: ControlPlaneArgs,
    shutdown: CancellationToken,
    ready: impl FnOnce(Addresses) + Send,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    let directory = args.data_dir.display().to_string();
    let store = SqliteStore::open(args.data_dir.clone()).await;
    let store = Arc::new(store.with_context(|| format!("data directory {directory}"))?);
    let nodes = Arc::new(Nodes::new(clock));
    let metrics = Arc::new(Metrics::new(Arc::clone(&nodes)));
    let (committer, configuration) = Committer::load(
        Arc::clone(&store),
        Arc::clone(&nodes),
        Arc::clone(&metrics),
        clock,
    )
    .await?;
    let (listeners, addresses) = bind(&args).await?;
    let tasks = TaskTracker::new();
    tasks.spawn(committer.run(shutdown.clone()));
    let fleet = Arc::new(Fleet::default());
    let id: Arc<str> = args.id.into();
    let discovery = Discovery {
        snapshots: configuration.snapshots(),
        nodes: Arc::clone(&nodes),
        metrics: Arc::clone(&metrics),
        clock,
        shutdown: shutdown.clone(),
        id: Arc::clone(&id),
        tasks: tasks.clone(),
    };
    let reports = Reports::server(Arc::clone(&fleet), tasks.clone(), shutdown.clone());
    let management = Management {
        configuration,
        store: Arc::clone(&store),
        nodes,
        fleet,
        clock,
        id,
        shutdown: shutdown.clone(),
    };
    let xds = Routes::new(Ads::server(discovery)).add_service(reports);
    let api = Routes::new(management.server());
    let pages = admin::router(metrics, shutdown.clone());
    info!(xds = %addresses.xds, api = %addresses.api, admin = %addresses.admin, "control plane listens");
    ready(addresses);
    let served = try_join3(
        serve(with_common(xds).await?, listeners.xds, shutdown.clone()),
        serve(with_common(api).await?, listeners.api, shutdown.clone()),
        serve_admin(pages, listeners.admin, shutdown.clone()),
    )
    .await;
    shutdown.cancel();
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        warn!("some streams did not end in time");
    }
    if let Some(store) = Arc::into_inner(store) {
        store.close().await;
    }
    served.map(|_| ())
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
    if !address.ip().is_loopback() {
        warn!(
            listener = name, %address,
            "listens beyond this machine without encryption or authentication: anybody who reaches it can use it"
        );
    }
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{name} listener on {address}"))
}

/// Adds what every gRPC port has: health and reflection.
async fn with_common(routes: Routes) -> anyhow::Result<Routes> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_serving::<ManagementServiceServer<Management<SqliteStore>>>()
        .await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(routes.add_service(health).add_service(reflection))
}

async fn serve(
    routes: Routes,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    end_in_time(server, &shutdown).await
}

async fn serve_admin(
    pages: axum::Router,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let server =
        axum::serve(listener, pages).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    end_in_time(async { server.await }, &shutdown).await
}

/// Lets a server finish after the shutdown, but not for ever.
async fn end_in_time<E>(
    server: impl Future<Output = Result<(), E>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = late => {
            warn!("some connections did not end in time");
            Ok(())
        }
    }
}
