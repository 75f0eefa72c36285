//! One endpoint of a cluster and what all workers know of it.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use crate::balance::latency::Latency;
use crate::health::outlier::{Counters, Tally};
use crate::telemetry::counters::Sharded;

/// What all workers share of a host, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shared {
    /// Requests in progress.
    pub in_flight: AtomicU32,
    /// Connections open or being opened.
    pub connections: AtomicU32,
    /// Requests of any worker that wait for a connection to this host.
    pub waiting: AtomicU32,
    /// How long it takes; observed where the cluster balances by it.
    pub latency: Latency,
    /// Consecutive failures.
    pub outlier: Counters,
    /// Set when the host has left its cluster: its connections are closed as
    /// soon as they are idle.
    pub retired: AtomicBool,
}

/// What one worker counts of a host.
#[derive(Debug, Default)]
pub struct HostCounts {
    /// Attempts begun.
    pub requests: AtomicU64,
    /// Attempts that failed.
    pub failures: AtomicU64,
    /// Connections opened.
    pub connects: AtomicU64,
    /// Connections that did not come about.
    pub connect_failures: AtomicU64,
    /// What attempts came to; there once a detector asks for it. The control
    /// thread puts it there, so that no request has to.
    pub tally: OnceLock<Box<Tally>>,
}

/// One endpoint. It keeps its identity, and so its connections, counters and
/// health, for as long as its address stays in the cluster.
#[derive(Debug)]
pub struct Host {
    /// Unique in the process; the key of the workers' pools.
    pub id: u64,
    /// Where it listens.
    pub address: SocketAddr,
    /// What all workers share.
    pub shared: Shared,
    /// What each worker counts for itself.
    pub counts: Sharded<HostCounts>,
}
