//! What may be open at once. Each guard gives back what it took when it is
//! dropped, however that comes about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use evenkeel_shared::ir;

use crate::retry::Budget;
use crate::upstream::cluster::{Cluster, Gauges};
use crate::upstream::host::Host;

/// Adds one if the number is below `limit`.
fn take(number: &AtomicU32, limit: u32) -> bool {
    number
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            (now < limit).then(|| now + 1)
        })
        .is_ok()
}

fn give_back(number: &AtomicU32) {
    number.fetch_sub(1, Ordering::AcqRel);
}

/// A connection to a host, in the whole process.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    host: Arc<Host>,
    gauges: Arc<Gauges>,
}

impl ConnectionPermit {
    /// Unless the host or its cluster has as many as it may.
    pub(crate) fn take(host: &Arc<Host>, cluster: &Cluster) -> Option<Self> {
        let per_host = cluster.spec.connection.max.unwrap_or(u32::MAX);
        if !take(&host.shared.connections, per_host) {
            return None;
        }
        if !take(
            &cluster.gauges.connections,
            cluster.spec.breakers.connections,
        ) {
            give_back(&host.shared.connections);
            return None;
        }
        Some(Self {
            host: Arc::clone(host),
            gauges: Arc::clone(&cluster.gauges),
        })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        give_back(&self.host.shared.connections);
        give_back(&self.gauges.connections);
        if self.gauges.pending.load(Ordering::Acquire) > 0 {
            self.gauges.released.notify_waiters();
        }
    }
}

/// A request that waits for a connection, in the whole process.
#[derive(Debug)]
pub(crate) struct PendingPermit {
    host: Arc<Host>,
    gauges: Arc<Gauges>,
}

impl PendingPermit {
    /// Unless as many wait as may.
    pub(crate) fn take(host: &Arc<Host>, cluster: &Cluster) -> Option<Self> {
        take(&cluster.gauges.pending, cluster.spec.breakers.pending).then(|| {
            host.shared.waiting.fetch_add(1, Ordering::AcqRel);
            Self {
                host: Arc::clone(host),
                gauges: Arc::clone(&cluster.gauges),
            }
        })
    }
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        give_back(&self.host.shared.waiting);
        give_back(&self.gauges.pending);
    }
}

/// A request in progress in a cluster, retries included.
#[derive(Debug)]
pub(crate) struct RequestPermit(Arc<Gauges>);

impl RequestPermit {
    /// Unless there are as many as may be.
    pub(crate) fn take(gauges: &Arc<Gauges>, breakers: &ir::Breakers) -> Option<Self> {
        take(&gauges.requests, breakers.requests).then(|| Self(Arc::clone(gauges)))
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        give_back(&self.0.requests);
    }
}

/// A request in progress at a host.
#[derive(Debug)]
pub(crate) struct HostLoad(Arc<Host>);

impl HostLoad {
    /// From the choice of the host until it is dropped.
    pub(crate) fn add(host: &Arc<Host>) -> Self {
        host.shared.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(host))
    }
}

impl Drop for HostLoad {
    fn drop(&mut self) {
        give_back(&self.0.shared.in_flight);
    }
}

/// A retry that the cluster's budget has granted.
#[derive(Debug)]
pub(crate) struct RetryHold(Arc<Budget>);

impl RetryHold {
    /// Until it is dropped.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self(Arc::clone(budget))
    }
}

impl Drop for RetryHold {
    fn drop(&mut self) {
        self.0.end_retry();
    }
}
