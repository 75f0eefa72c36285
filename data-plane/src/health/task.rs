//! Takes hosts out and brings them back: the only one that does. Workers tell
//! when a detector fires; what follows is decided by
//! [`crate::health::outlier::Ejections`]. Hosts of clusters with active checks
//! are asked here; what follows is decided by [`crate::health::active::Checks`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_shared::names::ClusterName;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::clock::Clock;
use crate::health::Trigger;
use crate::health::outlier::{Cause, Verdict};
use crate::runtime::membership::cause_label;
use crate::runtime::snapshot::Snapshot;
use crate::tick::Tick;
use crate::upstream::cluster::Cluster;

mod checks;

use checks::{Checked, Checks};

/// How often it is looked for clusters whose sweep is due; the finest interval
/// that is kept.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The health of all clusters.
#[derive(Debug)]
pub struct Task {
    /// What is in force.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Detectors that fired.
    pub triggers: mpsc::Receiver<Trigger>,
    /// Now.
    pub clock: Clock,
    /// Where schedules begin.
    pub seed: u64,
    /// For detectors that are not always obeyed.
    pub entropy: StdRng,
    /// Ends the task.
    pub shutdown: CancellationToken,
}

impl Task {
    /// Watches until the shutdown.
    #[tracing::instrument(name = "health", skip_all)]
    pub async fn run(mut self) {
        let mut sweeps = Sweeps::default();
        let mut checks = Checks::default();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // All futures may be dropped without loss.
            tokio::select! {
                trigger = self.triggers.recv() => match trigger {
                    Some(trigger) => self.on_trigger(&trigger),
                    None => return,
                },
                checked = checks.next() => self.on_check(&checked),
                _ = look.tick() => {
                    self.sweep(&mut sweeps);
                    checks.ask(&self.current.load(), self.clock.now());
                }
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    /// Decides on a host whose detector fired.
    fn on_trigger(&self, trigger: &Trigger) {
        let name = &trigger.cluster.spec.name;
        let Some(settings) = trigger.cluster.spec.outlier else {
            return;
        };
        let now = self.clock.now();
        let verdict = trigger.cluster.membership.lock().on_trigger(
            trigger.host,
            trigger.cause,
            now,
            &settings,
        );
        let Some((host, verdict)) = verdict else {
            return;
        };
        if matches!(verdict, Verdict::Ejected { .. }) {
            self.refresh(&trigger.cluster);
        }
        tell(name, host, trigger.cause, verdict, now);
    }

    /// A host has answered, or has not.
    fn on_check(&mut self, checked: &Checked) {
        let entropy = self.entropy.next_u64();
        if checked.tell(self.clock.now(), entropy) {
            self.refresh(&checked.cluster);
        }
    }

    /// Brings back the hosts whose time is over, and takes out those that stand
    /// out among the others.
    fn sweep(&mut self, sweeps: &mut Sweeps) {
        let now = self.clock.now();
        let snapshot = self.current.load_full();
        sweeps.keep_only(&snapshot);
        for (name, cluster) in &snapshot.clusters {
            let Some(settings) = cluster.spec.outlier else {
                continue;
            };
            if !sweeps.is_due(name, settings.interval, now) {
                continue;
            }
            let mut membership = cluster.membership.lock();
            let before = membership.generation;
            let returned = membership.sweep(now, &settings);
            let judged = membership.compare(now, &settings, || self.entropy.next_u64());
            let changed = membership.generation != before;
            drop(membership);
            if changed {
                self.refresh(cluster);
            }
            for host in returned {
                info!(cluster = %name, %host, "host brought back");
            }
            for (host, cause, verdict) in judged {
                tell(name, host, cause, verdict, now);
            }
        }
    }

    /// Brings the hosts of a cluster up to date, under the settings that are in
    /// force by now.
    fn refresh(&self, known: &Arc<Cluster>) {
        let snapshot = self.current.load();
        let cluster = snapshot
            .clusters
            .get(&known.spec.name)
            .filter(|cluster| Arc::ptr_eq(&cluster.membership, &known.membership))
            .unwrap_or(known);
        cluster.refresh(self.seed);
    }
}

/// Writes down what became of a host.
fn tell(cluster: &ClusterName, host: SocketAddr, cause: Cause, verdict: Verdict, now: Tick) {
    let cause = cause_label(cause);
    match verdict {
        Verdict::Ejected { until } => {
            let seconds = until.since(now).as_secs_f64();
            info!(%cluster, %host, cause, seconds, "host ejected");
        }
        Verdict::Overflow => {
            debug!(%cluster, %host, cause, "host not ejected: too many are out");
        }
        Verdict::AlreadyOut => {}
    }
}

/// When each cluster is swept next.
#[derive(Debug, Default)]
struct Sweeps {
    due: BTreeMap<ClusterName, Tick>,
}

impl Sweeps {
    /// Whether the cluster is due; if so, the next time is noted.
    fn is_due(&mut self, cluster: &ClusterName, interval: Duration, now: Tick) -> bool {
        let next = now.plus(interval);
        let Some(due) = self.due.get_mut(cluster) else {
            self.due.insert(cluster.clone(), next);
            return false;
        };
        let is_due = *due <= now;
        if is_due || *due > next {
            *due = next;
        }
        is_due
    }

    /// Forgets clusters that are gone.
    fn keep_only(&mut self, snapshot: &Snapshot) {
        if self.due.len() > snapshot.clusters.len() {
            self.due
                .retain(|name, _| snapshot.clusters.contains_key(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_swept_once_in_its_interval() {
        let mut sweeps = Sweeps::default();
        let name = ClusterName::new("api");
        let second = Duration::from_secs(1);
        let at = |millis| Tick(0).plus(Duration::from_millis(millis));
        assert!(!sweeps.is_due(&name, second, at(0)));
        assert!(!sweeps.is_due(&name, second, at(900)));
        assert!(sweeps.is_due(&name, second, at(1_000)));
        assert!(!sweeps.is_due(&name, second, at(1_100)));
        assert!(sweeps.is_due(&name, second, at(2_050)));
    }

    #[test]
    fn a_shorter_interval_counts_at_once() {
        let mut sweeps = Sweeps::default();
        let name = ClusterName::new("api");
        sweeps.is_due(&name, Duration::from_mins(1), Tick(0));
        assert!(!sweeps.is_due(&name, Duration::from_secs(1), Tick(1)));
        let later = Tick(1).plus(Duration::from_secs(1));
        assert!(sweeps.is_due(&name, Duration::from_secs(1), later));
    }
}
