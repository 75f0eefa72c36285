//! One proxy's side of the delta ADS protocol, as a value: responses in, what
//! is to be in force and what is to be sent out.
//!
//! A response becomes a [`Step`], which changes nothing yet. Whoever builds the
//! runtime from it may still reject resources; [`Session::commit`] then makes it
//! so and says what to send. Good resources live, bad ones keep their last good
//! value, and one NACK names all that is bad (as in gRFC A46).
//!
//! The session never forgets what it holds while it is disconnected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::rpc::Status;
use evenkeel_shared::error::Invalid;
use evenkeel_shared::ir::{self, DnsTarget};
use evenkeel_shared::names::ListenerName;
use evenkeel_shared::xds::ResourceType;

use crate::dns::plan::News;
use crate::tick::Tick;
use crate::xds::guard::Usage;
use crate::xds::state::{Accepted, Active, Found, Held, Key, NAMED, Value, unkept, wanted};

mod nack;
mod read;
mod requests;
mod step;
#[cfg(test)]
mod tests;

pub use nack::MAX_NACK_BYTES;
use nack::nack_text;
use requests::{ask_again, named};
pub use step::Step;

/// How long a named resource may be awaited on an open stream before its parent
/// goes on without it (gRFC A57).
pub const MISSING_AFTER: Duration = Duration::from_secs(15);

/// gRPC's `INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// A resource that was refused and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The version that was refused.
    pub version: Arc<str>,
    /// What is wrong with it.
    pub faults: Vec<Invalid>,
}

/// A change to one resource.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new or other value.
    Set(Accepted),
    /// It is gone.
    Remove,
}

/// Changes that are held because they would remove too much.
#[derive(Debug, Clone)]
pub struct Pending {
    /// What would change.
    pub changes: BTreeMap<Key, Change>,
    /// Why it is held, for people.
    pub reason: String,
}

/// The revisions of the control plane, as far as its versions are numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Revisions {
    /// The one before `current`.
    previous: u64,
    /// The newest that was seen.
    current: u64,
}

impl Revisions {
    /// After a response with this version.
    fn after(self, version: &str) -> Self {
        match version.parse::<u64>() {
            Ok(revision) if revision > self.current => Self {
                previous: self.current,
                current: revision,
            },
            _ => self,
        }
    }
}

/// What is true of one stream only.
#[derive(Debug, Default)]
struct Stream {
    /// Named resources that were asked for.
    subscribed: BTreeSet<Key>,
    /// When those that have not come count as missing.
    deadlines: BTreeMap<Key, Tick>,
}

/// What makes up the present state; a step carries the next one.
#[derive(Debug, Clone, Default)]
struct State {
    held: Held,
    active: Arc<Active>,
    missing: BTreeSet<Key>,
    /// Those of `missing` that an earlier run had and did not save, until the
    /// control plane says what has become of them.
    unsaved: BTreeSet<Key>,
    /// What was found of the names in `names`.
    found: Arc<Found>,
    /// What clusters want to be looked up.
    names: Arc<BTreeSet<DnsTarget>>,
    rejected: BTreeMap<Key, Rejected>,
    pending: Option<Pending>,
    /// Listeners that were refused only because their address is not free.
    unbound: BTreeMap<Key, Accepted>,
    usage: Usage,
    revisions: Revisions,
    version: Arc<str>,
}

/// The client's half of the protocol.
#[derive(Debug)]
pub struct Session {
    node: Node,
    state: State,
    stream: Option<Stream>,
}

impl Session {
    /// Holds nothing yet.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            state: State::default(),
            stream: None,
        }
    }

    /// What is accepted.
    pub fn held(&self) -> &Held {
        &self.state.held
    }

    /// What is in force.
    pub fn active(&self) -> &Arc<Active> {
        &self.state.active
    }

    /// The names to look up, and what was found of them.
    pub fn names(&self) -> (&Arc<BTreeSet<DnsTarget>>, &Arc<Found>) {
        (&self.state.names, &self.state.found)
    }

    /// What is refused.
    pub fn rejected(&self) -> &BTreeMap<Key, Rejected> {
        &self.state.rejected
    }

    /// The listeners that can serve nobody until the control plane sends secrets
    /// that were not saved.
    pub fn unkept(&self) -> Vec<ListenerName> {
        unkept(&self.state.active, &self.state.unsaved)
    }

    /// What is held because it would remove too much.
    pub fn pending(&self) -> Option<&Pending> {
        self.state.pending.as_ref()
    }

    /// The listeners that were refused only because their address is not free.
    pub fn unbound(&self) -> impl Iterator<Item = (&Key, &ir::Listener)> {
        let unbound = self.state.unbound.iter();
        unbound.filter_map(|(key, accepted)| match &accepted.value {
            Value::Listener(listener) => Some((key, listener.as_ref())),
            _ => None,
        })
    }

    /// The control plane's word for the whole configuration, as last seen.
    pub fn version(&self) -> &Arc<str> {
        &self.state.version
    }

    /// A stream has opened: the requests to send on it. Everything is asked for
    /// again, with the versions that were accepted. What was refused or held is
    /// forgotten: if the control plane still means it, it comes again, and if it
    /// went back to what is accepted, nothing comes at all.
    pub fn connect(&mut self, now: Tick) -> Vec<DeltaDiscoveryRequest> {
        self.stream = Some(Stream::default());
        self.state.rejected.clear();
        self.state.pending = None;
        self.state.unbound.clear();
        let mut requests: Vec<DeltaDiscoveryRequest> = [
            ResourceType::RemovalGrant,
            ResourceType::Cluster,
            ResourceType::Listener,
        ]
        .into_iter()
        .map(|kind| self.wildcard(kind))
        .collect();
        if let Some(first) = requests.first_mut() {
            first.node = Some(self.node.clone());
        }
        requests.extend(self.subscribe(now));
        requests
    }

    /// The stream has ended. No timer runs until the next one.
    pub fn disconnect(&mut self) {
        self.stream = None;
    }

    /// What a response would change. Nothing is changed yet.
    pub fn receive(&self, response: DeltaDiscoveryResponse) -> Step {
        Step::respond(self, response)
    }

    /// What `resources` from an earlier run would change. They are trusted as
    /// they stand; no answer is sent.
    pub fn restore(&self, resources: Vec<(Key, Accepted)>, version: &str) -> Step {
        Step::restore(self, resources, version)
    }

    /// What it would change that awaited resources are missing by now; `None`
    /// if none are.
    pub fn expire(&self, now: Tick) -> Option<Step> {
        let deadlines = &self.stream.as_ref()?.deadlines;
        let due: Vec<Key> = deadlines
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(key, _)| key.clone())
            .collect();
        (!due.is_empty()).then(|| Step::expire(self, due))
    }

    /// What these endpoints of names would change.
    pub fn find(&self, news: News) -> Step {
        Step::find(self, news)
    }

    /// When [`Self::expire`] is to be asked next.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.stream.as_ref()?.deadlines.values().min().copied()
    }

    /// What it would change to apply what is held; `None` if nothing is.
    pub fn confirm(&self) -> Option<Step> {
        let pending = self.state.pending.clone()?;
        Some(Step::confirm(self, pending))
    }

    /// What it would change to accept these of [`Self::unbound`] after all; `None`
    /// if there are none.
    pub fn retry(&self, free: &[Key]) -> Option<Step> {
        (!free.is_empty()).then(|| Step::retry(self, free))
    }

    /// Makes a step so. Returns what to send: the ACK or NACK, and requests for
    /// what is newly needed or no longer needed.
    pub fn commit(&mut self, step: Step, now: Tick) -> Vec<DeltaDiscoveryRequest> {
        let Step {
            state,
            reply,
            complaints,
            thawed,
            ..
        } = step;
        let rejected = state.rejected.clone();
        self.state = state;
        if self.stream.is_none() {
            return Vec::new();
        }
        let mut requests = Vec::new();
        if let Some(reply) = reply {
            let detail = nack_text(&reply.touched, &rejected, &complaints);
            requests.push(DeltaDiscoveryRequest {
                type_url: reply.type_url,
                response_nonce: reply.nonce,
                error_detail: detail.map(|message| Status {
                    code: INVALID_ARGUMENT,
                    message,
                    details: Vec::new(),
                }),
                ..DeltaDiscoveryRequest::default()
            });
        }
        requests.extend(ask_again(&thawed));
        requests.extend(self.subscribe(now));
        requests
    }

    /// The first request of a type of which everything is wanted.
    fn wildcard(&self, kind: ResourceType) -> DeltaDiscoveryRequest {
        // Old servers know only the empty list as the wildcard of LDS and CDS.
        let subscribe = match kind {
            ResourceType::RemovalGrant => vec!["*".to_owned()],
            _ => Vec::new(),
        };
        let versions = self.state.held.of(kind);
        DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: subscribe,
            initial_resource_versions: versions
                .map(|(name, held)| (name.as_ref().to_owned(), held.version.as_ref().to_owned()))
                .collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    /// One request for each type of which other resources are needed than were
    /// asked for on this stream. Starts and stops the timers.
    fn subscribe(&mut self, now: Tick) -> Vec<DeltaDiscoveryRequest> {
        let Some(stream) = &mut self.stream else {
            return Vec::new();
        };
        let State {
            held,
            active,
            missing,
            unsaved,
            ..
        } = &self.state;
        let wanted = wanted(held, active);
        let awaited = |key: &Key| {
            let absent = held.get(key.kind, &key.name).is_none();
            absent && (!missing.contains(key) || unsaved.contains(key))
        };
        stream
            .deadlines
            .retain(|key, _| wanted.contains(key) && awaited(key));
        let begun = wanted
            .difference(&stream.subscribed)
            .filter(|key| awaited(key));
        for key in begun {
            stream
                .deadlines
                .insert(key.clone(), now.plus(MISSING_AFTER));
        }
        let requests = NAMED
            .into_iter()
            .filter_map(|kind| named(kind, &stream.subscribed, &wanted, held))
            .collect();
        stream.subscribed = wanted;
        requests
    }
}
