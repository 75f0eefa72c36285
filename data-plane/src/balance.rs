//! Chooses an endpoint of a cluster.

use std::sync::atomic::AtomicU64;

use evenkeel_shared::ir;

use crate::tick::Tick;

/// Where a host stands in its cluster's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostIndex(pub u32);

/// One question to a balancer.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// Now.
    pub now: Tick,
    /// A random number, used up by this question.
    pub entropy: u64,
    /// Hash of what ties a request to a host.
    pub affinity: Option<u64>,
    /// Hosts this request has tried; avoided while there are others.
    pub tried: &'a [HostIndex],
}

/// Live load.
pub trait Loads {
    /// Requests in progress at the host.
    fn active(&self, host: HostIndex) -> u32;
}

/// Picks a host.
#[derive(Debug)]
pub struct Balancer {
    hosts: Box<[HostIndex]>,
    cursor: AtomicU64,
}

impl Balancer {
    /// Over the usable hosts and their weights.
    pub fn build(_policy: ir::LbPolicy, usable: &[(HostIndex, u32)], seed: u64) -> Self {
        Self {
            hosts: usable.iter().map(|(host, _)| *host).collect(),
            cursor: AtomicU64::new(seed),
        }
    }

    /// The host for a request; `None` if there is none.
    pub fn pick(&self, _loads: &impl Loads, _pick: &Pick<'_>) -> Option<HostIndex> {
        let turn = self
            .cursor
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let place = turn.checked_rem(self.hosts.len() as u64)?;
        self.hosts.get(usize::try_from(place).ok()?).copied()
    }
}
