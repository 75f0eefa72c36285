//! The configuration in force, with every reference resolved.
//!
//! A request loads it once and holds it until its last retry is decided; then
//! only the cluster and the host it uses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use evenkeel_shared::ir;
use evenkeel_shared::names::{ClusterName, ListenerName};

use crate::limit::Limiter;
use crate::route::{Table, Weighted};
use crate::telemetry::counters::Sharded;
use crate::telemetry::handshakes::Handshakes;
use crate::tls::FrontTls;
use crate::upstream::cluster::Cluster;

/// Everything in force.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What the control plane calls it: the revision, for ours.
    pub version: String,
    /// Where requests come in.
    pub listeners: BTreeMap<ListenerName, Arc<Listener>>,
    /// Where they go.
    pub clusters: BTreeMap<ClusterName, Arc<Cluster>>,
}

/// A listener and the routes it serves.
#[derive(Debug)]
pub struct Listener {
    /// What stays when only routes change.
    pub front: Arc<Front>,
    /// Its routes.
    pub routes: Arc<Table<Arc<Route>>>,
}

/// A listener without its routes: all that connections and answers on their way
/// hold on to, so that none of them keeps old routes and clusters alive.
#[derive(Debug)]
pub struct Front {
    /// Its settings.
    pub spec: ir::Listener,
    /// What each worker counts for itself; outlives changes of the settings.
    pub counts: Arc<Sharded<ListenerCounts>>,
    /// TLS; `None` is in the clear.
    pub tls: Option<Arc<FrontTls>>,
}

/// What one worker counts of a listener.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections closed at once because there were too many.
    pub connections_refused: AtomicU64,
    /// Connections closed because the header of the PROXY protocol was missing,
    /// malformed or late.
    pub proxy_protocol_failures: AtomicU64,
    /// TLS handshakes.
    pub handshakes: Handshakes,
    /// Connections open now; a worker adds and takes away only its own.
    pub connections_open: AtomicU64,
    /// Requests in progress now.
    pub requests_open: AtomicU64,
    /// Requests answered, by the first digit of the status; index 0 is those
    /// that ended without an answer.
    pub answers: [AtomicU64; 6],
}

/// A route with its clusters at hand.
#[derive(Debug)]
pub struct Route {
    /// As it was sent.
    pub spec: ir::Route,
    /// For a forwarding route: the clusters by weight; `None` for one that does
    /// not exist, which is answered with 503.
    pub clusters: Weighted<Option<Arc<Cluster>>>,
    /// Its rate limit; shared by routes of one name.
    pub limiter: Option<Arc<Limiter>>,
    /// What each worker counts for itself; shared by routes of one name.
    pub counts: Arc<Sharded<RouteCounts>>,
}

/// What one worker counts of a route.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// Requests answered, by the first digit of the status; index 0 is those
    /// that ended without an answer.
    pub answers: [AtomicU64; 6],
    /// Requests refused by the rate limit.
    pub rate_limited: AtomicU64,
    /// Time from a request's head to the end of its answer: counts by bucket of
    /// [`crate::telemetry::counters::LATENCY_BOUNDS`], and one above.
    pub latency: [AtomicU64; crate::telemetry::counters::LATENCY_BUCKETS],
    /// Sum of those times in microseconds.
    pub latency_sum_us: AtomicU64,
}
