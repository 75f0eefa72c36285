//! The way into the audit log for what was refused. What was done is written in
//! the transaction that did it.

use std::sync::Arc;

use evenkeel_shared::proto::v1;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::caller::Caller;
use crate::admin::metrics::Metrics;
use crate::seal::redact_changes;
use crate::xds::clock::Clock;

/// Refusals that wait to be written.
const WAITING: usize = 1024;

/// How many refusals that anybody can cause are written in a second.
const PER_SECOND: u32 = 10;

/// Takes refusals. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auditor {
    queue: mpsc::Sender<Item>,
    callers: Arc<Mutex<Limit>>,
    proxies: Arc<Mutex<Limit>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// What was handed over, for a [`super::Keeper`].
pub(super) type AuditQueue = mpsc::Receiver<Item>;

/// Something for the keeper.
#[derive(Debug)]
pub(super) enum Item {
    Entry(Box<v1::AuditEntry>),
    /// Says when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// At most so many in a second; the next one says how many were left out.
#[derive(Debug, Default)]
pub(super) struct Limit {
    second: i64,
    taken: u32,
    dropped: u64,
}

impl Limit {
    /// Whether one more fits into this second; how many did not since the last
    /// one that did.
    pub(super) fn take(&mut self, second: i64) -> Option<u64> {
        if second != self.second {
            (self.second, self.taken) = (second, 0);
        }
        if self.taken < PER_SECOND {
            self.taken += 1;
            Some(std::mem::take(&mut self.dropped))
        } else {
            self.dropped += 1;
            None
        }
    }

    /// Lets an entry through, or not; it says how many were not.
    pub(super) fn pass(&mut self, mut entry: v1::AuditEntry) -> Option<v1::AuditEntry> {
        let second = entry.time.map_or(0, |time| time.seconds);
        let dropped = self.take(second)?;
        if dropped > 0 {
            let note = format!("; {dropped} refusals before it are not in the log");
            entry.detail.push_str(&note);
        }
        Some(entry)
    }
}

impl Auditor {
    /// The way in, and what comes out.
    pub(super) fn new(clock: Clock, metrics: Arc<Metrics>) -> (Self, AuditQueue) {
        let (queue, items) = mpsc::channel(WAITING);
        let auditor = Self {
            queue,
            callers: Arc::default(),
            proxies: Arc::default(),
            metrics,
            clock,
        };
        (auditor, items)
    }

    /// Takes a refusal that anybody can cause. Never waits: what is too much is
    /// dropped and counted.
    pub(crate) fn refused(&self, entry: v1::AuditEntry) {
        self.hand_over(self.callers.lock().pass(entry));
    }

    /// Takes the refusal of a proxy, like [`Self::refused`], with a limit of its
    /// own.
    pub(crate) fn refused_proxy(&self, entry: v1::AuditEntry) {
        self.hand_over(self.proxies.lock().pass(entry));
    }

    fn hand_over(&self, passed: Option<v1::AuditEntry>) {
        let item = passed.map(|entry| Item::Entry(Box::new(entry)));
        if item.is_none_or(|item| self.queue.try_send(item).is_err()) {
            self.metrics.security.audit_dropped.inc();
        }
    }

    /// Takes the refusal of a change; waits for a place.
    pub(crate) async fn refused_change(&self, entry: v1::AuditEntry) {
        let item = Item::Entry(Box::new(entry));
        if self.queue.send(item).await.is_err() {
            self.metrics.security.audit_dropped.inc();
        }
    }

    /// Waits until what was handed over is written.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            // An error says that the control plane ends, which writes all.
            let _ = written.await;
        }
    }

    /// The clock of entries.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What a caller did or was refused, now.
    pub(crate) fn entry(
        &self,
        caller: &Caller,
        action: &str,
        refused: Option<String>,
    ) -> v1::AuditEntry {
        v1::AuditEntry {
            time: Some(self.clock.wall_now()),
            subject: caller.subject.clone(),
            method: caller.method.label().to_owned(),
            source: caller.source.clone(),
            action: action.to_owned(),
            allowed: refused.is_none(),
            detail: refused.unwrap_or_default(),
            ..v1::AuditEntry::default()
        }
    }
}

/// Changes for the log: those that changed something, and nothing secret in
/// them, whoever made the list.
pub(crate) fn loggable(changes: &[v1::Change]) -> Vec<v1::Change> {
    let real = |change: &&v1::Change| change.action() != v1::ChangeAction::Unchanged;
    let mut changes: Vec<v1::Change> = changes.iter().filter(real).cloned().collect();
    redact_changes(&mut changes);
    changes
}

#[cfg(test)]
impl Auditor {
    /// One that nobody listens to.
    pub(crate) fn unread(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self::new(clock, metrics).0
    }
}
