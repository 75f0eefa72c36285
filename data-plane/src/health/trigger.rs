//! What a worker tells the control thread when a detector fires. The worker
//! only counts; whether the host is taken out is decided in one place.

use std::sync::Arc;

use crate::health::outlier::Cause;
use crate::upstream::cluster::Cluster;

/// A detector of a host has fired.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The cluster as the worker knew it.
    pub cluster: Arc<Cluster>,
    /// Id of the host.
    pub host: u64,
    /// Which detector.
    pub cause: Cause,
}

/// How many triggers may wait for the control thread. A full queue drops: a
/// host that goes on failing fires again.
pub const TRIGGER_QUEUE: usize = 1_024;
