//! How far a client has come: whether anything is left to be said, answered or
//! asked for.

use std::collections::BTreeMap;

use evenkeel_shared::xds::ResourceType;

use super::exchange::{Exchange, HOLD, Slot, target};

/// What names other resources, which the client then asks for.
pub(super) const PARENTS: [ResourceType; 2] = [ResourceType::Listener, ResourceType::Cluster];

impl Exchange {
    /// Notes it when nothing is left to be said or answered for this revision.
    pub(super) fn note_progress(&mut self) {
        if self.settled == self.revision && self.accepted == self.revision {
            return;
        }
        let started = self.known.iter().any(|watched| watched.started);
        if !started
            || self.is_busy()
            || (self.awaits_request() && self.clock < self.last_heard + HOLD)
        {
            return;
        }
        self.settled = self.revision;
        if self.all().all(|watched| watched.refusals.is_empty()) {
            self.accepted = self.revision;
        }
    }

    /// Whether something other than the removal of what is no longer referred
    /// to waits to be sent or answered.
    fn is_busy(&self) -> bool {
        self.known.iter().any(|watched| {
            let news = match watched.kind {
                Some(ResourceType::RouteTable) => !self.sendable_tables(self.clock).is_empty(),
                Some(ResourceType::Listener) => watched.has_news() || !watched.gone.is_empty(),
                _ => watched.has_news(),
            };
            watched.started && (news || watched.is_unanswered())
        })
    }

    /// Whether the client is about to ask for what it was told of: clusters
    /// name assignments, listeners name route tables, both name secrets.
    fn awaits_request(&mut self) -> bool {
        if !self.of(ResourceType::Cluster).wildcard {
            return false;
        }
        let listeners = self.of(ResourceType::Listener);
        let wanted = target(&self.view, &Slot::Known(ResourceType::Listener));
        (!listeners.started && !wanted.is_empty()) || !self.warming.is_empty() || self.has_unasked()
    }

    /// Whether listeners or clusters, those that were refused aside, need
    /// something that the client did not ask for.
    fn has_unasked(&mut self) -> bool {
        let any = |this: &Self| PARENTS.iter().any(|kind| this.needs_unasked(*kind));
        let refusals = PARENTS.iter().map(|kind| &self.of(*kind).refusals);
        let refuses = !refusals.into_iter().all(BTreeMap::is_empty);
        match self.lacks_question {
            _ if refuses => any(self),
            Some(known) => known,
            None => {
                let found = any(self);
                *self.lacks_question.insert(found)
            }
        }
    }

    fn needs_unasked(&self, kind: ResourceType) -> bool {
        let parents = self.of(kind);
        let refused = |name: &str| parents.refusals.contains_key(name);
        let wanted = target(&self.view, &Slot::Known(kind)).iter();
        wanted
            .filter(|(name, _)| !refused(name))
            .flat_map(|(_, resource)| &resource.needs)
            .any(|(kind, name)| !self.of(*kind).covers(name))
    }

    /// Notes that what the client asks for, or what there is to ask for, is not
    /// what it was.
    pub(super) fn note_questions(&mut self) {
        self.lacks_question = None;
    }
}
