//! Asks hosts whether they are well, and hands the answers to their cluster.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::health::active::{Failure, Moment, Standing};
use crate::runtime::snapshot::Snapshot;
use crate::tick::Tick;
use crate::upstream::cluster::Cluster;
use crate::upstream::probe::probe;

/// Checks at once. What does not fit waits for the next look.
const MOST_CHECKS: usize = 512;

/// A check that is over.
pub(super) struct Checked {
    /// The cluster as it was when the check began.
    pub(super) cluster: Arc<Cluster>,
    host: u64,
    answer: Result<(), Failure>,
}

/// The checks in progress.
#[derive(Default)]
pub(super) struct Checks {
    running: JoinSet<Checked>,
}

impl Checks {
    /// Begins those that are due.
    pub(super) fn ask(&mut self, snapshot: &Snapshot, now: Tick) {
        for cluster in snapshot.clusters.values() {
            if cluster.spec.health_check.is_none() {
                continue;
            }
            let room = MOST_CHECKS.saturating_sub(self.running.len());
            let due = cluster.membership.lock().ask(room, now);
            for (host, address) in due {
                self.begin(cluster, host, address);
            }
        }
    }

    fn begin(&mut self, cluster: &Arc<Cluster>, host: u64, address: SocketAddr) {
        let cluster = Arc::clone(cluster);
        self.running.spawn(async move {
            let asked = AssertUnwindSafe(probe(&cluster, address)).catch_unwind();
            // Whatever happens, the host must be asked again.
            let answer = asked.await.unwrap_or(Err(Failure::Protocol));
            Checked {
                cluster,
                host,
                answer,
            }
        });
    }

    /// The next one that is over; never, while there is none.
    pub(super) async fn next(&mut self) -> Checked {
        loop {
            match self.running.join_next().await {
                Some(Ok(checked)) => return checked,
                // It was told to end, which nobody does.
                Some(Err(_)) => {}
                None => std::future::pending::<()>().await,
            }
        }
    }
}

impl Checked {
    /// Tells the cluster. Whether its hosts have to be made anew.
    pub(super) fn tell(&self, now: Tick, entropy: u64) -> bool {
        let Self {
            cluster,
            host,
            answer,
        } = self;
        let requests = |counts: &crate::upstream::cluster::ClusterCounts| {
            counts.requests.load(Ordering::Relaxed)
        };
        let moment = Moment {
            now,
            entropy,
            used: cluster.counts.sum(requests) > 0,
        };
        let heard = cluster
            .membership
            .lock()
            .heard(*host, *answer, &cluster.spec, moment);
        let Some(heard) = heard else {
            return false;
        };
        let (name, host) = (&cluster.spec.name, heard.address);
        match heard.change {
            Some(Standing::Well) => info!(cluster = %name, %host, "host passes its health check"),
            Some(Standing::Failing(failure)) => {
                warn!(cluster = %name, %host, reason = %failure, "host fails its health check");
            }
            Some(Standing::Unknown) | None => {}
        }
        if heard.returned {
            info!(cluster = %name, %host, "host brought back by its health check");
        }
        heard.change.is_some() || heard.returned
    }
}
