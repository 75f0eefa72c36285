//! One configuration stream, whichever variant of the protocol it speaks: the
//! types it watches, the snapshot it is to reach, and how far it has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_shared::xds::ResourceType;

use super::progress::PARENTS;
use super::watched::Watched;
use super::{Heard, Rejected, Violation};
use crate::snapshot::{Changes, Encodings, View};

/// How long routes wait for clusters, in nanoseconds.
pub(super) const HOLD: u64 = 2_000_000_000;

/// How long clusters stay after the routes moved away, in nanoseconds.
pub(super) const GRACE: u64 = 1_000_000_000;

/// How many types that we do not serve a client may ask for.
const UNKNOWN_TYPES: usize = 32;

/// The most names a stream may have asked for, over all types.
pub(super) const NAME_LIMIT: usize = 100_000;

/// The most bytes of names a stream may have asked for, over all types.
pub(super) const NAME_BYTES: usize = 16 << 20;

static NOTHING: Encodings = BTreeMap::new();

/// Which type on the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Known(ResourceType),
    Unknown(String),
}

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Whether it speaks the state-of-the-world variant.
    pub sotw: bool,
    pub(super) known: [Watched; ResourceType::ALL.len()],
    unknown: BTreeMap<String, Watched>,
    pub view: Arc<View>,
    pub revision: u64,
    /// Number of the last response.
    pub sequence: u64,
    /// The newest time seen.
    pub clock: u64,
    /// When the client last said anything.
    pub last_heard: u64,
    /// When the client last answered a push of listeners or routes.
    pub routes_moved: u64,
    /// Clusters sent and not known to be usable yet, with the time of sending.
    pub warming: BTreeMap<String, u64>,
    /// The newest revision the client has answered all of.
    pub settled: u64,
    /// The newest revision the client has accepted all of.
    pub accepted: u64,
    /// Whether the present view needs something that the client did not ask for,
    /// refusals aside; `None` if that is to be found again. It takes a look at
    /// everything, which is too much for every answer.
    pub(super) lacks_question: Option<bool>,
}

impl Exchange {
    pub(super) fn new(sotw: bool, now: u64) -> Self {
        Self {
            sotw,
            known: ResourceType::ALL.map(|kind| Watched::new(kind.type_url())),
            unknown: BTreeMap::new(),
            view: Arc::default(),
            revision: 0,
            sequence: 0,
            clock: now,
            last_heard: now,
            routes_moved: now,
            warming: BTreeMap::new(),
            settled: 0,
            accepted: 0,
            lacks_question: None,
        }
    }

    pub(super) fn of(&self, kind: ResourceType) -> &Watched {
        &self.known[kind as usize]
    }

    pub(super) fn of_mut(&mut self, kind: ResourceType) -> &mut Watched {
        &mut self.known[kind as usize]
    }

    /// All types, ours first, in the order of sending.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let known = ResourceType::ALL.into_iter().map(Slot::Known);
        known
            .chain(self.unknown.keys().cloned().map(Slot::Unknown))
            .collect()
    }

    pub(super) fn get_mut(&mut self, slot: &Slot) -> Option<&mut Watched> {
        match slot {
            Slot::Known(kind) => Some(self.of_mut(*kind)),
            Slot::Unknown(url) => self.unknown.get_mut(url),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Watched> {
        self.known.iter().chain(self.unknown.values())
    }

    /// Where the type of a request is kept; `None` if the client asks for too
    /// many types that do not exist, which is not worth an answer.
    pub(super) fn slot(&mut self, url: &str) -> Result<Option<Slot>, Violation> {
        if url.is_empty() {
            return Err(Violation::NoType);
        }
        if let Some(kind) = ResourceType::from_type_url(url) {
            return Ok(Some(Slot::Known(kind)));
        }
        if !self.unknown.contains_key(url) {
            if self.unknown.len() >= UNKNOWN_TYPES || url.len() > 1024 {
                return Ok(None);
            }
            self.unknown.insert(url.to_owned(), Watched::new(url));
        }
        Ok(Some(Slot::Unknown(url.to_owned())))
    }

    /// Takes the answer that a request may carry.
    pub(super) fn hear(
        &mut self,
        slot: &Slot,
        nonce: &str,
        error: Option<&str>,
        now: u64,
    ) -> Heard {
        self.clock = self.clock.max(now);
        self.last_heard = self.clock;
        let Some(watched) = self.get_mut(slot) else {
            return Heard::default();
        };
        watched.started = true;
        let answered = if nonce.is_empty() && error.is_none() {
            None
        } else {
            watched.resolve(nonce, error, now)
        };
        if answered.is_some()
            && matches!(
                slot,
                Slot::Known(ResourceType::Listener | ResourceType::RouteTable)
            )
        {
            self.routes_moved = self.clock;
        }
        Heard {
            current: answered.is_some(),
            refused: error.map(super::refusal::whole),
        }
    }

    /// Moves the goal. The client is led there by the responses to come. If the
    /// new view follows the one before, only what changed is looked at.
    pub(super) fn on_snapshot(&mut self, revision: u64, view: &Arc<View>) {
        self.revision = revision;
        if Arc::ptr_eq(&self.view, view) {
            return;
        }
        let before = std::mem::replace(&mut self.view, Arc::clone(view));
        if let Some(changes) = view.changes_since(&before) {
            self.follow(view, changes);
            return;
        }
        self.note_questions();
        for kind in ResourceType::ALL {
            self.compare_alone(&Slot::Known(kind));
        }
        self.expect_missing();
    }

    fn follow(&mut self, view: &View, changes: &BTreeMap<ResourceType, Changes>) {
        if PARENTS.iter().any(|kind| changes.contains_key(kind)) {
            self.note_questions();
        }
        let mut has_dropped = false;
        for (kind, changes) in changes {
            let slot = Slot::Known(*kind);
            self.of_mut(*kind).follow(target(view, &slot), changes);
            has_dropped |= self.drop_unnamed(&slot);
        }
        if has_dropped {
            self.expect_missing();
        } else if let Some(clusters) = changes.get(&ResourceType::Cluster) {
            self.expect_missing_of(&clusters.set);
        }
    }

    /// Finds again what the client lacks of one type.
    pub(super) fn compare(&mut self, slot: &Slot) {
        self.compare_alone(slot);
        self.expect_missing();
    }

    fn compare_alone(&mut self, slot: &Slot) {
        let view = Arc::clone(&self.view);
        let target = target(&view, slot);
        let Some(watched) = self.get_mut(slot) else {
            return;
        };
        watched.compare(target);
        self.drop_unnamed(slot);
    }

    /// Without a message for removals, clients drop what their other resources no
    /// longer name. Whether there was any.
    fn drop_unnamed(&mut self, slot: &Slot) -> bool {
        if !self.sotw || is_whole_set(slot) {
            return false;
        }
        let Some(watched) = self.get_mut(slot) else {
            return false;
        };
        let gone = std::mem::take(&mut watched.gone);
        for name in &gone {
            watched.held.remove(name);
        }
        !gone.is_empty()
    }

    /// Holds a client to what one stream may ask for.
    pub(super) fn check_limits(&self) -> Result<(), Violation> {
        let names = self.all().flat_map(|w| w.names.iter().chain(w.held.keys()));
        let (count, bytes) = names.fold((0, 0), |(count, bytes), name| {
            (count + 1, bytes + name.len())
        });
        // A name that is both asked for and held counts twice.
        if count > 2 * NAME_LIMIT || bytes > 2 * NAME_BYTES {
            return Err(Violation::TooManyNames);
        }
        Ok(())
    }

    /// Everything the client refuses now.
    pub(super) fn rejections(&self) -> Vec<Rejected> {
        let mut found = Vec::new();
        for watched in self.all() {
            let kind = match watched.kind {
                Some(kind) => kind.label(),
                None => watched.url.as_str(),
            };
            found.extend(watched.refusals.iter().map(|(name, refusal)| Rejected {
                kind: kind.to_owned(),
                name: name.clone(),
                detail: refusal.detail.clone(),
                at: refusal.at,
                revision: refusal.revision,
            }));
        }
        found
    }

    /// The next time at which something may be sent or noted without the client
    /// having said anything, in nanoseconds.
    pub(super) fn deadline(&self) -> Option<u64> {
        let mut times: Vec<u64> = self.warming.values().map(|since| since + HOLD).collect();
        if let Some(flight) = &self.of(ResourceType::Cluster).in_flight {
            times.push(flight.at + HOLD);
        }
        if !self.of(ResourceType::Cluster).gone.is_empty() {
            times.push(self.routes_moved + GRACE);
        }
        if self.of(ResourceType::RouteTable).has_news() {
            let refusals = self.of(ResourceType::Cluster).refusals.values();
            times.extend(refusals.map(|refusal| refusal.at + HOLD));
        }
        if self.settled < self.revision {
            times.push(self.last_heard + HOLD);
        }
        times.into_iter().filter(|time| *time > self.clock).min()
    }
}

/// The resources of a type; none of a type that we do not serve.
pub(super) fn target<'a>(view: &'a View, slot: &Slot) -> &'a Encodings {
    match slot {
        Slot::Known(kind) => view.resources.get(kind).unwrap_or(&NOTHING),
        Slot::Unknown(_) => &NOTHING,
    }
}

/// Whether responses of the state-of-the-world variant always carry the whole
/// set of this type, so that absence is removal.
pub(super) fn is_whole_set(slot: &Slot) -> bool {
    matches!(
        slot,
        Slot::Known(ResourceType::Cluster | ResourceType::Listener)
    )
}
