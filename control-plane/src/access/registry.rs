//! Who is let in, in memory: no request waits for the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use evenkeel_shared::proto::v1;
use evenkeel_shared::tls::Identity;
use parking_lot::RwLock;
use prost_types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::refusal::Refusal;
use super::token::Presented;
use crate::store::access::StoredToken;

/// Stands for "never" where a time is kept in an atomic.
const NEVER: i64 = i64::MIN;

/// A token, or a certificate's name.
#[derive(Debug)]
pub(super) struct Entry {
    /// What does not change of it.
    token: v1::Token,
    pub grants: Arc<[v1::Grant]>,
    digest: Vec<u8>,
    revoked: AtomicI64,
    used: AtomicI64,
    /// The use that the store knows of.
    kept: AtomicI64,
    /// Cancelled when it is revoked.
    pub ended: CancellationToken,
}

/// All of them. The lock is held for a look-up only.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: BTreeMap<String, Arc<Entry>>,
    /// By the name in a certificate; also of those that have ended.
    by_certificate: BTreeMap<String, Vec<Arc<Entry>>>,
}

fn seconds(time: Option<Timestamp>) -> i64 {
    time.map_or(NEVER, |time| time.seconds)
}

fn timestamp(seconds: i64) -> Option<Timestamp> {
    (seconds != NEVER).then_some(Timestamp { seconds, nanos: 0 })
}

impl Entry {
    pub(super) fn new(stored: StoredToken) -> Self {
        let StoredToken { token, digest } = stored;
        let revoked = seconds(token.revoked);
        let used = seconds(token.last_used);
        let ended = CancellationToken::new();
        if revoked != NEVER {
            ended.cancel();
        }
        Self {
            grants: token.grants.clone().into(),
            digest,
            revoked: AtomicI64::new(revoked),
            used: AtomicI64::new(used),
            kept: AtomicI64::new(used),
            ended,
            token,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.token.id
    }

    pub(super) fn name(&self) -> &str {
        &self.token.name
    }

    pub(super) fn expires(&self) -> Option<i64> {
        self.token.expires.map(|time| time.seconds)
    }

    /// Whether it holds at a time, in seconds since 1970.
    pub(super) fn holds(&self, now: i64) -> bool {
        !self.ended.is_cancelled() && self.expires().is_none_or(|expires| now < expires)
    }

    /// What can be shown of it.
    pub(super) fn show(&self) -> v1::Token {
        v1::Token {
            revoked: timestamp(self.revoked.load(Ordering::Relaxed)),
            last_used: timestamp(self.used.load(Ordering::Relaxed)),
            ..self.token.clone()
        }
    }

    /// Notes that it was used.
    pub(super) fn note_use(&self, now: i64) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// Ends it, also for those who are in already.
    pub(super) fn end(&self, now: i64) {
        self.revoked.store(now, Ordering::Relaxed);
        self.ended.cancel();
    }
}

impl Registry {
    pub(super) fn new(tokens: Vec<StoredToken>) -> Self {
        let registry = Self::default();
        for token in tokens {
            registry.add(Entry::new(token), &[]);
        }
        registry
    }

    /// The token that somebody shows, at a time in seconds since 1970. That it
    /// has ended is said only to whoever knows its secret.
    ///
    /// # Errors
    /// It is none, or has ended.
    pub(super) fn token(&self, presented: &Presented, now: i64) -> Result<Arc<Entry>, Refusal> {
        let entry = self.entries.read().by_id.get(&presented.id).cloned();
        let entry = entry.filter(|entry| presented.proves(&entry.digest));
        let entry = entry.ok_or(Refusal::Unknown)?;
        if entry.holds(now) {
            Ok(entry)
        } else if entry.ended.is_cancelled() {
            Err(Refusal::Revoked(entry.name().to_owned()))
        } else {
            Err(Refusal::Expired(entry.name().to_owned()))
        }
    }

    /// The first name in a certificate that is let in.
    pub(super) fn certificate(
        &self,
        identity: &Identity,
        now: i64,
    ) -> Option<(String, Arc<Entry>)> {
        let entries = self.entries.read();
        let names = identity.uris.iter().chain(&identity.dns);
        names
            .filter_map(|name| Some((name, entries.by_certificate.get(name)?)))
            .flat_map(|(name, found)| found.iter().map(move |entry| (name, entry)))
            .find(|(_, entry)| entry.holds(now))
            .map(|(name, entry)| (name.clone(), Arc::clone(entry)))
    }

    /// All, newest first.
    pub(super) fn list(&self) -> Vec<Arc<Entry>> {
        let mut list: Vec<_> = self.entries.read().by_id.values().cloned().collect();
        list.sort_by_key(|entry| std::cmp::Reverse(seconds(entry.token.created)));
        list
    }

    /// One by its id, or the one that holds by its name.
    pub(super) fn find(&self, id_or_name: &str, now: i64) -> Option<Arc<Entry>> {
        let entries = self.entries.read();
        let named = |entry: &&Arc<Entry>| entry.name() == id_or_name && entry.holds(now);
        let found = entries.by_id.get(id_or_name);
        let found = found.or_else(|| entries.by_id.values().find(named));
        found.cloned()
    }

    /// Takes one in and forgets others, by their ids.
    pub(super) fn add(&self, entry: Entry, forget: &[String]) {
        let entry = Arc::new(entry);
        let mut entries = self.entries.write();
        let forgotten: Vec<_> = forget
            .iter()
            .filter_map(|id| entries.by_id.remove(id))
            .collect();
        for old in forgotten {
            let name = &old.token.certificate;
            if let Some(same) = entries.by_certificate.get_mut(name) {
                same.retain(|other| other.id() != old.id());
                if same.is_empty() {
                    entries.by_certificate.remove(name);
                }
            }
        }
        if !entry.token.certificate.is_empty() {
            let name = entry.token.certificate.clone();
            let same = entries.by_certificate.entry(name).or_default();
            same.push(Arc::clone(&entry));
        }
        entries.by_id.insert(entry.id().to_owned(), entry);
    }

    /// The uses that the store does not know of; it is taken for granted that it
    /// is told.
    pub(super) fn take_uses(&self) -> Vec<(String, i64)> {
        let entries = self.entries.read();
        let news = entries.by_id.values().filter_map(|entry| {
            let used = entry.used.load(Ordering::Relaxed);
            let kept = entry.kept.swap(used, Ordering::Relaxed);
            (used != kept).then(|| (entry.id().to_owned(), used))
        });
        news.collect()
    }
}
