//! What is sent next: make before break.
//!
//! ```text
//! grant -> clusters -> endpoints -> secrets -> [gate] -> listeners -> routes -> removals
//! ```
//!
//! The gate is for clients that take all clusters unasked. It stays closed until
//! they have accepted the clusters, and the endpoints and secrets of those that
//! changed, so that no route reaches them before its cluster, and opens after a
//! while for clients that do not answer. Clusters go when no route of the client
//! needs them any more, secrets when no listener and no cluster of it does.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_shared::xds::ResourceType;

use super::exchange::{Exchange, GRACE, HOLD, Slot, is_whole_set, target};
use super::response::Response;
use super::watched::{Held, LastGood, Verdict};

impl Exchange {
    /// What may be sent now, if anything.
    pub(super) fn next(&mut self, now: u64) -> Option<Response> {
        self.clock = self.clock.max(now);
        self.settle_warming();
        let slots = self.slots();
        let mut response = None;
        for slot in &slots {
            if response.is_none() {
                response = self.addition(slot);
            }
        }
        for slot in &slots {
            if response.is_none() {
                response = self.removal(slot);
            }
        }
        self.note_progress();
        response
    }

    fn addition(&mut self, slot: &Slot) -> Option<Response> {
        let gated = matches!(
            slot,
            Slot::Known(ResourceType::Listener | ResourceType::RouteTable)
        );
        let open = !gated || self.gate_is_open();
        let tables = match slot {
            Slot::Known(ResourceType::RouteTable) => self.sendable_tables(self.clock),
            _ => Vec::new(),
        };
        let watched = self.get_mut(slot)?;
        if watched.in_flight.is_some() || !watched.started {
            return None;
        }
        let mut removed = Vec::new();
        let names: Vec<String> = match slot {
            _ if !open => Vec::new(),
            Slot::Known(ResourceType::RouteTable) => tables,
            Slot::Known(ResourceType::Listener) => {
                removed.extend(watched.gone.iter().cloned());
                watched.due.union(&watched.owed).cloned().collect()
            }
            _ => watched.due.union(&watched.owed).cloned().collect(),
        };
        let idle = names.is_empty() && removed.is_empty();
        let silent = !watched.answer || watched.has_news();
        if idle && silent {
            return None;
        }
        self.render(slot, names, removed)
    }

    fn removal(&mut self, slot: &Slot) -> Option<Response> {
        let names = match slot {
            Slot::Known(ResourceType::Cluster) => self.removable_clusters(),
            Slot::Known(ResourceType::RouteTable) if !self.is_through(ResourceType::Listener) => {
                return None;
            }
            Slot::Known(ResourceType::Assignment) if !self.is_through(ResourceType::Cluster) => {
                return None;
            }
            Slot::Known(ResourceType::Secret) => self.removable_secrets(),
            // Goes with the additions.
            Slot::Known(ResourceType::Listener) => return None,
            _ => self.get_mut(slot)?.gone.iter().cloned().collect(),
        };
        let watched = self.get_mut(slot)?;
        if names.is_empty() || watched.in_flight.is_some() || !watched.started {
            return None;
        }
        self.render(slot, Vec::new(), names)
    }

    /// Whether the client has answered all there is of the type.
    fn is_through(&self, kind: ResourceType) -> bool {
        let watched = self.of(kind);
        watched.in_flight.is_none() && !watched.has_news() && watched.gone.is_empty()
    }

    /// Whether listeners and routes may go out.
    fn gate_is_open(&self) -> bool {
        let clusters = self.of(ResourceType::Cluster);
        let unanswered = clusters.in_flight.as_ref().is_some_and(|flight| {
            (flight.adds || clusters.has_news()) && self.clock < flight.at + HOLD
        });
        !clusters.wildcard || (!unanswered && self.warming.is_empty())
    }

    /// Strikes out clusters that are usable, were refused, or took too long.
    fn settle_warming(&mut self) {
        let mut warming = std::mem::take(&mut self.warming);
        warming.retain(|name, since| self.clock < *since + HOLD && self.is_warming(name));
        self.warming = warming;
    }

    fn is_warming(&self, name: &str) -> bool {
        let Some(cluster) = self.of(ResourceType::Cluster).held.get(name) else {
            return false;
        };
        match cluster.verdict {
            Verdict::Pending => true,
            Verdict::Refused(_) | Verdict::Doubtful => false,
            Verdict::Accepted => {
                let LastGood::Known(content) = &cluster.last_good else {
                    return false;
                };
                let mut needs = content.needs.iter();
                needs.any(|(kind, needed)| self.is_awaited(*kind, needed, cluster.sent))
            }
        }
    }

    /// Whether the client has yet to accept what a cluster needs that it was sent
    /// in response `sent`. Endpoints come again after each cluster, secrets only
    /// when they change.
    fn is_awaited(&self, kind: ResourceType, needed: &str, sent: u64) -> bool {
        let watched = self.of(kind);
        watched.owed.contains(needed)
            || watched.lacks(needed)
            || watched.held.get(needed).is_some_and(|held| {
                held.verdict == Verdict::Pending
                    || (kind == ResourceType::Assignment && held.sent < sent)
            })
    }

    /// The route tables that are due and may go out by themselves, the gate
    /// aside.
    pub(super) fn sendable_tables(&self, now: u64) -> Vec<String> {
        let tables = self.of(ResourceType::RouteTable);
        let due = tables.due.union(&tables.owed);
        due.filter(|name| !self.lacks_cluster(name, now))
            .cloned()
            .collect()
    }

    /// Whether a route table needs a cluster that the client refused, or that
    /// did not fit into the last response, and has no older version of. A
    /// client that has an older table keeps it; one that has none gets the
    /// table after a while, because some routes are better than none.
    fn lacks_cluster(&self, table: &str, now: u64) -> bool {
        let clusters = self.of(ResourceType::Cluster);
        if !clusters.wildcard {
            return false;
        }
        let slot = Slot::Known(ResourceType::RouteTable);
        let Some(content) = target(&self.view, &slot).get(table) else {
            return false;
        };
        let held = self.of(ResourceType::RouteTable).held.get(table);
        let has_older = held.is_some_and(Held::is_usable);
        let needed = content.needs.iter();
        needed
            .filter(|(kind, _)| *kind == ResourceType::Cluster)
            .any(|(_, name)| match clusters.held.get(name) {
                Some(cluster) if cluster.is_usable() => false,
                Some(cluster) => match cluster.verdict {
                    Verdict::Refused(since) => has_older || now < since + HOLD,
                    _ => clusters.due.contains(name),
                },
                None => clusters.due.contains(name),
            })
    }

    /// Clusters that the client should not have and no longer uses.
    fn removable_clusters(&self) -> Vec<String> {
        let clusters = self.of(ResourceType::Cluster);
        let tables = self.of(ResourceType::RouteTable);
        if !clusters.wildcard || clusters.gone.is_empty() {
            return clusters.gone.iter().cloned().collect();
        }
        let routes_moved = self.is_through(ResourceType::Listener)
            && tables.in_flight.is_none()
            && tables.gone.is_empty()
            && self.sendable_tables(self.clock).is_empty()
            && self.clock >= self.routes_moved + GRACE;
        let mut needed = BTreeSet::new();
        for table in tables.held.values() {
            match &table.last_good {
                LastGood::None => {}
                // It keeps a table of an earlier stream that we never saw.
                LastGood::Unknown => return Vec::new(),
                LastGood::Known(content) => {
                    needed.extend(content.needs.iter().map(|(_, name)| name.as_str()));
                }
            }
        }
        let unused = clusters.gone.iter();
        unused
            .filter(|name| routes_moved && !needed.contains(name.as_str()))
            .cloned()
            .collect()
    }

    /// Secrets that the client should not have and no longer uses. What it last
    /// accepted of a listener or cluster counts, because it keeps using that while
    /// it refuses a newer one.
    fn removable_secrets(&self) -> Vec<String> {
        let secrets = self.of(ResourceType::Secret);
        let users = [ResourceType::Cluster, ResourceType::Listener];
        if secrets.gone.is_empty() || !users.into_iter().all(|kind| self.is_through(kind)) {
            return Vec::new();
        }
        let mut needed = BTreeSet::new();
        for user in users
            .into_iter()
            .flat_map(|kind| self.of(kind).held.values())
        {
            match &user.last_good {
                LastGood::None => {}
                // It keeps one of an earlier stream that we never saw.
                LastGood::Unknown => return Vec::new(),
                LastGood::Known(content) => {
                    let needs = content.needs.iter();
                    let needs = needs.filter(|(kind, _)| *kind == ResourceType::Secret);
                    needed.extend(needs.map(|(_, name)| name.as_str()));
                }
            }
        }
        let unused = secrets.gone.iter();
        unused
            .filter(|name| !needed.contains(name.as_str()))
            .cloned()
            .collect()
    }

    /// A cluster that was sent is usable when its endpoints came after it.
    /// Envoy waits for them even if they did not change, and the delta variant
    /// of it does not ask again.
    pub(super) fn expect_endpoints(&mut self, names: &[String]) {
        let view = Arc::clone(&self.view);
        let clusters = target(&view, &Slot::Known(ResourceType::Cluster));
        for name in names {
            let Some(cluster) = clusters.get(name) else {
                continue;
            };
            if self.of(ResourceType::Cluster).wildcard {
                self.warming.insert(name.clone(), self.clock);
            }
            for (kind, needed) in &cluster.needs {
                let assignments = self.of_mut(ResourceType::Assignment);
                if *kind == ResourceType::Assignment && assignments.covers(needed) {
                    assignments.owed.insert(needed.clone());
                }
            }
        }
    }

    /// A cluster that the client brought from an earlier stream is not usable
    /// either while it has no endpoints or secrets for it: that stream may have
    /// ended between the two, and clients need not keep secrets.
    pub(super) fn expect_missing(&mut self) {
        let view = Arc::clone(&self.view);
        self.expect_missing_of(target(&view, &Slot::Known(ResourceType::Cluster)).keys());
    }

    /// The same for some clusters.
    pub(super) fn expect_missing_of<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        let clusters = self.of(ResourceType::Cluster);
        if !clusters.wildcard {
            return;
        }
        let wanted = target(&self.view, &Slot::Known(ResourceType::Cluster));
        let is_bare = |name: &&String| {
            let usable = clusters.held.get(*name).is_some_and(Held::is_usable);
            let mut needs = wanted
                .get(*name)
                .into_iter()
                .flat_map(|cluster| &cluster.needs);
            usable && needs.any(|(kind, needed)| self.of(*kind).lacks(needed))
        };
        let bare: Vec<String> = names.into_iter().filter(is_bare).cloned().collect();
        for name in bare {
            self.warming.entry(name).or_insert(self.clock);
        }
    }

    /// Whether the response has to carry everything of its type.
    pub(super) fn sends_whole_set(&self, slot: &Slot) -> bool {
        self.sotw && is_whole_set(slot)
    }
}
