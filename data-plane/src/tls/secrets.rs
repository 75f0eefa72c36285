//! Certificates and keys as they are at hand. What is read from a place stays
//! until something better is read there: a bad new pair never replaces a good
//! old one.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use evenkeel_shared::ir::SecretContent;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::load::{self, Material, Stamps};
use super::place::{Place, unknown};
use super::plan::Plan;
use super::settings::Shelf;
use super::shown::{Overview, Shown};

/// All certificates and keys of the process, and the settings made of them.
#[derive(Debug, Default)]
pub struct Secrets {
    // A lock: the configuration thread puts plans in, the watch new content. No
    // worker ever takes it; nothing is read from disk under it but by the former.
    state: Mutex<State>,
    shown: ArcSwap<Overview>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    plan: Arc<Plan>,
    shelf: Shelf,
}

/// What there is of one place.
#[derive(Debug)]
pub(super) struct Item {
    /// What is to be read; `None` if the control plane has not said.
    content: Option<SecretContent>,
    /// How the files looked before they were read last.
    stamps: Stamps,
    /// The last that was good.
    pub(super) good: Option<Material>,
    /// Why the newest is not used.
    pub(super) error: Option<Arc<str>>,
}

/// A place that the watch looks at.
struct Look {
    place: Place,
    content: SecretContent,
    stamps: Stamps,
    failed: bool,
}

/// What it found there.
struct Found {
    place: Place,
    content: SecretContent,
    stamps: Stamps,
    read: Result<Material, String>,
}

impl Secrets {
    /// Puts a plan in force: reads what is new, and exchanges the settings of
    /// everybody whom it concerns.
    pub fn install(&self, plan: &Arc<Plan>) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.plan, Arc::clone(plan));
        let mut old = std::mem::take(&mut state.shelf.0);
        let mut changed = BTreeSet::new();
        for place in plan.places() {
            let content = place.content(plan);
            let known = old.remove(&place);
            let item = match known {
                Some(known) if known.content == content => known,
                known => {
                    changed.insert(place.clone());
                    Item::begin(&place, content, known)
                }
            };
            state.shelf.0.insert(place, item);
        }
        state.renew(&before, &changed);
        self.show(&state);
    }

    /// Reads files again that have changed, and exchanges the settings of
    /// everybody whom it concerns. Waits for the disk.
    pub fn poll(&self) {
        let looks = self.state.lock().looks();
        let now = jiff::Timestamp::now().as_second();
        let found: Vec<Found> = looks
            .into_iter()
            .filter_map(|look| look.again(now))
            .collect();
        if found.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let mut changed = BTreeSet::new();
        let mut news = false;
        for found in found {
            let Some(item) = state.shelf.0.get_mut(&found.place) else {
                continue;
            };
            if item.content.as_ref() != Some(&found.content) {
                continue;
            }
            let error = item.error.clone();
            item.stamps = found.stamps;
            if item.take(&found.place, found.read) {
                changed.insert(found.place);
            }
            news |= item.error != error;
        }
        if news || !changed.is_empty() {
            let plan = Arc::clone(&state.plan);
            state.renew(&plan, &changed);
            self.show(&state);
        }
    }

    /// What there is.
    pub fn shown(&self) -> Arc<Overview> {
        self.shown.load_full()
    }

    /// Waits until [`Self::shown`] has changed since this was last waited for. For
    /// one waiter.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    fn show(&self, state: &State) {
        let places = state.shelf.0.iter().map(|(place, item)| Shown {
            place: place.clone(),
            source: item.content.as_ref().map(load::whereabouts),
            trusted: matches!(item.good, Some(Material::Trust(..))),
            certificates: item
                .good
                .as_ref()
                .map(Material::identities)
                .unwrap_or_default()
                .to_vec(),
            error: item.error.clone(),
        });
        self.shown.store(Arc::new(Overview {
            places: places.collect(),
            refusing: state.refusing(),
        }));
        self.news.notify_one();
    }
}

impl State {
    /// Exchanges the settings of those who use a changed place, and makes those
    /// of whom `before` did not know.
    fn renew(&self, before: &Plan, changed: &BTreeSet<Place>) {
        let concerns = |places: Vec<Place>| places.iter().any(|place| changed.contains(place));
        for (name, front) in &self.plan.fronts {
            let old = before.fronts.get(name);
            let known = old.is_some_and(|old| Arc::ptr_eq(&old.tls, &front.tls));
            if !known || concerns(front.places()) {
                front.tls.renew(self.shelf.server(front));
            }
        }
        for (name, back) in &self.plan.backs {
            let old = before.backs.get(name);
            let known = old.is_some_and(|old| Arc::ptr_eq(&old.tls, &back.tls));
            if !known || concerns(back.places()) {
                back.tls.renew(self.shelf.client(back));
            }
        }
    }

    /// Who has no settings, and why.
    fn refusing(&self) -> Vec<(String, Arc<str>)> {
        let fronts = self.plan.fronts.iter().filter_map(|(name, front)| {
            let reason = front.tls.settings().err()?;
            Some((format!("listener {:?}", name.as_str()), reason))
        });
        let backs = self.plan.backs.iter().filter_map(|(name, back)| {
            let reason = back.tls.settings().err()?;
            Some((format!("cluster {:?}", name.as_str()), reason))
        });
        fronts.chain(backs).collect()
    }

    fn looks(&self) -> Vec<Look> {
        let items = self.shelf.0.iter();
        let looks = items.filter_map(|(place, item)| {
            let content = item.content.as_ref()?;
            (!load::is_inline(content)).then(|| Look {
                place: place.clone(),
                content: content.clone(),
                stamps: item.stamps.clone(),
                failed: item.error.is_some(),
            })
        });
        looks.collect()
    }
}

impl Look {
    /// What is there, if that may have changed.
    fn again(self, now: i64) -> Option<Found> {
        // Before reading: what changes meanwhile is seen the next time.
        let stamps = Stamps::take(&self.content);
        let unchanged = stamps == self.stamps && !stamps.are_unsettled(now);
        if unchanged && !self.failed {
            return None;
        }
        Some(Found {
            read: load::read(&self.content),
            stamps,
            place: self.place,
            content: self.content,
        })
    }
}

impl Item {
    /// Reads a place for the first time since it says `content`. What was good
    /// there stays if the new is not.
    fn begin(place: &Place, content: Option<SecretContent>, old: Option<Self>) -> Self {
        let mut item = Self {
            content,
            stamps: Stamps::default(),
            good: old.and_then(|old| old.good),
            error: None,
        };
        let Some(content) = &item.content else {
            // Taken back while it is named: whoever does so by mistake, as one who
            // lost it, does not take the listener down.
            let reason = unknown(place);
            if item.good.is_some() {
                warn!(%reason, last_good_stays = true, "certificate missing");
            }
            item.error = Some(reason);
            return item;
        };
        item.stamps = Stamps::take(content);
        let read = load::read(content);
        item.take(place, read);
        item
    }

    /// Takes in what was read. Says whether other certificates are in use.
    fn take(&mut self, place: &Place, read: Result<Material, String>) -> bool {
        match read {
            Ok(new) => {
                self.error = None;
                if self.good.as_ref().is_some_and(|old| old.is_same(&new)) {
                    return false;
                }
                for certificate in new.identities() {
                    info!(
                        %place,
                        name = certificate.label(),
                        fingerprint = certificate.fingerprint,
                        not_after = certificate.not_after,
                        "certificate in use"
                    );
                }
                self.good = Some(new);
                true
            }
            Err(reason) => {
                let reason: Arc<str> = format!("{place} cannot be used: {reason}").into();
                if self.error.as_ref() != Some(&reason) {
                    warn!(
                        reason = reason.as_ref(),
                        last_good_stays = self.good.is_some(),
                        "certificate refused"
                    );
                    // Those who have nothing refuse with the newest reason.
                    let concerns = self.good.is_none();
                    self.error = Some(reason);
                    return concerns;
                }
                false
            }
        }
    }
}

/// A secret that comes whole from the control plane and cannot be used.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_inline(content: &SecretContent) -> Result<(), String> {
    if load::is_inline(content) {
        load::read(content).map(drop)
    } else {
        Ok(())
    }
}

/// Whether a secret only says in which files to look.
pub fn is_elsewhere(content: &SecretContent) -> bool {
    load::sources(content)
        .iter()
        .all(|source| !source.is_inline())
}
