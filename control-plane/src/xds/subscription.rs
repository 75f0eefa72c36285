//! What one stream was told, and what it is to be told next. Values in, values
//! out: no socket, no task, and time is an argument, in nanoseconds of a clock
//! that only goes forward.
//!
//! [`Subscription`] speaks the delta variant of xDS, [`SotwSubscription`] the
//! state-of-the-world variant. The rules are those of the xDS protocol; the
//! order of sending is that of `order`, and goes beyond the protocol so that no
//! request meets a route without its cluster.
//!
//! Invariant: at most one response per type is unanswered, so a slow client
//! costs nothing and skips to the newest content.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

use self::exchange::{Exchange, NAME_BYTES, NAME_LIMIT, Slot};
pub use self::response::Response;
use crate::snapshot::View;

mod exchange;
mod order;
mod progress;
mod refusal;
mod render;
mod response;
#[cfg(test)]
mod tests;
mod watched;

/// Asks for everything of a type.
const WILDCARD: &str = "*";

/// A request after which the stream has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// On an aggregated stream every request says its type.
    #[error("type_url: required on an aggregated stream")]
    NoType,
    /// More was asked for than one stream is given.
    #[error("resource names: at most {NAME_LIMIT} names and {NAME_BYTES} bytes on one stream")]
    TooManyNames,
}

/// What a request said about an earlier response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whether it answers the response that was not answered yet.
    pub current: bool,
    /// The text, if it refuses something.
    pub refused: Option<String>,
}

/// A resource that the client refuses, until its content changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Short name of the type, for example `Cluster`.
    pub kind: String,
    /// Name of the resource; empty if the client named none.
    pub name: String,
    /// The client's words, at most 4 KiB.
    pub detail: String,
    /// When it came, in nanoseconds.
    pub at: u64,
    /// The revision it was sent with; 0 if that is not known.
    pub revision: u64,
}

/// The server's side of a stream, of either variant.
pub trait Conversation {
    /// Its requests.
    type Request;

    /// A stream that opens now.
    fn open(now: u64) -> Self;
    /// Takes a request.
    ///
    /// # Errors
    /// The stream has to end.
    fn on_request(&mut self, request: &Self::Request, now: u64) -> Result<Heard, Violation>;
    /// Takes a new goal, which replaces the one before.
    fn on_snapshot(&mut self, revision: u64, view: Arc<View>);
    /// What may be sent now; call again until there is nothing.
    fn next(&mut self, now: u64) -> Option<Response>;
    /// When to call `next` although nothing happened.
    fn deadline(&self) -> Option<u64>;
    /// The newest revision of which the client has accepted all additions and
    /// routes.
    fn accepted_revision(&self) -> u64;
    /// The newest revision of which the client has answered all additions and
    /// routes, for better or worse.
    fn settled_revision(&self) -> u64;
    /// Everything the client refuses now.
    fn rejections(&self) -> Vec<Rejected>;
}

/// A stream of the delta variant.
#[derive(Debug)]
pub struct Subscription {
    exchange: Exchange,
}

/// A stream of the state-of-the-world variant.
#[derive(Debug)]
pub struct SotwSubscription {
    exchange: Exchange,
}

impl Conversation for Subscription {
    type Request = DeltaDiscoveryRequest;

    fn open(now: u64) -> Self {
        Self {
            exchange: Exchange::new(false, now),
        }
    }

    /// Subscriptions count whatever the nonce is; it only ties an answer to a
    /// response.
    fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        now: u64,
    ) -> Result<Heard, Violation> {
        let Some(slot) = self.exchange.slot(&request.type_url)? else {
            return Ok(Heard::default());
        };
        let first = self
            .exchange
            .get_mut(&slot)
            .is_some_and(|watched| !watched.started);
        let error = request.error_detail.as_ref().map(|e| e.message.as_str());
        let heard = self
            .exchange
            .hear(&slot, &request.response_nonce, error, now);
        self.subscribe(&slot, request, first)?;
        self.unsubscribe(&slot, request);
        Ok(heard)
    }

    fn on_snapshot(&mut self, revision: u64, view: Arc<View>) {
        self.exchange.on_snapshot(revision, &view);
    }

    fn next(&mut self, now: u64) -> Option<Response> {
        self.exchange.next(now)
    }

    fn deadline(&self) -> Option<u64> {
        self.exchange.deadline()
    }

    fn accepted_revision(&self) -> u64 {
        self.exchange.accepted
    }

    fn settled_revision(&self) -> u64 {
        self.exchange.settled
    }

    fn rejections(&self) -> Vec<Rejected> {
        self.exchange.rejections()
    }
}

impl Subscription {
    fn subscribe(
        &mut self,
        slot: &Slot,
        request: &DeltaDiscoveryRequest,
        first: bool,
    ) -> Result<(), Violation> {
        let subscribe = &request.resource_names_subscribe;
        let versions = &request.initial_resource_versions;
        let Some(watched) = self.exchange.get_mut(slot) else {
            return Ok(());
        };
        let empty = subscribe.is_empty() && request.resource_names_unsubscribe.is_empty();
        let was_wildcard = watched.wildcard;
        watched.wildcard |= subscribe.iter().any(|name| name == WILDCARD)
            || (first && empty && watched.has_legacy_wildcard());
        for name in subscribe.iter().filter(|name| *name != WILDCARD) {
            watched.names.insert(name.clone());
            if !watched.gone.contains(name) {
                watched.owed.insert(name.clone());
            }
        }
        watched.answer |= watched.wildcard && !was_wildcard;
        if first || !subscribe.is_empty() {
            self.exchange.note_questions();
        }
        if !subscribe.is_empty() || !versions.is_empty() {
            self.exchange.check_limits()?;
        }
        if first && versions.len() > NAME_LIMIT {
            return Err(Violation::TooManyNames);
        }
        let Some(watched) = self.exchange.get_mut(slot) else {
            return Ok(());
        };
        let changed_scope = watched.wildcard != was_wildcard;
        if first {
            for (name, version) in versions {
                if watched.covers(name) {
                    watched.claim(name, version);
                    watched.owed.remove(name);
                }
            }
        }
        if changed_scope || (first && !versions.is_empty()) {
            self.exchange.compare(slot);
        }
        if first {
            self.exchange.check_limits()?;
        }
        Ok(())
    }

    fn unsubscribe(&mut self, slot: &Slot, request: &DeltaDiscoveryRequest) {
        let Some(watched) = self.exchange.get_mut(slot) else {
            return;
        };
        if request.resource_names_unsubscribe.is_empty() {
            return;
        }
        let mut narrowed = false;
        for name in &request.resource_names_unsubscribe {
            if name == WILDCARD {
                narrowed = std::mem::take(&mut watched.wildcard);
            } else if watched.names.remove(name) && watched.wildcard {
                // The client cannot know whether the wildcard still covers it.
                watched.owed.insert(name.clone());
            } else if !watched.wildcard {
                watched.forget(name);
            }
        }
        if narrowed {
            watched.answer = false;
            forget_uncovered(watched);
            self.exchange.compare(slot);
        }
        self.exchange.note_questions();
    }
}

impl Conversation for SotwSubscription {
    type Request = DiscoveryRequest;

    fn open(now: u64) -> Self {
        Self {
            exchange: Exchange::new(true, now),
        }
    }

    /// A request that answers an older response than the last is not the
    /// client's present list of names, which is on its way.
    fn on_request(&mut self, request: &DiscoveryRequest, now: u64) -> Result<Heard, Violation> {
        let Some(slot) = self.exchange.slot(&request.type_url)? else {
            return Ok(Heard::default());
        };
        let (mut first, mut stale) = (false, false);
        if let Some(watched) = self.exchange.get_mut(&slot) {
            first = !watched.started;
            // A nonce of another stream dies with that stream.
            stale = !first
                && !request.response_nonce.is_empty()
                && request.response_nonce != watched.last_nonce.to_string();
        }
        let error = request.error_detail.as_ref().map(|e| e.message.as_str());
        let nonce = if first { "" } else { &request.response_nonce };
        let heard = self.exchange.hear(&slot, nonce, error, now);
        if !stale {
            self.replace_names(&slot, &request.resource_names, first)?;
        }
        Ok(heard)
    }

    fn on_snapshot(&mut self, revision: u64, view: Arc<View>) {
        self.exchange.on_snapshot(revision, &view);
    }

    fn next(&mut self, now: u64) -> Option<Response> {
        self.exchange.next(now)
    }

    fn deadline(&self) -> Option<u64> {
        self.exchange.deadline()
    }

    fn accepted_revision(&self) -> u64 {
        self.exchange.accepted
    }

    fn settled_revision(&self) -> u64 {
        self.exchange.settled
    }

    fn rejections(&self) -> Vec<Rejected> {
        self.exchange.rejections()
    }
}

impl SotwSubscription {
    /// Every request carries the full list.
    fn replace_names(
        &mut self,
        slot: &Slot,
        names: &[String],
        first: bool,
    ) -> Result<(), Violation> {
        let Some(watched) = self.exchange.get_mut(slot) else {
            return Ok(());
        };
        watched.ever_named |= !names.is_empty();
        let wildcard = names.iter().any(|name| name == WILDCARD)
            || (!watched.ever_named && watched.has_legacy_wildcard());
        let list: BTreeSet<String> = names
            .iter()
            .filter(|name| *name != WILDCARD)
            .cloned()
            .collect();
        let was_wildcard = std::mem::replace(&mut watched.wildcard, wildcard);
        watched.answer |= wildcard && !was_wildcard;
        // A type that we do not have is answered once, so that nobody waits.
        watched.answer |= first && watched.kind.is_none();
        let dropped: Vec<String> = watched.names.difference(&list).cloned().collect();
        let added: Vec<String> = list.difference(&watched.names).cloned().collect();
        watched.names = list;
        for name in dropped.iter().filter(|_| !wildcard) {
            watched.forget(name);
        }
        let grew = !added.is_empty();
        let changed = first || grew || !dropped.is_empty() || wildcard != was_wildcard;
        watched.owed.extend(added);
        if wildcard != was_wildcard {
            forget_uncovered(watched);
            self.exchange.compare(slot);
        }
        if changed {
            self.exchange.note_questions();
        }
        if grew {
            self.exchange.check_limits()?;
        }
        Ok(())
    }
}

/// Forgets what a narrower subscription no longer covers.
fn forget_uncovered(watched: &mut watched::Watched) {
    let (wildcard, names) = (watched.wildcard, &watched.names);
    watched
        .held
        .retain(|name, _| wildcard || names.contains(name));
    watched.owed.retain(|name| wildcard || names.contains(name));
}
