//! What the configuration side shows of itself: to the admin port, to metrics,
//! and to the control plane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use evenkeel_shared::ir::DnsTarget;
use evenkeel_shared::names::ListenerName;
use evenkeel_shared::xds::ResourceType;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::dns::shown::Shown;
use crate::tick::Tick;
use crate::xds::session::Rejected;
use crate::xds::state::{Active, Found, Held, Key};

/// The configuration as it stands; replaced whole at every change.
#[derive(Debug, Clone, Default)]
pub struct ConfigView {
    /// The control plane's word for it.
    pub version: Arc<str>,
    /// What is accepted.
    pub held: Held,
    /// The names that clusters want to be looked up.
    pub names: Arc<BTreeSet<DnsTarget>>,
    /// What is known of their endpoints.
    pub found: Arc<Found>,
    /// What is in force.
    pub active: Arc<Active>,
    /// What is refused, and why.
    pub rejected: BTreeMap<Key, Rejected>,
    /// Clusters and listeners that wait for endpoints, routes or secrets.
    pub waiting: Vec<Key>,
    /// Listeners that are closed until secrets come of which no copy is on disk.
    pub unkept: Vec<ListenerName>,
    /// Why a push is held back, and what it would change.
    pub mass_removal: Option<HeldBack>,
    /// Whether the control plane has said which listeners there are.
    pub told_listeners: bool,
    /// When it last changed; `None` before the first time.
    pub changed: Option<Tick>,
}

/// A push that is held back because it would remove too much.
#[derive(Debug, Clone)]
pub struct HeldBack {
    /// Why, for people.
    pub reason: String,
    /// What would change.
    pub resources: Vec<Key>,
}

/// The line to the control plane.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Where the stream goes to; `None` if there is none.
    pub endpoint: Option<String>,
    /// When that last changed.
    pub since: Tick,
    /// When the last response came.
    pub last_response: Option<Tick>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Everything that is shown. One for a process; written by the configuration
/// side, read by everybody.
#[derive(Debug, Default)]
pub struct Status {
    /// The configuration as it stands.
    pub config: ArcSwap<ConfigView>,
    /// The line to the control plane. A lock: written once in a while, read by
    /// the admin port.
    pub line: Mutex<Line>,
    /// Seconds since 1970 at which the last-known-good file was written; 0 is
    /// never.
    pub saved_at: AtomicU64,
    /// What came of looking names up.
    pub names: ArcSwap<Shown>,
    nacks: [AtomicU64; ResourceType::ALL.len() + 1],
    news: Notify,
    /// Whether listeners are known and none waited, or lacked secrets that were not
    /// saved; once, and then for good.
    ready: std::sync::atomic::AtomicBool,
}

impl Status {
    /// Whether there was a first good configuration.
    pub fn is_configured(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// There is a first good configuration.
    pub(crate) fn set_configured(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Waits until something has changed since this was last waited for. For one
    /// waiter.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// Something has changed.
    pub(crate) fn tell(&self) {
        self.news.notify_one();
    }

    /// Counts a NACK; types that are not ours share a number.
    pub(crate) fn count_nack(&self, type_url: &str) {
        let kind = ResourceType::from_type_url(type_url);
        let place = kind.and_then(|kind| ResourceType::ALL.iter().position(|known| *known == kind));
        self.nacks[place.unwrap_or(ResourceType::ALL.len())].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of NACKs by type.
    pub fn nacks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let labels = ResourceType::ALL.iter().map(|kind| kind.label());
        let counts = self.nacks.iter().map(|count| count.load(Ordering::Relaxed));
        labels.chain(["other"]).zip(counts)
    }
}
