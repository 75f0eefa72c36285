//! Puts the proxy together and takes it apart again.
//!
//! ```text
//! caller's runtime: xDS stream, health, admin, fleet     (this is the control runtime)
//! threads:          workers | configuration | state file | access log | traces
//! ```
//!
//! Nothing here is global: several proxies may run in one process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::config::ProxyArgs;
use crate::drain::DrainReport;
use crate::fleet;
use crate::health::{self, TRIGGER_QUEUE};
use crate::runtime::build::Builder;
use crate::runtime::membership::HostSource;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::access_log::{AccessLog, LogTargets};
use crate::telemetry::export::{self, Export};
use crate::telemetry::metrics::{self, Sources};
use crate::telemetry::sink::{LOG_QUEUE, Outlets, SPAN_QUEUE, Sink};
use crate::worker::{WorkerShared, Workers};
use crate::xds::applier::{Applier, Command};
use crate::xds::cache::{self, Writer};
use crate::xds::doors::Doors;
use crate::xds::session::Session;
use crate::xds::task;
use crate::xds::view::Status;

mod ports;
#[cfg(test)]
mod tests;

use ports::WorkerPorts;

/// How long the threads of logs and traces have to write what they hold.
const TELEMETRY_GRACE: Duration = Duration::from_secs(6);

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
    node: String,
    instance: String,
    clock: Clock,
    entropy: StdRng,
    workers: usize,
    current: Arc<ArcSwap<Snapshot>>,
    status: Arc<Status>,
    addresses: admin::Addresses,
    /// Ends the tasks.
    ending: CancellationToken,
    /// Readiness is taken back.
    draining: CancellationToken,
    /// Somebody wants the process to stop.
    quit: CancellationToken,
}

/// Where records go, and how many got lost there.
struct Telemetry {
    sink: Arc<Sink>,
    targets: Arc<LogTargets>,
    log_lost: Arc<AtomicU64>,
    spans_lost: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// Runs a proxy until `shutdown`, then drains it. `ready` is called once the
/// admin port answers; whether there is a configuration is another question,
/// which `/ready` answers.
///
/// # Errors
/// If it cannot start: the admin port cannot be bound, or there are no threads
/// to be had.
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
    let shared = Arc::new(WorkerShared::new(
        common.workers,
        Arc::clone(&common.current),
        common.clock,
        trigger,
        Arc::clone(&telemetry.sink),
    ));
    let workers = Arc::new(Workers::start(common.workers, &shared)?);

    let applier = common.applier(&args, &telemetry, &workers);
    let seed = applier.builder.seed();
    let (applier, config_thread) = applier.start()?;

    let mut tasks = JoinSet::new();
    let stream = task::Task {
        control_planes: args.control_plane.clone(),
        applier: applier.clone(),
        status: Arc::clone(&common.status),
        clock: common.clock,
        entropy: common.fork(),
        shutdown: common.ending.child_token(),
    };
    let stream_end = stream.shutdown.clone();
    tasks.spawn(stream.run());
    tasks.spawn(common.health(triggers, seed).run());
    tasks.spawn(common.fleet(&args, admin_address).run());
    let sources = telemetry.sources(&common, &shared);
    let admin = common.admin(&args, applier.clone(), sources);
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
    let report = workers.drain(args.drain_delay, args.drain_timeout).await;
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
        Ok(Self {
            node: args.node().map_err(anyhow::Error::msg)?,
            instance: Uuid::now_v7().to_string(),
            clock: Clock::start(),
            entropy: StdRng::try_from_rng(&mut SysRng)?,
            workers: args.worker_count(),
            current: Arc::default(),
            status: Arc::default(),
            addresses: admin::Addresses::default(),
            ending: CancellationToken::new(),
            draining: CancellationToken::new(),
            quit,
        })
    }

    /// A generator of its own for a task.
    fn fork(&mut self) -> StdRng {
        StdRng::seed_from_u64(self.entropy.next_u64())
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
            builder: Builder::new(hosts, self.entropy.next_u64()),
            doors: Doors::new(ports),
            current: Arc::clone(&self.current),
            log_targets: Arc::clone(&telemetry.targets),
            status: Arc::clone(&self.status),
            clock: self.clock,
            node: self.node.clone(),
            cache: None,
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

    fn health(&self, triggers: mpsc::Receiver<health::Trigger>, seed: u64) -> health::task::Task {
        health::task::Task {
            current: Arc::clone(&self.current),
            triggers,
            clock: self.clock,
            seed,
            shutdown: self.ending.clone(),
        }
    }

    fn fleet(&mut self, args: &ProxyArgs, admin: SocketAddr) -> fleet::Task {
        fleet::Task {
            control_planes: args.control_plane.clone(),
            node: self.node.clone(),
            instance: self.instance.clone(),
            admin,
            current: Arc::clone(&self.current),
            status: Arc::clone(&self.status),
            draining: self.draining.clone(),
            clock: self.clock,
            entropy: self.fork(),
            shutdown: self.ending.clone(),
        }
    }

    fn admin(
        &self,
        args: &ProxyArgs,
        applier: crate::xds::applier::Handle,
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
            applier,
            metrics: metrics::registry(sources),
            clock: self.clock,
            draining: self.draining.clone(),
            quit: self.quit.clone(),
        }
    }
}

impl Telemetry {
    /// Begins the threads that write logs and send traces.
    fn start(common: &Common) -> io::Result<Self> {
        let traced = export::is_wanted();
        let (sink, outlets) = Sink::new(common.workers, LOG_QUEUE, traced.then_some(SPAN_QUEUE));
        let mut telemetry = Self {
            sink: Arc::new(sink),
            targets: Arc::default(),
            log_lost: Arc::default(),
            spans_lost: Arc::default(),
            threads: Vec::new(),
        };
        let Outlets { log, spans } = outlets;
        let access_log = AccessLog {
            records: log,
            targets: Arc::clone(&telemetry.targets),
            clock: common.clock,
            lost: Arc::clone(&telemetry.log_lost),
            shutdown: common.ending.clone(),
        };
        telemetry.threads.push(access_log.start()?);
        if let Some(records) = spans {
            let export = Export {
                records,
                clock: common.clock,
                lost: Arc::clone(&telemetry.spans_lost),
                shutdown: common.ending.clone(),
            };
            match export.start(&common.node, &Handle::current()) {
                Ok(thread) => telemetry.threads.push(thread),
                Err(reason) => warn!(?reason, "no traces are sent"),
            }
        }
        Ok(telemetry)
    }

    fn sources(&self, common: &Common, workers: &WorkerShared) -> Sources {
        Sources {
            current: Arc::clone(&common.current),
            status: Arc::clone(&common.status),
            workers: Arc::clone(&workers.counts),
            sink: Arc::clone(&self.sink),
            log_lost: Arc::clone(&self.log_lost),
            spans_lost: Arc::clone(&self.spans_lost),
            clock: common.clock,
        }
    }

    /// Lets the threads write what they hold, for a bounded time.
    async fn finish(self) {
        let joined = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                report_death(thread.join().is_ok(), "telemetry");
            }
        });
        if tokio::time::timeout(TELEMETRY_GRACE, joined).await.is_err() {
            warn!("logs or traces were not written in time");
        }
    }
}
