//! The task that writes down what was refused and who was here, off the path
//! of requests.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::proto::v1;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::audit::{AuditQueue, Item};
use super::registry::Registry;
use crate::admin::metrics::Metrics;
use crate::store::access::AccessStore;

/// Entries written in one transaction at the most.
const BATCH: usize = 128;

/// How often it is written when tokens were used last.
const USES: Duration = Duration::from_mins(1);

/// Writes what the queue and the registry have.
#[derive(Debug)]
pub struct Keeper<S> {
    pub(super) store: Arc<S>,
    pub(super) registry: Arc<Registry>,
    pub(super) queue: AuditQueue,
    pub(super) metrics: Arc<Metrics>,
}

impl<S: AccessStore> Keeper<S> {
    /// Writes until it is told to stop, and then what is left.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut minute = tokio::time::interval(USES);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            // All of them can be cancelled without losing anything.
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = minute.tick() => self.keep_uses().await,
                count = self.queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.write(std::mem::take(&mut batch)).await;
                }
            }
        }
        self.queue.close();
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            self.write(std::mem::take(&mut batch)).await;
        }
        self.keep_uses().await;
    }

    async fn write(&self, items: Vec<Item>) {
        let mut entries = Vec::with_capacity(items.len());
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        for item in items {
            match item {
                Item::Entry(entry) => entries.push(*entry),
                Item::Flush(done) => waiting.push(done),
            }
        }
        self.record(entries).await;
        for done in waiting {
            // Whoever waited may be gone.
            let _ = done.send(());
        }
    }

    async fn record(&self, entries: Vec<v1::AuditEntry>) {
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if count == 0 {
            return;
        }
        if let Err(failure) = self.store.record(entries).await {
            self.metrics.security.audit_dropped.inc_by(count);
            warn!(
                ?failure,
                count, "refusals could not be written to the audit log"
            );
        }
    }

    async fn keep_uses(&self) {
        let uses = self.registry.take_uses();
        if uses.is_empty() {
            return;
        }
        if let Err(failure) = self.store.note_uses(uses).await {
            warn!(?failure, "it could not be kept when tokens were used");
        }
    }
}
