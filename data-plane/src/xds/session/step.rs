//! One step of a session: what a response, a timer or a person would change.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use evenkeel_shared::error::Invalid;
use evenkeel_shared::xds::ResourceType;

use super::read::{MAX_NAME_BYTES, Read, cut, read};
use super::{Change, Pending, Rejected, Session, State};
use crate::dns::plan::News;
use crate::xds::guard::{Loss, Usage, judge};
use crate::xds::state::{Accepted, Active, Held, Key, NAMED, names, wanted};

/// Most resources of one type. Beyond it new ones are refused.
pub(super) const MAX_RESOURCES: usize = 200_000;

/// What a session would become. Nothing has happened yet.
#[derive(Debug)]
pub struct Step {
    pub(super) state: State,
    pub(super) reply: Option<Reply>,
    pub(super) complaints: Vec<String>,
    pub(super) thawed: BTreeSet<Key>,
    before: State,
}

/// The response that is to be answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) type_url: String,
    pub(super) nonce: String,
    /// The resources it was about.
    pub(super) touched: BTreeSet<Key>,
}

impl Step {
    /// What is to be in force.
    pub fn active(&self) -> &Arc<Active> {
        &self.state.active
    }

    /// What is to be accepted.
    pub fn held(&self) -> &Held {
        &self.state.held
    }

    /// The control plane's word for the whole configuration.
    pub fn version(&self) -> &str {
        &self.state.version
    }

    /// Whether it answers a response that says which listeners there are.
    pub fn is_about_listeners(&self) -> bool {
        let listeners = ResourceType::Listener.type_url();
        self.reply
            .as_ref()
            .is_some_and(|reply| reply.type_url == listeners)
    }

    /// The type of the response and whether it will be answered with a NACK, if
    /// this is about a response.
    pub fn answer(&self) -> Option<(&str, bool)> {
        let reply = self.reply.as_ref()?;
        let bad = |key| self.state.rejected.contains_key(key);
        let nack = !self.complaints.is_empty() || reply.touched.iter().any(bad);
        Some((&reply.type_url, nack))
    }

    /// Refuses a resource that cannot be built or bound: it keeps its value from
    /// before this step, or is not there. Says whether that changed anything.
    pub fn reject(&mut self, key: &Key, faults: Vec<Invalid>) -> bool {
        let Some(now) = self.state.held.get(key.kind, &key.name).cloned() else {
            return false;
        };
        let then = self.before.held.get(key.kind, &key.name).cloned();
        match then.filter(|then| then.value != now.value) {
            Some(then) => self.state.held.insert(key, then),
            None => self.state.held.remove(key),
        }
        self.note_rejected(key, now.version, faults);
        self.thawed.remove(key);
        self.settle();
        true
    }

    /// Refuses a listener whose address is not free, like [`Self::reject`], and
    /// keeps it for [`Session::retry`].
    pub fn put_off(&mut self, key: &Key, faults: Vec<Invalid>) -> bool {
        let unbound = self.state.held.get(key.kind, &key.name).cloned();
        let changed = self.reject(key, faults);
        if let Some(unbound) = unbound {
            self.state.unbound.insert(key.clone(), unbound);
        }
        changed
    }

    /// Gives the whole step up: everything stays as it was.
    pub fn abandon(&mut self, reason: String) {
        let rejected = mem::take(&mut self.state.rejected);
        self.state = self.before.clone();
        self.state.rejected = rejected;
        self.thawed.clear();
        self.complaints.push(reason);
    }

    pub(super) fn respond(session: &Session, response: DeltaDiscoveryResponse) -> Self {
        let mut step = Self::new(session);
        let mut reply = Reply {
            type_url: response.type_url,
            nonce: response.nonce,
            touched: BTreeSet::new(),
        };
        step.state.revisions = step.state.revisions.after(&response.system_version_info);
        if !response.system_version_info.is_empty() {
            step.state.version = cut(&response.system_version_info).into();
        }
        match ResourceType::from_type_url(&reply.type_url) {
            None => step.complaints.push(format!(
                "type {:?}: was not asked for",
                cut(&reply.type_url)
            )),
            Some(kind) => {
                let mut changes = step.take_in(kind, response.resources, &mut reply.touched);
                for name in response.removed_resources {
                    let key = Key::new(kind, cut(&name));
                    changes.entry(key).or_insert(Change::Remove);
                }
                step.offer(changes);
            }
        }
        step.reply = Some(reply);
        step
    }

    pub(super) fn restore(
        session: &Session,
        resources: Vec<(Key, Accepted)>,
        version: &str,
    ) -> Self {
        let mut step = Self::new(session);
        step.state.version = version.into();
        step.state.revisions = step.state.revisions.after(version);
        for (key, accepted) in resources {
            step.state.held.insert(&key, accepted);
        }
        step.miss_secrets();
        step.settle();
        step
    }

    pub(super) fn expire(session: &Session, due: Vec<Key>) -> Self {
        let mut step = Self::new(session);
        for key in due {
            step.state.unsaved.remove(&key);
            step.state.missing.insert(key);
        }
        step.settle();
        step
    }

    /// What was found may shrink as it likes: a name whose servers answer is not
    /// guarded, and one whose servers do not keeps what it has.
    pub(super) fn find(session: &Session, news: News) -> Self {
        let mut step = Self::new(session);
        Arc::make_mut(&mut step.state.found).extend(news);
        step.settle();
        step
    }

    pub(super) fn confirm(session: &Session, pending: Pending) -> Self {
        let mut step = Self::new(session);
        step.state.pending = None;
        step.apply(&pending.changes);
        step.settle();
        step.thawed = pending.changes.into_keys().collect();
        step
    }

    pub(super) fn retry(session: &Session, free: &[Key]) -> Self {
        let mut step = Self::new(session);
        for key in free {
            if let Some(accepted) = step.state.unbound.remove(key) {
                step.state.rejected.remove(key);
                step.state.held.insert(key, accepted);
                step.thawed.insert(key.clone());
            }
        }
        step.settle();
        step
    }

    fn new(session: &Session) -> Self {
        Self {
            state: session.state.clone(),
            reply: None,
            complaints: Vec::new(),
            thawed: BTreeSet::new(),
            before: session.state.clone(),
        }
    }

    /// Nobody waits for secrets that were not saved, because only the control
    /// plane has them, and it may be away: until they come, clusters that need
    /// them refuse, and listeners are closed.
    fn miss_secrets(&mut self) {
        let State {
            held,
            missing,
            unsaved,
            ..
        } = &mut self.state;
        let needed = wanted(held, &Active::default());
        let absent = needed.into_iter().filter(|key| {
            key.kind == ResourceType::Secret && held.get(key.kind, &key.name).is_none()
        });
        unsaved.extend(absent);
        missing.extend(unsaved.iter().cloned());
    }

    /// Reads the resources. Bad ones are noted, good ones become changes.
    fn take_in(
        &mut self,
        kind: ResourceType,
        resources: Vec<envoy_types::pb::envoy::service::discovery::v3::Resource>,
        touched: &mut BTreeSet<Key>,
    ) -> BTreeMap<Key, Change> {
        let asked = wanted(&self.state.held, &self.state.active);
        let named = NAMED.contains(&kind);
        let mut room = MAX_RESOURCES.saturating_sub(self.state.held.of(kind).count());
        let mut changes = BTreeMap::new();
        for (index, wrapper) in resources.into_iter().enumerate() {
            let Read {
                name,
                version,
                body,
            } = read(kind, wrapper);
            let Some(name) = name else {
                self.complain_unnamed(kind, index, body.err());
                continue;
            };
            let key = Key::new(kind, name);
            // Unsolicited resources are allowed and ignored.
            if named && !asked.contains(&key) {
                continue;
            }
            let known = self.state.held.get(kind, &key.name).is_some();
            let first = touched.insert(key.clone());
            if !matches!(body, Ok(None)) {
                self.state.unbound.remove(&key);
            }
            match body {
                _ if !first => {
                    changes.remove(&key);
                    let fault = Invalid::new("name", "occurs twice in one response");
                    self.note_rejected(&key, version, vec![fault]);
                }
                Err(faults) => self.note_rejected(&key, version, faults),
                Ok(None) => {}
                Ok(Some(_)) if !known && room == 0 => {
                    let rule = format!("there are {MAX_RESOURCES} resources of this type already");
                    self.note_rejected(&key, version, vec![Invalid::new("", rule)]);
                }
                Ok(Some(accepted)) => {
                    room -= usize::from(!known);
                    self.state.rejected.remove(&key);
                    changes.insert(key, Change::Set(accepted));
                }
            }
        }
        changes
    }

    /// Notes a fault of a resource whose name could not be read.
    fn complain_unnamed(&mut self, kind: ResourceType, index: usize, faults: Option<Vec<Invalid>>) {
        let label = kind.label();
        let faults = faults.unwrap_or_else(|| vec![Invalid::new("name", "must not be empty")]);
        for fault in faults {
            self.complaints
                .push(format!("{label}: resources[{index}]: {fault}"));
        }
    }

    fn note_rejected(&mut self, key: &Key, version: Arc<str>, faults: Vec<Invalid>) {
        let rejected = Rejected { version, faults };
        self.state.rejected.insert(key.clone(), rejected);
    }

    /// Applies the changes, unless they would remove too much; then applies what
    /// was held before, if by now it would not.
    fn offer(&mut self, changes: BTreeMap<Key, Change>) {
        let mut overlay = self.state.pending.take().unwrap_or(Pending {
            changes: BTreeMap::new(),
            reason: String::new(),
        });
        overlay.changes.retain(|key, _| !changes.contains_key(key));
        for (key, change) in &changes {
            if matches!(change, Change::Remove) {
                self.state.rejected.remove(key);
                self.state.unbound.remove(key);
            }
        }
        if let Some(loss) = self.try_apply(&changes) {
            let (additions, others) = changes.into_iter().partition(|(key, change)| {
                let known = self.state.held.get(key.kind, &key.name).is_some();
                matches!(change, Change::Set(_)) && !known
            });
            self.apply(&additions);
            self.settle();
            self.complaints.push(loss.to_string());
            overlay.reason = loss.to_string();
            overlay.changes.extend(others);
            self.state.pending = Some(overlay);
        } else if !overlay.changes.is_empty() {
            match self.try_apply(&overlay.changes) {
                None => self.thawed.extend(overlay.changes.into_keys()),
                Some(loss) => {
                    overlay.reason = loss.to_string();
                    self.state.pending = Some(overlay);
                }
            }
        }
    }

    /// Applies the changes and returns `None`, or leaves everything as it is and
    /// says what they would lose.
    fn try_apply(&mut self, changes: &BTreeMap<Key, Change>) -> Option<Loss> {
        let spare = self.state.clone();
        self.apply(changes);
        self.settle();
        // A grant holds for every step from an older revision.
        let granted = self
            .state
            .held
            .granted_revision()
            .is_some_and(|revision| revision > self.state.revisions.previous);
        let loss = judge(&self.before.usage, &self.state.usage).filter(|_| !granted);
        if loss.is_some() {
            self.state = spare;
        }
        loss
    }

    fn apply(&mut self, changes: &BTreeMap<Key, Change>) {
        let State {
            held,
            missing,
            unsaved,
            ..
        } = &mut self.state;
        for (key, change) in changes {
            unsaved.remove(key);
            match change {
                Change::Set(accepted) => {
                    held.insert(key, accepted.clone());
                    missing.remove(key);
                }
                Change::Remove => {
                    held.remove(key);
                    missing.insert(key.clone());
                }
            }
        }
    }

    /// Works out what follows from what is accepted.
    fn settle(&mut self) {
        let State {
            held,
            active,
            missing,
            found,
            names: sought,
            rejected,
            usage,
            ..
        } = &mut self.state;
        let mut next = Active::compose(held, missing, found, &self.before.active);
        let wanted = wanted(held, &next);
        held.keep_only(&wanted);
        next.secrets = held.secrets();
        let names = names(held, &next);
        if found.keys().any(|target| !names.contains(target)) {
            Arc::make_mut(found).retain(|target, _| names.contains(target));
        }
        if **sought != names {
            *sought = Arc::new(names);
        }
        *active = Arc::new(next);
        missing.retain(|key| wanted.contains(key));
        rejected.retain(|key, _| !NAMED.contains(&key.kind) || wanted.contains(key));
        *usage = Usage::of(active);
    }
}

const _: () = assert!(MAX_NAME_BYTES < super::MAX_NACK_BYTES);
