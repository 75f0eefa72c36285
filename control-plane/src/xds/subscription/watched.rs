//! What one stream knows of one type of resource: what the client asked for,
//! what it was sent, and what it made of it. Types do not know each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_shared::xds::ResourceType;

use super::refusal::{self, Refusal};
use crate::snapshot::{Changes, Encoded, Encodings};

/// What the client has, as far as we know.
#[derive(Debug)]
pub(super) enum Content {
    /// We sent it on this stream.
    Sent(Arc<Encoded>),
    /// The client brought it from an earlier stream; its version.
    Claimed(String),
    /// The client was told that there is none.
    Absent,
}

/// What the client made of the last thing it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pending,
    Accepted,
    /// Since when.
    Refused(u64),
    /// Its response was refused in words that name nothing.
    Doubtful,
}

/// The newest content that the client accepted, which it keeps using while it
/// refuses a newer one.
#[derive(Debug)]
pub(super) enum LastGood {
    None,
    /// From an earlier stream.
    Unknown,
    Known(Arc<Encoded>),
}

/// One resource of the client.
#[derive(Debug)]
pub(super) struct Held {
    pub content: Content,
    /// Number of the response that carried it; 0 for an earlier stream.
    pub sent: u64,
    pub verdict: Verdict,
    pub last_good: LastGood,
}

impl Held {
    /// Whether the client can use some version of it.
    pub(super) fn is_usable(&self) -> bool {
        !matches!(self.last_good, LastGood::None)
    }
}

/// The one response that the client has not answered.
#[derive(Debug)]
pub(super) struct InFlight {
    pub nonce: u64,
    pub at: u64,
    pub revision: u64,
    pub names: Vec<String>,
    /// Whether it does more than take things away.
    pub adds: bool,
}

/// One type of resource on one stream.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts that the protocol distinguishes"
)]
pub(super) struct Watched {
    pub url: String,
    pub kind: Option<ResourceType>,
    /// Whether the client has asked for this type at all.
    pub started: bool,
    pub wildcard: bool,
    /// Whether any request named a resource, after which an empty list no
    /// longer means everything.
    pub ever_named: bool,
    pub names: BTreeSet<String>,
    pub held: BTreeMap<String, Held>,
    /// Names whose content differs from what the client has.
    pub due: BTreeSet<String>,
    /// Names the client must be answered on, whether or not they differ.
    pub owed: BTreeSet<String>,
    /// Names the client has and should not have any more.
    pub gone: BTreeSet<String>,
    /// The next response is owed even if it is empty.
    pub answer: bool,
    pub in_flight: Option<InFlight>,
    pub last_nonce: u64,
    /// Refusals by name; the empty name is for texts that name nothing.
    pub refusals: BTreeMap<String, Refusal>,
}

impl Watched {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            kind: ResourceType::from_type_url(url),
            started: false,
            wildcard: false,
            ever_named: false,
            names: BTreeSet::new(),
            held: BTreeMap::new(),
            due: BTreeSet::new(),
            owed: BTreeSet::new(),
            gone: BTreeSet::new(),
            answer: false,
            in_flight: None,
            last_nonce: 0,
            refusals: BTreeMap::new(),
        }
    }

    /// Whether an empty first request asks for everything. It does not for what
    /// other resources name (endpoints, secrets, routes): Envoy opens those with
    /// no names at all.
    pub(super) fn has_legacy_wildcard(&self) -> bool {
        !matches!(
            self.kind,
            Some(ResourceType::Assignment | ResourceType::Secret | ResourceType::RouteTable)
        )
    }

    /// Whether the client asked for the name.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether something other than a removal waits to be sent.
    pub(super) fn has_news(&self) -> bool {
        !self.due.is_empty() || !self.owed.is_empty()
    }

    /// Whether the client has yet to answer something other than a removal.
    pub(super) fn is_unanswered(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| flight.adds)
    }

    /// Finds again what the client lacks and what it has too much of.
    pub(super) fn compare(&mut self, target: &Encodings) {
        self.due.clear();
        if self.wildcard {
            for (name, wanted) in target {
                if !has(&mut self.held, name, wanted) {
                    self.due.insert(name.clone());
                }
            }
        }
        for name in &self.names {
            if let Some(wanted) = target.get(name)
                && !has(&mut self.held, name, wanted)
            {
                self.due.insert(name.clone());
            }
        }
        let surplus = self.held.iter().filter(|(name, held)| {
            !matches!(held.content, Content::Absent) && !target.contains_key(*name)
        });
        self.gone = surplus.map(|(name, _)| name.clone()).collect();
        // What the client still uses goes with the removals, not before.
        let gone = &self.gone;
        self.owed.retain(|name| !gone.contains(name));
        self.keep_refusals(target);
    }

    /// The same, if only `changes` lie between this target and the last.
    pub(super) fn follow(&mut self, target: &Encodings, changes: &Changes) {
        for name in &changes.set {
            self.gone.remove(name);
            let Some(wanted) = target.get(name) else {
                continue;
            };
            if self.covers(name) && !has(&mut self.held, name, wanted) {
                self.due.insert(name.clone());
            } else {
                self.due.remove(name);
            }
        }
        for name in &changes.gone {
            self.due.remove(name);
            if !self.lacks(name) {
                self.gone.insert(name.clone());
                // What the client still uses goes with the removals, not before.
                self.owed.remove(name);
            }
        }
        self.keep_refusals(target);
    }

    /// Forgets refusals of what there is no more.
    fn keep_refusals(&mut self, target: &Encodings) {
        self.refusals.retain(|name, refusal| {
            let mut suspects = refusal.suspects.iter();
            target.contains_key(name) || suspects.any(|suspect| target.contains_key(suspect))
        });
    }

    /// Notes what the client says it has from an earlier stream.
    pub(super) fn claim(&mut self, name: &str, version: &str) {
        let held = Held {
            content: Content::Claimed(version.to_owned()),
            sent: 0,
            verdict: Verdict::Accepted,
            last_good: LastGood::Unknown,
        };
        self.held.insert(name.to_owned(), held);
    }

    /// Whether the client has no version of the resource at all.
    pub(super) fn lacks(&self, name: &str) -> bool {
        let held = self.held.get(name);
        held.is_none_or(|held| matches!(held.content, Content::Absent))
    }

    /// Forgets a name that the client no longer asks for.
    pub(super) fn forget(&mut self, name: &str) {
        self.held.remove(name);
        self.due.remove(name);
        self.owed.remove(name);
        self.gone.remove(name);
        self.refusals.remove(name);
    }

    /// Notes that the name was sent in response `nonce`.
    pub(super) fn note_sent(&mut self, name: &str, resource: &Arc<Encoded>, nonce: u64) {
        let last_good = match self.held.remove(name) {
            Some(held) => held.last_good,
            None => LastGood::None,
        };
        let held = Held {
            content: Content::Sent(Arc::clone(resource)),
            sent: nonce,
            verdict: Verdict::Pending,
            last_good,
        };
        self.held.insert(name.to_owned(), held);
        self.due.remove(name);
        self.owed.remove(name);
        self.refusals.remove(name);
    }

    /// Notes that the client was told in response `nonce` that there is no such
    /// resource.
    pub(super) fn note_removed(&mut self, name: &str, nonce: u64) {
        let asked = self.names.contains(name);
        self.forget(name);
        if asked {
            let held = Held {
                content: Content::Absent,
                sent: nonce,
                verdict: Verdict::Pending,
                last_good: LastGood::None,
            };
            self.held.insert(name.to_owned(), held);
        }
    }

    /// Takes the client's answer to a response; returns that response if it was
    /// the one in flight. A refusal counts whatever it answers.
    pub(super) fn resolve(
        &mut self,
        nonce: &str,
        error: Option<&str>,
        now: u64,
    ) -> Option<InFlight> {
        let current = self
            .in_flight
            .take_if(|flight| flight.nonce.to_string() == nonce);
        match (&current, error) {
            (Some(flight), None) => self.absolve(&flight.names),
            (Some(flight), Some(text)) => {
                let sent: BTreeSet<&str> = flight.names.iter().map(String::as_str).collect();
                let named = refusal::by_name(text, |name| sent.contains(name));
                self.refuse(named, flight, text, now);
            }
            (None, Some(text)) => {
                let named = refusal::by_name(text, |name| self.held.contains_key(name));
                self.note_refusals(named, 0, now);
            }
            (None, None) => {}
        }
        if let Some(flight) = &current {
            self.accept(flight, error.is_none());
        }
        current
    }

    /// Everything in the response that was not refused is accepted. That holds
    /// for refused responses too: clients use the good ones among bad ones.
    fn accept(&mut self, flight: &InFlight, entirely: bool) {
        for name in &flight.names {
            let Some(held) = self.held.get_mut(name) else {
                continue;
            };
            if entirely || held.verdict == Verdict::Pending {
                held.verdict = Verdict::Accepted;
                if let Content::Sent(content) = &held.content {
                    held.last_good = LastGood::Known(Arc::clone(content));
                }
            }
        }
    }

    fn refuse(&mut self, named: BTreeMap<String, String>, flight: &InFlight, text: &str, now: u64) {
        if named.is_empty() {
            let refusal = Refusal {
                detail: refusal::whole(text),
                at: now,
                revision: flight.revision,
                suspects: flight.names.iter().cloned().collect(),
            };
            self.refusals.insert(String::new(), refusal);
            for name in &flight.names {
                if let Some(held) = self.held.get_mut(name)
                    && held.verdict == Verdict::Pending
                {
                    held.verdict = Verdict::Doubtful;
                }
            }
        }
        self.note_refusals(named, flight.revision, now);
    }

    fn note_refusals(&mut self, named: BTreeMap<String, String>, revision: u64, at: u64) {
        for (name, detail) in named {
            if let Some(held) = self.held.get_mut(&name) {
                held.verdict = Verdict::Refused(at);
            }
            let refusal = Refusal {
                detail,
                at,
                revision,
                suspects: BTreeSet::new(),
            };
            self.refusals.insert(name, refusal);
        }
    }

    /// A response was accepted as a whole: what it carried is refused no more.
    /// A text without names is settled by the first of its suspects that goes
    /// through.
    fn absolve(&mut self, names: &[String]) {
        for name in names {
            self.refusals.remove(name);
        }
        let cleared = self.refusals.get("").is_some_and(|refusal| {
            refusal.suspects.is_empty() || names.iter().any(|name| refusal.suspects.contains(name))
        });
        if cleared {
            self.refusals.remove("");
        }
    }
}

/// Whether the client has exactly this content. A claim that turns out to be
/// the present content becomes known.
fn has(held: &mut BTreeMap<String, Held>, name: &str, wanted: &Arc<Encoded>) -> bool {
    let Some(held) = held.get_mut(name) else {
        return false;
    };
    match &held.content {
        Content::Sent(sent) => Arc::ptr_eq(sent, wanted) || sent.version == wanted.version,
        Content::Claimed(version) if *version == wanted.version => {
            held.content = Content::Sent(Arc::clone(wanted));
            held.last_good = LastGood::Known(Arc::clone(wanted));
            true
        }
        Content::Claimed(_) | Content::Absent => false,
    }
}
