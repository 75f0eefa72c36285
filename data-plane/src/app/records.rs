//! The threads that write logs and send traces.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::warn;

use super::{Common, report_death};
use crate::telemetry::access_log::{AccessLog, LogTargets};
use crate::telemetry::export::{self, Export};
use crate::telemetry::metrics::Sources;
use crate::telemetry::sink::{LOG_QUEUE, Outlets, SPAN_QUEUE, Sink};
use crate::worker::WorkerShared;

/// How long the threads of logs and traces have to write what they hold.
const TELEMETRY_GRACE: Duration = Duration::from_secs(6);

/// Where records go, and how many got lost there.
pub(super) struct Telemetry {
    pub(super) sink: Arc<Sink>,
    pub(super) targets: Arc<LogTargets>,
    log_lost: Arc<AtomicU64>,
    spans_lost: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Telemetry {
    /// Begins the threads that write logs and send traces.
    pub(super) fn start(common: &Common) -> io::Result<Self> {
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
            lines: log,
            targets: Arc::clone(&telemetry.targets),
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

    pub(super) fn sources(&self, common: &Common, workers: &WorkerShared) -> Sources {
        Sources {
            current: Arc::clone(&common.current),
            status: Arc::clone(&common.status),
            workers: Arc::clone(&workers.counts),
            sink: Arc::clone(&self.sink),
            log_lost: Arc::clone(&self.log_lost),
            spans_lost: Arc::clone(&self.spans_lost),
            secrets: Arc::clone(&common.secrets),
            clock: common.clock,
        }
    }

    /// Lets the threads write what they hold, for a bounded time.
    pub(super) async fn finish(self) {
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
