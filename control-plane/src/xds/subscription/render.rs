//! Puts a response together and notes what the client has after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_shared::xds::ResourceType;
use sha2::{Digest, Sha256};

use super::exchange::{Exchange, Slot, target};
use super::response::Response;
use super::watched::{Content, InFlight, Watched};
use crate::snapshot::{Encoded, Encodings};

/// Resources in one response, in bytes. Clients that did not raise gRPC's
/// limit take 4 MiB.
const SIZE_LIMIT: usize = 3_500_000;

/// What one resource costs on the wire beside its name and content.
const OVERHEAD: usize = 160;

impl Exchange {
    /// A response with `names`, as they are in the view, and without `removed`.
    /// What does not fit stays due. `None` if there is nothing to say, because
    /// the variant has no words for what does not exist.
    pub(super) fn render(
        &mut self,
        slot: &Slot,
        names: Vec<String>,
        removed: Vec<String>,
    ) -> Option<Response> {
        let view = Arc::clone(&self.view);
        let target = target(&view, slot);
        let whole_set = self.sends_whole_set(slot);
        let (sotw, nonce, now) = (self.sotw, self.sequence + 1, self.clock);
        let revision = self.revision;
        let watched = self.get_mut(slot)?;
        let mut draft = Draft::default();
        if whole_set {
            draft.add_all(names, target);
        } else {
            draft.add(names, target, sotw);
        }
        if whole_set {
            draft.removed = removed;
        } else if !sotw {
            draft.remove(removed);
        }
        draft.note(watched, nonce);
        if draft.is_empty() && !watched.answer {
            return None;
        }
        watched.answer = false;
        watched.last_nonce = nonce;
        let adds = !draft.changed.is_empty();
        let mut answered: Vec<String> =
            draft.changed.iter().map(|(name, _)| name.clone()).collect();
        answered.extend(draft.missing.iter().cloned());
        let resources = if whole_set {
            let set = scope(watched, target);
            answered = set.keys().cloned().collect();
            set.into_iter().collect()
        } else {
            draft.changed.clone()
        };
        let response = Response {
            type_url: watched.url.clone(),
            nonce: nonce.to_string(),
            revision,
            version: if sotw {
                version_of(&scope(watched, target))
            } else {
                String::new()
            },
            resources,
            removed: draft.missing.into_iter().chain(draft.removed).collect(),
        };
        watched.in_flight = Some(InFlight {
            nonce,
            at: now,
            revision,
            names: answered,
            adds: adds || whole_set && response.removed.is_empty(),
        });
        self.sequence = nonce;
        if *slot == Slot::Known(ResourceType::Cluster) {
            let changed: Vec<String> = draft.changed.into_iter().map(|(name, _)| name).collect();
            self.expect_endpoints(&changed);
        }
        Some(response)
    }
}

/// What goes into a response.
#[derive(Default)]
struct Draft {
    changed: Vec<(String, Arc<Encoded>)>,
    /// Asked for, but not there.
    missing: Vec<String>,
    /// Asked for and not there, in the variant that cannot say so.
    unsaid: Vec<String>,
    removed: Vec<String>,
}

impl Draft {
    fn add(&mut self, names: Vec<String>, target: &Encodings, sotw: bool) {
        let mut size = 0;
        for name in names {
            let resource = target.get(&name);
            let cost = name.len() + OVERHEAD + resource.map_or(0, |found| found.value.len());
            if size > 0 && size + cost > SIZE_LIMIT {
                break;
            }
            match resource {
                Some(resource) => self.changed.push((name, Arc::clone(resource))),
                None if sotw => self.unsaid.push(name),
                None => self.missing.push(name),
            }
            size += cost;
        }
    }

    fn add_all(&mut self, names: Vec<String>, target: &Encodings) {
        for name in names {
            match target.get(&name) {
                Some(resource) => self.changed.push((name, Arc::clone(resource))),
                None => self.unsaid.push(name),
            }
        }
    }

    fn remove(&mut self, names: Vec<String>) {
        let mut size = 0;
        for name in names {
            size += name.len() + OVERHEAD;
            if size <= SIZE_LIMIT {
                self.removed.push(name);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.missing.is_empty() && self.removed.is_empty()
    }

    fn note(&self, watched: &mut Watched, nonce: u64) {
        for (name, resource) in &self.changed {
            watched.note_sent(name, resource, nonce);
        }
        for name in self.missing.iter().chain(&self.removed) {
            watched.note_removed(name, nonce);
        }
        for name in &self.unsaid {
            watched.owed.remove(name);
        }
    }
}

/// Everything of the type that the client has after the response: what it asks
/// for and there is, and what it may keep for now.
fn scope(watched: &Watched, target: &Encodings) -> BTreeMap<String, Arc<Encoded>> {
    let mut set = BTreeMap::new();
    for (name, held) in &watched.held {
        if let (Content::Sent(resource), true) = (&held.content, watched.gone.contains(name)) {
            set.insert(name.clone(), Arc::clone(resource));
        }
    }
    let wanted: BTreeSet<&String> = if watched.wildcard {
        target.keys().chain(&watched.names).collect()
    } else {
        watched.names.iter().collect()
    };
    for name in wanted {
        if let Some(resource) = target.get(name) {
            set.insert(name.clone(), Arc::clone(resource));
        }
    }
    set
}

/// The same for the same names and contents, whoever computes it.
fn version_of(set: &BTreeMap<String, Arc<Encoded>>) -> String {
    let mut hash = Sha256::new();
    for (name, resource) in set {
        for part in [name.as_str(), resource.version.as_str()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    let digest = hash.finalize();
    let mut text = String::with_capacity(32);
    for byte in digest.iter().take(16) {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16));
        }
    }
    text
}
