//! The register of proxies: who is connected, how far each has come, and what
//! it refuses. It remembers those that left for an hour.
//!
//! Bounded: when it is full, whoever left first is forgotten; a proxy that does
//! not fit is served all the same, but not listed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::clock::Clock;
use super::subscription::Rejected;
use crate::peer::Peer;
use crate::snapshot::NodeIdentity;

/// How many proxies are kept.
const CAPACITY: usize = 20_000;

/// How long a proxy that left is kept, in nanoseconds.
const MEMORY: u64 = 3_600_000_000_000;

/// How many revisions remember who was connected when they were committed.
const AUDIENCES: usize = 256;

/// How far a stream has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The newest revision it has answered all of.
    pub settled: u64,
    /// The newest revision it has accepted all of.
    pub accepted: u64,
    /// What it refuses now.
    pub rejections: Arc<[Rejected]>,
}

/// A proxy, as of now.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it says of itself.
    pub identity: NodeIdentity,
    /// Whether a stream is open.
    pub connected: bool,
    /// When the oldest open stream opened, or the last one closed, in
    /// nanoseconds of the clock.
    pub since: u64,
    /// How far its newest stream has come.
    pub progress: Progress,
    /// Where its newest stream comes from, or came from.
    pub address: String,
    /// The name in the certificate of that; empty without one.
    pub certificate: String,
}

/// How a proxy stands now, without who it is: that is cheap to ask of all.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Whether a stream is open.
    pub connected: bool,
    /// As in [`Node`].
    pub since: u64,
    /// How far its newest stream has come.
    pub progress: Progress,
}

/// The register.
#[derive(Debug)]
pub struct Nodes {
    entries: DashMap<String, Entry>,
    /// Who was connected at a commit. A lock of its own, held for a lookup.
    audiences: Mutex<BTreeMap<u64, Arc<[String]>>>,
    changed: watch::Sender<u64>,
    streams: AtomicU64,
    clock: Clock,
}

#[derive(Debug)]
struct Entry {
    /// Open streams by number; a reconnect may overlap the stream it replaces.
    streams: BTreeMap<u64, Line>,
    /// The last one that closed.
    last: Line,
    since: u64,
}

/// A stream, as it is listed.
#[derive(Debug, Clone, Default)]
struct Line {
    identity: NodeIdentity,
    progress: Progress,
    address: String,
    certificate: String,
    /// Whose it is. A proxy of the same id that is somebody else's is served,
    /// but not listed in place of the one that was there before.
    owner: String,
}

/// An open stream of a proxy; it is registered until this is dropped.
#[derive(Debug)]
pub struct Connected {
    nodes: Arc<Nodes>,
    id: String,
    stream: u64,
    contested: bool,
}

impl Nodes {
    /// Nobody yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            entries: DashMap::new(),
            audiences: Mutex::default(),
            changed: watch::Sender::new(0),
            streams: AtomicU64::new(0),
            clock,
        }
    }

    /// Registers a stream of a proxy.
    pub fn connect(self: &Arc<Self>, identity: NodeIdentity, peer: Option<&Peer>) -> Connected {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let id = identity.id.clone();
        let now = self.clock.now();
        if self.entries.len() >= CAPACITY {
            self.make_room(now);
        }
        let mut contested = false;
        if self.entries.contains_key(&id) || self.entries.len() < CAPACITY {
            let mut entry = self.entries.entry(id.clone()).or_insert_with(|| Entry {
                streams: BTreeMap::new(),
                last: Line::default(),
                since: now,
            });
            if entry.streams.is_empty() {
                entry.since = now;
            }
            let line = Line::new(identity, peer);
            // Whoever does not say who they are share the empty id.
            contested = !id.is_empty() && entry.owner().is_some_and(|owner| owner != line.owner);
            entry.streams.insert(stream, line);
        }
        self.notify();
        Connected {
            nodes: Arc::clone(self),
            id,
            stream,
            contested,
        }
    }

    /// All proxies, ordered by id.
    pub fn list(&self) -> Vec<Node> {
        let now = self.clock.now();
        self.entries.retain(|_, entry| !entry.is_forgotten(now));
        let mut nodes: Vec<Node> = self.entries.iter().map(|entry| entry.facts()).collect();
        nodes.sort_by(|a, b| a.identity.id.cmp(&b.identity.id));
        nodes
    }

    /// How one proxy stands.
    pub fn standing(&self, id: &str) -> Option<Standing> {
        self.entries.get(id).map(|entry| entry.standing())
    }

    /// Ids of the proxies that are connected, in order.
    pub fn connected(&self) -> Vec<String> {
        let open = self.entries.iter();
        let open = open.filter(|entry| !entry.streams.is_empty());
        let mut ids: Vec<String> = open.map(|entry| entry.key().clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Notes who is connected as a revision is committed; returns how many.
    pub fn capture_audience(&self, revision: u64) -> usize {
        let ids: Arc<[String]> = self.connected().into();
        let count = ids.len();
        let mut audiences = self.audiences.lock();
        audiences.insert(revision, ids);
        while audiences.len() > AUDIENCES {
            audiences.pop_first();
        }
        count
    }

    /// Who was connected when a revision was committed, if that is remembered.
    pub fn audience(&self, revision: u64) -> Option<Arc<[String]>> {
        self.audiences.lock().get(&revision).map(Arc::clone)
    }

    /// Tells when anything changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn notify(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn make_room(&self, now: u64) {
        self.entries.retain(|_, entry| !entry.is_forgotten(now));
        if self.entries.len() < CAPACITY {
            return;
        }
        let left = self.entries.iter();
        let left = left.filter(|entry| entry.streams.is_empty());
        let oldest = left
            .min_by_key(|entry| entry.since)
            .map(|entry| entry.key().clone());
        if let Some(id) = oldest {
            self.entries
                .remove_if(&id, |_, entry| entry.streams.is_empty());
        }
    }
}

impl Entry {
    fn is_forgotten(&self, now: u64) -> bool {
        self.streams.is_empty() && now.saturating_sub(self.since) > MEMORY
    }

    /// Who has the id: whoever's stream is the oldest.
    fn owner(&self) -> Option<&str> {
        let oldest = self.streams.first_key_value();
        oldest.map(|(_, line)| line.owner.as_str())
    }

    /// Its newest stream, if one is open, and what is known of that or of the last.
    fn newest(&self) -> (bool, &Line) {
        let owner = self.owner();
        let mut lines = self.streams.values().rev();
        let newest = lines.find(|line| Some(line.owner.as_str()) == owner);
        (newest.is_some(), newest.unwrap_or(&self.last))
    }

    fn facts(&self) -> Node {
        let (connected, line) = self.newest();
        Node {
            identity: line.identity.clone(),
            connected,
            since: self.since,
            progress: line.progress.clone(),
            address: line.address.clone(),
            certificate: line.certificate.clone(),
        }
    }

    fn standing(&self) -> Standing {
        let (connected, line) = self.newest();
        Standing {
            connected,
            since: self.since,
            progress: line.progress.clone(),
        }
    }
}

impl Line {
    fn new(identity: NodeIdentity, peer: Option<&Peer>) -> Self {
        Self {
            identity,
            progress: Progress::default(),
            address: peer.map_or_else(String::new, |peer| peer.address.to_string()),
            certificate: peer.map_or_else(String::new, |peer| peer.label().to_owned()),
            owner: peer.map_or_else(String::new, Peer::owner),
        }
    }
}

impl Connected {
    /// Whether somebody else has the id already.
    pub fn is_contested(&self) -> bool {
        self.contested
    }

    /// Notes how far the stream has come.
    pub fn advance(&self, progress: &Progress) {
        let mut changed = false;
        if let Some(mut entry) = self.nodes.entries.get_mut(&self.id)
            && let Some(known) = entry.streams.get_mut(&self.stream)
            && known.progress != *progress
        {
            known.progress.clone_from(progress);
            changed = true;
        }
        if changed {
            self.nodes.notify();
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let now = self.nodes.clock.now();
        if let Some(mut entry) = self.nodes.entries.get_mut(&self.id)
            && let Some(last) = entry.streams.remove(&self.stream)
            && entry.streams.is_empty()
        {
            entry.last = last;
            entry.since = now;
        }
        self.nodes.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str) -> NodeIdentity {
        NodeIdentity {
            id: id.to_owned(),
            ..NodeIdentity::default()
        }
    }

    fn accepted(revision: u64) -> Progress {
        Progress {
            settled: revision,
            accepted: revision,
            rejections: Arc::default(),
        }
    }

    fn get(nodes: &Nodes, id: &str) -> Node {
        let mut nodes = nodes.list().into_iter();
        nodes.find(|node| node.identity.id == id).unwrap()
    }

    #[tokio::test]
    async fn a_proxy_that_left_is_remembered_with_what_it_had() {
        let nodes = Arc::new(Nodes::new(Clock::start()));
        let stream = nodes.connect(identity("p1"), None);
        stream.advance(&accepted(3));
        assert_eq!(nodes.connected(), ["p1"]);
        drop(stream);
        assert!(nodes.connected().is_empty());
        let node = get(&nodes, "p1");
        assert_eq!((node.connected, node.progress.accepted), (false, 3));
    }

    #[tokio::test]
    async fn a_reconnect_that_overlaps_counts_as_connected_throughout() {
        let nodes = Arc::new(Nodes::new(Clock::start()));
        let old = nodes.connect(identity("p1"), None);
        old.advance(&accepted(3));
        let new = nodes.connect(identity("p1"), None);
        new.advance(&accepted(4));
        drop(old);
        let node = get(&nodes, "p1");
        assert_eq!((node.connected, node.progress.accepted), (true, 4));
        drop(new);
        assert!(!get(&nodes, "p1").connected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_is_forgotten_after_an_hour() {
        let nodes = Arc::new(Nodes::new(Clock::start()));
        drop(nodes.connect(identity("p1"), None));
        tokio::time::advance(std::time::Duration::from_secs(3599)).await;
        assert_eq!(nodes.list().len(), 1);
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert!(nodes.list().is_empty());
    }

    #[tokio::test]
    async fn the_audience_of_a_revision_is_who_was_connected_then() {
        let nodes = Arc::new(Nodes::new(Clock::start()));
        let _early = nodes.connect(identity("p1"), None);
        assert_eq!(nodes.capture_audience(7), 1);
        let _late = nodes.connect(identity("p2"), None);
        assert_eq!(&*nodes.audience(7).unwrap(), ["p1"]);
        assert!(nodes.audience(8).is_none());
    }

    fn from(address: &str) -> Peer {
        Peer {
            address: address.parse().unwrap(),
            identity: None,
            tls: false,
        }
    }

    #[tokio::test]
    async fn nobody_takes_the_place_of_a_proxy_that_is_there() {
        let nodes = Arc::new(Nodes::new(Clock::start()));
        let mine = nodes.connect(identity("p1"), Some(&from("10.0.0.1:1")));
        mine.advance(&accepted(3));
        let other = NodeIdentity {
            cluster: "else".to_owned(),
            ..identity("p1")
        };
        let theirs = nodes.connect(other, Some(&from("10.0.0.2:1")));
        theirs.advance(&accepted(9));
        assert!(theirs.is_contested() && !mine.is_contested());
        let shown = || {
            let node = get(&nodes, "p1");
            (node.identity.cluster, node.progress.accepted, node.address)
        };
        assert_eq!(shown(), (String::new(), 3, "10.0.0.1:1".to_owned()));
        let again = nodes.connect(identity("p1"), Some(&from("10.0.0.1:2")));
        assert!(!again.is_contested());
        assert_eq!(shown().2, "10.0.0.1:2", "a reconnect of the same is shown");
        drop((mine, again));
        assert_eq!(shown(), ("else".to_owned(), 9, "10.0.0.2:1".to_owned()));
    }
}
