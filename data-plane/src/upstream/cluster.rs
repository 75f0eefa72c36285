//! A cluster as it lives in the process: settings that never change, one swap
//! for hosts and balancer together, and the gates that bound what is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use arc_swap::ArcSwap;
use evenkeel_shared::ir;
use parking_lot::Mutex;

use crate::balance::Balancer;
use crate::outcome::TLS_FAILURES;
use crate::retry::Budget;
use crate::telemetry::counters::Sharded;
use crate::tls::BackTls;
use crate::upstream::host::Host;

/// Why a host is not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// Outlier detection took it out until the tick.
    Ejected {
        /// Which detector.
        cause: crate::health::outlier::Cause,
        /// When it may come back, at the next sweep.
        until: crate::tick::Tick,
    },
    /// It has not answered a health check yet.
    Unchecked,
    /// It fails health checks.
    FailsChecks(crate::health::active::Failure),
    /// The control plane says that it is unhealthy.
    Unhealthy,
    /// The control plane says that it is going away.
    Draining,
}

/// A host's place in a cluster.
#[derive(Debug, Clone)]
pub struct Member {
    /// The host.
    pub host: Arc<Host>,
    /// Its weight.
    pub weight: u32,
    /// Why it is not chosen, if so.
    pub excluded: Option<Exclusion>,
}

/// The hosts of a cluster and the balancer over them, made anew at every change.
#[derive(Debug)]
pub struct HostSet {
    /// All hosts, ordered by address. A [`crate::balance::HostIndex`] counts in
    /// here.
    pub members: Vec<Member>,
    /// Picks among the usable ones.
    pub balancer: Balancer,
    /// Whether health is ignored because too few are healthy.
    pub panic: bool,
}

/// What is open at once in the whole process; each is compared with its limit
/// in [`ir::Breakers`].
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Gauges {
    /// Connections.
    pub connections: AtomicU32,
    /// Requests that wait for a connection.
    pub pending: AtomicU32,
    /// Requests in progress.
    pub requests: AtomicU32,
    /// Tells those that wait that a connection was closed.
    pub released: tokio::sync::Notify,
}

/// What one worker counts of a cluster.
#[derive(Debug, Default)]
pub struct ClusterCounts {
    /// Requests that chose this cluster.
    pub requests: AtomicU64,
    /// Attempts after the first.
    pub retries: AtomicU64,
    /// Retries that a budget forbade.
    pub retries_denied: AtomicU64,
    /// Requests refused because a breaker was open.
    pub overflows: AtomicU64,
    /// Requests for which there was no host.
    pub no_host: AtomicU64,
    /// Attempts that took longer than the time of one attempt.
    pub per_try_timeouts: AtomicU64,
    /// Connections on which TLS did not come about, by the place of the
    /// [`TlsFailure`](crate::outcome::TlsFailure).
    pub tls_failures: [AtomicU64; TLS_FAILURES],
}

/// A cluster as it lives in the process. What is shared stays the same when its
/// settings change, so that no ejection, open request or count is lost.
#[derive(Debug)]
pub struct Cluster {
    /// Its settings; a change makes a new cluster that takes over the rest.
    pub spec: ir::Cluster,
    /// Hosts and balancer; read on every pick.
    pub hosts: ArcSwap<HostSet>,
    /// Endpoints as told and ejections as decided. A lock, because a new
    /// assignment and an ejection may come at once from two threads; no worker
    /// ever takes it.
    pub membership: Arc<Mutex<crate::runtime::membership::Membership>>,
    /// What is open now.
    pub gauges: Arc<Gauges>,
    /// Bounds the retries.
    pub retry_budget: Arc<Budget>,
    /// What each worker counts for itself.
    pub counts: Arc<Sharded<ClusterCounts>>,
    /// TLS; `None` is in the clear.
    pub tls: Option<Arc<BackTls>>,
}
