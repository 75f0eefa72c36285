//! What is no longer in force, kept until no worker uses it, so that the thread
//! that made it also frees it: a table of a hundred thousand routes takes
//! milliseconds to be taken apart, in which a worker would answer nobody.
//!
//! Workers let go of a snapshot soon. The listener that they saw last they keep
//! until the next request for it, and a cluster until its last answer has ended.

use std::sync::Arc;

use crate::runtime::snapshot::{Listener, Snapshot};
use crate::upstream::cluster::Cluster;

/// What somebody may still use.
#[derive(Debug, Default)]
pub struct Retired {
    snapshots: Vec<Arc<Snapshot>>,
    listeners: Vec<Arc<Listener>>,
    clusters: Vec<Arc<Cluster>>,
}

impl Retired {
    /// Takes in a snapshot that has been replaced.
    pub fn take(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshots.push(snapshot);
    }

    /// Frees what nobody uses any more. What is in `current` is not retired.
    pub fn free(&mut self, current: &Snapshot) {
        for snapshot in std::mem::take(&mut self.snapshots) {
            // Nobody can come by another reference to what only this one has.
            match Arc::try_unwrap(snapshot) {
                Ok(snapshot) => self.take_apart(snapshot, current),
                Err(used) => self.snapshots.push(used),
            }
        }
        self.listeners.retain(is_used);
        self.clusters.retain(is_used);
    }

    fn take_apart(&mut self, snapshot: Snapshot, current: &Snapshot) {
        for (name, listener) in snapshot.listeners {
            let kept = current.listeners.get(&name);
            if !kept.is_some_and(|kept| Arc::ptr_eq(kept, &listener)) {
                self.listeners.push(listener);
            }
        }
        for (name, cluster) in snapshot.clusters {
            let kept = current.clusters.get(&name);
            if !kept.is_some_and(|kept| Arc::ptr_eq(kept, &cluster)) {
                self.clusters.push(cluster);
            }
        }
    }
}

fn is_used<T>(shared: &Arc<T>) -> bool {
    Arc::strong_count(shared) > 1
}
