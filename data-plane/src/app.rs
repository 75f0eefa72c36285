//! Puts the proxy together and takes it apart again.
//!
//! ```text
//! caller's runtime: xDS stream, names, health, admin, fleet, certificate files  (the control runtime)
//! threads:          workers | configuration | state file | access log | traces
//! ```
//!
//! Nothing here is global: several proxies may run in one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::admin::guard::Guard;
use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::config::ProxyArgs;
use crate::dns;
use crate::drain::DrainReport;
use crate::fleet;
use crate::health::{self, TRIGGER_QUEUE};
use crate::runtime::build::Builder;
use crate::runtime::membership::HostSource;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::metrics::{self, Sources};
use crate::telemetry::sink::Sink;
use crate::tls::secrets::Secrets;
use crate::tls::watch::Watch;
use crate::worker::{WorkerShared, Workers};
use crate::xds::applier::{self, Applier, Command};
use crate::xds::cache::{self, Writer};
use crate::xds::connect::Dialer;
use crate::xds::doors::Doors;
use crate::xds::session::Session;
use crate::xds::task;
use crate::xds::view::Status;

mod ports;
mod records;
#[cfg(test)]
mod tests;

use ports::WorkerPorts;
use records::Telemetry;

/// Where a running proxy can be reached.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The admin port.
    pub admin: SocketAddr,
    /// The listeners, as they come and go.
    pub listeners: admin::Addresses,
}

/// What many parts share.
struct Common {
    dialer: Dialer,
    node: String,
    instance: String,
    clock: Clock,
    entropy: StdRng,
    workers: usize,
    current: Arc<ArcSwap<Snapshot>>,
    status: Arc<Status>,
    addresses: admin::Addresses,
    secrets: Arc<Secrets>,
    /// Ends the tasks.
    ending: CancellationToken,
    /// Readiness is taken back.
    draining: CancellationToken,
    /// Somebody wants the process to stop.
    quit: CancellationToken,
}

/// Runs a proxy until `shutdown`, then drains it. `ready` is called once the
/// admin port answers; whether there is a configuration is another question,
/// which `/ready` answers.
///
/// # Errors
/// If it cannot start: the arguments do not fit together, the admin port cannot
/// be bound, or there are no threads to be had.
pub async fn run(
    args: ProxyArgs,
    shutdown: CancellationToken,
    ready: impl FnOnce(Addresses) + Send,
) -> anyhow::Result<DrainReport> {
    let mut common = Common::new(&args, shutdown.child_token())?;
    let listener = TcpListener::bind(args.admin_listen)
        .await
        .with_context(|| format!("cannot bind the admin port {}", args.admin_listen))?;
    let admin_address = listener.local_addr()?;
    let telemetry = Telemetry::start(&common)?;
    let (trigger, triggers) = mpsc::channel(TRIGGER_QUEUE);
    let shared = common.shared(&args, trigger, Arc::clone(&telemetry.sink));
    let workers = Arc::new(Workers::start(common.workers, &shared)?);

    let applier = common.applier(&args, &telemetry, &workers);
    let seed = applier.builder.seed();
    let watch_files = Watch {
        secrets: Arc::clone(&common.secrets),
        shutdown: common.ending.clone(),
    };
    let (applier, config_thread) = applier.start()?;

    let mut tasks = JoinSet::new();
    let stream = common.stream(applier.clone());
    let stream_end = stream.shutdown.clone();
    tasks.spawn(stream.run());
    tasks.spawn(watch_files.run());
    tasks.spawn(common.names(&args, applier.clone()).run());
    tasks.spawn(common.health(triggers, seed).run());
    tasks.spawn(common.fleet(admin_address).run());
    let sources = telemetry.sources(&common, &shared);
    let guard = Guard::new(admin_address, args.admin_token_file.clone());
    let admin = common.admin(&args, guard, applier.clone(), sources);
    tasks.spawn(serve_admin(listener, admin, common.ending.clone()));
    info!(node = common.node, admin = %admin_address, workers = common.workers, "proxy started");
    ready(Addresses {
        admin: admin_address,
        listeners: Arc::clone(&common.addresses),
    });

    let config_end = watch(config_thread, &common).await;
    info!("draining");
    common.draining.cancel();
    stream_end.cancel();
    applier.tell(Command::Stop);
    if let Some(config_end) = config_end {
        report_death(config_end.await.is_ok_and(|ended| ended), "configuration");
    }
    let workers = Arc::into_inner(workers).ok_or_else(|| anyhow!("workers are still in use"))?;
    let report = workers.drain().await;
    common.ending.cancel();
    while tasks.join_next().await.is_some() {}
    telemetry.finish().await;
    info!(
        connections = report.connections,
        cut = report.cut,
        "drained"
    );
    Ok(report)
}

/// Serves the admin port until `ending`.
async fn serve_admin(listener: TcpListener, admin: Admin, ending: CancellationToken) {
    let ended = ending.cancelled_owned();
    if let Err(reason) = admin::serve(listener, Arc::new(admin), ended).await {
        error!(?reason, "the admin port has died");
    }
}

/// Waits until the proxy is to stop. Returns the end of the configuration
/// thread, unless it has died meanwhile: then the proxy serves on with what is
/// in force.
async fn watch(thread: JoinHandle<()>, common: &Common) -> Option<tokio::task::JoinHandle<bool>> {
    let mut joined = tokio::task::spawn_blocking(move || thread.join().is_ok());
    tokio::select! {
        () = common.quit.cancelled() => return Some(joined),
        _ = &mut joined => {}
    }
    error!("the configuration thread has died; what is in force stays");
    common.quit.cancelled().await;
    None
}

fn report_death(ended_well: bool, thread: &str) {
    if !ended_well {
        error!(thread, "a thread has died");
    }
}

impl Common {
    fn new(args: &ProxyArgs, quit: CancellationToken) -> anyhow::Result<Self> {
        args.check_admin_token().map_err(anyhow::Error::msg)?;
        Ok(Self {
            dialer: args.dialer().map_err(anyhow::Error::msg)?,
            node: args.node().map_err(anyhow::Error::msg)?,
            instance: Uuid::now_v7().to_string(),
            clock: Clock::start(),
            entropy: StdRng::try_from_rng(&mut SysRng)?,
            workers: args.worker_count(),
            current: Arc::default(),
            status: Arc::default(),
            addresses: admin::Addresses::default(),
            secrets: Arc::default(),
            ending: CancellationToken::new(),
            draining: CancellationToken::new(),
            quit,
        })
    }

    /// A generator of its own for a task.
    fn fork(&mut self) -> StdRng {
        StdRng::seed_from_u64(self.entropy.next_u64())
    }

    /// What workers share.
    fn shared(
        &self,
        args: &ProxyArgs,
        triggers: mpsc::Sender<health::Trigger>,
        sink: Arc<Sink>,
    ) -> Arc<WorkerShared> {
        let current = Arc::clone(&self.current);
        let mut shared = WorkerShared::new(self.workers, current, self.clock, triggers, sink);
        shared.settings.drain = args.drain_times();
        shared.settings.http1_codec = args.http1_codec;
        Arc::new(shared)
    }

    /// The configuration side, with what an earlier run saved already in force.
    fn applier(
        &mut self,
        args: &ProxyArgs,
        telemetry: &Telemetry,
        workers: &Arc<Workers>,
    ) -> Applier<WorkerPorts> {
        let hosts = HostSource {
            ids: Arc::default(),
            workers: self.workers,
        };
        let ports = WorkerPorts {
            workers: Arc::clone(workers),
            addresses: Arc::clone(&self.addresses),
        };
        let node = task::node(&self.node, &args.cluster, &args.metadata());
        let mut applier = Applier {
            session: Session::new(node),
            builder: Builder::new(hosts, self.entropy.next_u64())
                .with_secrets(Arc::clone(&self.secrets)),
            doors: Doors::new(ports),
            current: Arc::clone(&self.current),
            log_targets: Arc::clone(&telemetry.targets),
            status: Arc::clone(&self.status),
            clock: self.clock,
            node: self.node.clone(),
            cache: None,
            restored: false,
        };
        if args.no_state {
            return applier;
        }
        if let Some(image) = cache::load(&args.state_dir, &self.node) {
            let saved_at = &self.status.saved_at;
            saved_at.store(image.written_at, Ordering::Relaxed);
            applier.restore(image);
        }
        match Writer::start(args.state_dir.clone(), Arc::clone(&self.status)) {
            Ok(writer) => applier.cache = Some(writer),
            Err(reason) => {
                let path = args.state_dir.display();
                warn!(%path, ?reason, "no state is kept");
            }
        }
        applier
    }

    fn health(
        &mut self,
        triggers: mpsc::Receiver<health::Trigger>,
        seed: u64,
    ) -> health::task::Task {
        health::task::Task {
            current: Arc::clone(&self.current),
            triggers,
            clock: self.clock,
            seed,
            entropy: self.fork(),
            shutdown: self.ending.clone(),
        }
    }

    fn stream(&mut self, applier: applier::Handle) -> task::Task {
        task::Task {
            dialer: self.dialer.clone(),
            applier,
            status: Arc::clone(&self.status),
            clock: self.clock,
            entropy: self.fork(),
            shutdown: self.ending.child_token(),
        }
    }

    fn names(&mut self, args: &ProxyArgs, applier: applier::Handle) -> dns::task::Task {
        dns::task::Task {
            resolver: dns::resolver::Resolver::new(args.dns_server.clone()),
            applier,
            status: Arc::clone(&self.status),
            clock: self.clock,
            entropy: self.fork(),
            shutdown: self.ending.clone(),
        }
    }

    fn fleet(&mut self, admin: SocketAddr) -> fleet::Task {
        fleet::Task {
            dialer: self.dialer.clone(),
            node: self.node.clone(),
            instance: self.instance.clone(),
            admin,
            current: Arc::clone(&self.current),
            status: Arc::clone(&self.status),
            secrets: Arc::clone(&self.secrets),
            draining: self.draining.clone(),
            clock: self.clock,
            entropy: self.fork(),
            shutdown: self.ending.clone(),
        }
    }

    fn admin(
        &self,
        args: &ProxyArgs,
        guard: Guard,
        applier: applier::Handle,
        sources: Sources,
    ) -> Admin {
        Admin {
            node: self.node.clone(),
            cluster: args.cluster.clone(),
            instance: self.instance.clone(),
            workers: self.workers,
            current: Arc::clone(&self.current),
            status: Arc::clone(&self.status),
            addresses: Arc::clone(&self.addresses),
            secrets: Arc::clone(&self.secrets),
            applier,
            guard,
            metrics: metrics::registry(sources),
            clock: self.clock,
            draining: self.draining.clone(),
            quit: self.quit.clone(),
        }
    }
}
