//! Takes hosts out that fail.

use std::sync::atomic::AtomicU32;

use evenkeel_shared::ir;

use crate::outcome::Outcome;
use crate::tick::Tick;

/// Which detector fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Failures in a row.
    Consecutive5xx,
    /// Gateway failures in a row.
    ConsecutiveGatewayFailure,
    /// Local failures in a row.
    ConsecutiveLocalOriginFailure,
}

/// Failures in a row of one host.
#[derive(Debug, Default)]
pub struct Counters {
    _server_errors: AtomicU32,
}

impl Counters {
    /// Counts an attempt; says which detector fires, if one does.
    pub fn observe(&self, _outcome: Outcome, _settings: &ir::Outlier) -> Option<Cause> {
        None
    }

    /// Forgets all failures, as when the host comes back.
    pub fn reset(&self) {}
}

/// What became of a host whose detector fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is out.
    Ejected {
        /// It comes back with the first sweep from then on.
        until: Tick,
    },
    /// Too many are out.
    Overflow,
    /// It was out.
    AlreadyOut,
}

/// A host that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Why.
    pub cause: Cause,
    /// It comes back with the first sweep from then on.
    pub until: Tick,
}

/// The ejected hosts of one cluster, and how often each was.
#[derive(Debug, Default)]
pub struct Ejections {}

impl Ejections {
    /// A detector of a host fired, in a cluster of so many hosts.
    pub fn on_trigger(
        &mut self,
        _host: u64,
        _cause: Cause,
        _hosts: usize,
        _now: Tick,
        _settings: &ir::Outlier,
    ) -> Verdict {
        Verdict::Overflow
    }

    /// Takes back the hosts whose time is over; to be called each interval.
    /// Their [`Counters`] are to be reset.
    pub fn sweep(&mut self, _now: Tick, _settings: &ir::Outlier) -> Vec<u64> {
        Vec::new()
    }

    /// The host has left the cluster.
    pub fn forget(&mut self, _host: u64) {}

    /// The ejection of a host that is out.
    pub fn get(&self, _host: u64) -> Option<Ejection> {
        None
    }

    /// How many hosts are out.
    pub fn count(&self) -> usize {
        0
    }

    /// When the first host may come back.
    pub fn next_due(&self) -> Option<Tick> {
        None
    }
}
