//! Which cluster and which host.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::balance::latency::Latency;
use crate::balance::{HostIndex, Loads, Pick};
use crate::upstream::cluster::{Cluster, Gauges, HostSet};
use crate::upstream::host::Host;
use crate::worker::Worker;

/// Requests in progress of the whole process.
struct Live<'a> {
    hosts: &'a HostSet,
    gauges: &'a Gauges,
}

impl Loads for Live<'_> {
    fn active(&self, host: HostIndex) -> u32 {
        let place = usize::try_from(host.0).unwrap_or(usize::MAX);
        self.hosts.members.get(place).map_or(0, |member| {
            member.host.shared.in_flight.load(Ordering::Relaxed)
        })
    }

    fn latency(&self, host: HostIndex) -> Option<&Latency> {
        let place = usize::try_from(host.0).ok()?;
        let member = self.hosts.members.get(place)?;
        Some(&member.host.shared.latency)
    }

    /// Without the request that asks.
    fn total(&self, _: &[HostIndex]) -> u32 {
        let requests = self.gauges.requests.load(Ordering::Relaxed);
        requests.saturating_sub(1)
    }
}

/// A host for the next attempt. `affinity` is the hash of what ties the request
/// to one, and `tried` are ids of those to be avoided.
pub(super) fn host(
    worker: &Worker,
    cluster: &Cluster,
    affinity: Option<u64>,
    tried: &[u64],
) -> Option<Arc<Host>> {
    let hosts = cluster.hosts.load();
    let tried: SmallVec<[HostIndex; 4]> = if tried.is_empty() {
        SmallVec::new()
    } else {
        (0_u32..)
            .zip(&hosts.members)
            .filter(|(_, member)| tried.contains(&member.host.id))
            .map(|(place, _)| HostIndex(place))
            .collect()
    };
    let pick = Pick {
        now: worker.now(),
        entropy: worker.entropy(),
        affinity,
        tried: &tried,
    };
    let live = Live {
        hosts: &hosts,
        gauges: &cluster.gauges,
    };
    let chosen = hosts.balancer.pick(&live, &pick)?;
    let place = usize::try_from(chosen.0).ok()?;
    hosts
        .members
        .get(place)
        .map(|member| Arc::clone(&member.host))
}
