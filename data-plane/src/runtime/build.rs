//! Makes the runtime from the configuration. What did not change keeps its
//! `Arc`, and with it pools, counters, limits and health.
//!
//! Building is in two parts: [`Builder::stage`] may fail and touches nothing,
//! [`Builder::commit`] cannot fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use evenkeel_shared::error::Invalid;
use evenkeel_shared::ir::{self, RouteSource};
use evenkeel_shared::names::{ClusterName, ListenerName, RouteTableName};
use evenkeel_shared::xds::ResourceType;
use parking_lot::Mutex;

use crate::balance::Balancer;
use crate::limit::Limiter;
use crate::retry::Budget;
use crate::route::Table;
use crate::runtime::membership::{HostSource, Membership};
use crate::runtime::snapshot::{Front, Listener, ListenerCounts, Route, RouteCounts, Snapshot};
use crate::telemetry::counters::Sharded;
use crate::tls::plan::Plan;
use crate::tls::secrets::Secrets;
use crate::tls::{BackTls, FrontTls};
use crate::upstream::cluster::{Cluster, HostSet};
use crate::xds::state::{Active, ActiveListener, Key};

mod conflicts;
mod resolve;
#[cfg(test)]
mod tests;

use resolve::{Resolved, assignment, references, same_clusters, speaks_alike, weighted};

/// Resources that cannot be built, and why.
pub type Unbuildable = Vec<(Key, Vec<Invalid>)>;

type Routes = Table<Arc<Route>>;
/// The limiters of routes of one name, by their settings.
type Limiters = Vec<(ir::RateLimit, Arc<Limiter>)>;

/// Builds the runtime, again and again.
#[derive(Debug)]
pub struct Builder {
    hosts: HostSource,
    seed: u64,
    secrets: Arc<Secrets>,
    built: Built,
}

/// What was built and from what.
#[derive(Debug, Default)]
struct Built {
    snapshot: Arc<Snapshot>,
    assignments: BTreeMap<ClusterName, Arc<ir::Assignment>>,
    tables: BTreeMap<ListenerName, BuiltTable>,
    limiters: BTreeMap<(RouteTableName, String), Limiters>,
    counts: BTreeMap<(ListenerName, String), Arc<Sharded<RouteCounts>>>,
    tls: Arc<Plan>,
}

#[derive(Debug)]
struct BuiltTable {
    source: Arc<ir::RouteTable>,
    clusters: Resolved,
    table: Arc<Routes>,
}

/// A runtime that is ready to be put in force.
#[derive(Debug)]
pub struct Staged {
    built: Built,
}

impl Staged {
    /// What would be in force.
    pub fn snapshot(&self) -> &Snapshot {
        &self.built.snapshot
    }
}

impl Builder {
    /// Builds for the given workers; `seed` makes each proxy begin elsewhere in
    /// its schedules.
    pub fn new(hosts: HostSource, seed: u64) -> Self {
        Self {
            hosts,
            seed,
            secrets: Arc::default(),
            built: Built::default(),
        }
    }

    /// Builds what is to be in force, without touching what is.
    ///
    /// # Errors
    /// The resources that cannot be built.
    pub fn stage(&self, active: &Active, version: &str) -> Result<Staged, Unbuildable> {
        let mut faults = conflicts::addresses(&self.built.snapshot, active);
        let mut tls = Plan::new(active.secrets.clone());
        let mut clusters = BTreeMap::new();
        for (name, cluster) in &active.clusters {
            let tls = tls.back(&self.built.tls, &cluster.spec);
            clusters.insert(name.clone(), self.cluster(&cluster.spec, tls));
        }
        let mut next = Built {
            assignments: active.clusters.iter().filter_map(assignment).collect(),
            ..Built::default()
        };
        let mut listeners = BTreeMap::new();
        for (name, listener) in &active.listeners {
            let tls = tls.front(&self.built.tls, &listener.spec);
            match self.listener(listener, tls, &clusters, &mut next) {
                Ok(listener) => {
                    listeners.insert(name.clone(), listener);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        next.tls = Arc::new(tls);
        next.snapshot = Arc::new(Snapshot {
            version: version.to_owned(),
            listeners,
            clusters,
        });
        Ok(Staged { built: next })
    }

    /// Puts the staged runtime in force. Returns the one before, to be dropped
    /// where it holds nobody up.
    pub fn commit(&mut self, staged: Staged, current: &ArcSwap<Snapshot>) -> Arc<Snapshot> {
        let next = staged.built;
        // Before anybody can see the new listeners and clusters.
        self.secrets.install(&next.tls);
        let changed: Vec<(&Arc<Cluster>, u64)> = next
            .snapshot
            .clusters
            .iter()
            .filter_map(|(name, cluster)| Some((cluster, self.renew(name, cluster, &next)?)))
            .collect();
        let before = current.swap(Arc::clone(&next.snapshot));
        // An ejection may have come between a cluster's hosts and the swap; the
        // health task then refreshed the cluster of the old snapshot.
        for (cluster, generation) in changed {
            if cluster.membership.lock().generation != generation {
                cluster.refresh(self.seed);
            }
        }
        for (name, old) in &before.clusters {
            let new = next.snapshot.clusters.get(name);
            if !new.is_some_and(|new| Arc::ptr_eq(&new.membership, &old.membership)) {
                old.membership.lock().retire();
            }
        }
        self.built = next;
        before
    }

    /// The seed of every schedule of this process.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Builds with certificates and keys that others look at, too.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets, ..self }
    }

    /// Brings the hosts of a cluster up to date; `None` if nothing changed. Else
    /// the generation that its hosts show.
    fn renew(&self, name: &ClusterName, cluster: &Arc<Cluster>, next: &Built) -> Option<u64> {
        let old = self.built.snapshot.clusters.get(name);
        let same_settings = old.is_some_and(|old| Arc::ptr_eq(old, cluster));
        let same_hosts = old.is_some_and(|old| Arc::ptr_eq(&old.membership, &cluster.membership));
        let before = self.built.assignments.get(name);
        let after = next.assignments.get(name);
        let same_endpoints = same_hosts
            && match (before, after) {
                (Some(before), Some(after)) => {
                    Arc::ptr_eq(before, after) || before.endpoints == after.endpoints
                }
                (None, None) => true,
                _ => false,
            };
        if same_settings && same_endpoints {
            return None;
        }
        let mut membership = cluster.membership.lock();
        membership.check(cluster.spec.health_check.is_some());
        if !same_endpoints {
            let endpoints = after.map_or(&[][..], |assignment| &assignment.endpoints);
            membership.assign(endpoints, &self.hosts);
        }
        if cluster.spec.outlier.is_none() {
            membership.pardon();
        }
        drop(membership);
        Some(cluster.refresh(self.seed))
    }

    /// The cluster with these settings: the one in force, one that takes over
    /// from it, or a new one.
    fn cluster(&self, spec: &Arc<ir::Cluster>, tls: Option<Arc<BackTls>>) -> Arc<Cluster> {
        let old = self.built.snapshot.clusters.get(&spec.name);
        if let Some(old) = old.filter(|old| old.spec == **spec) {
            return Arc::clone(old);
        }
        let budget = old
            .filter(|old| old.spec.breakers.retries == spec.breakers.retries)
            .map_or_else(
                || Arc::new(Budget::new(spec.breakers.retries)),
                |old| Arc::clone(&old.retry_budget),
            );
        // Connections that speak otherwise are of no use: the hosts begin anew.
        let membership = old.filter(|old| speaks_alike(&old.spec, spec)).map_or_else(
            || Arc::new(Mutex::new(Membership::default())),
            |old| Arc::clone(&old.membership),
        );
        let none = HostSet {
            members: Vec::new(),
            balancer: Balancer::build(spec.load_balancing.policy, &[], self.seed),
            panic: false,
        };
        Arc::new(Cluster {
            tls,
            spec: spec.as_ref().clone(),
            hosts: ArcSwap::from_pointee(none),
            membership,
            gauges: old.map_or_else(Arc::default, |old| Arc::clone(&old.gauges)),
            retry_budget: budget,
            counts: old.map_or_else(
                || Arc::new(Sharded::new(self.hosts.workers)),
                |old| Arc::clone(&old.counts),
            ),
        })
    }

    /// The listener with its routes; the one in force if nothing changed.
    fn listener(
        &self,
        active: &ActiveListener,
        tls: Option<Arc<FrontTls>>,
        clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
        next: &mut Built,
    ) -> Result<Arc<Listener>, (Key, Vec<Invalid>)> {
        let name = &active.spec.name;
        let routes =
            match &active.routes {
                None => Arc::default(),
                Some(source) => self.table(name, source, clusters, next).map_err(|faults| {
                    match active.spec.routes {
                        RouteSource::Named(_) => (
                            Key::new(ResourceType::RouteTable, source.name.as_str()),
                            faults,
                        ),
                        RouteSource::Inline(_) => {
                            let faults = faults.into_iter().map(|fault| fault.under("routes"));
                            let key = Key::new(ResourceType::Listener, name.as_str());
                            (key, faults.collect())
                        }
                    }
                })?,
            };
        let old = self.built.snapshot.listeners.get(name);
        let same = old.filter(|old| {
            let same_routes = Arc::ptr_eq(&old.routes, &routes);
            let both_empty = active.routes.is_none() && old.routes.iter().next().is_none();
            old.front.spec == *active.spec && (same_routes || both_empty)
        });
        if let Some(old) = same {
            return Ok(Arc::clone(old));
        }
        let front = self.front(&active.spec, tls, old);
        Ok(Arc::new(Listener { front, routes }))
    }

    /// The listener without its routes; the one in force if it did not change.
    fn front(
        &self,
        spec: &ir::Listener,
        tls: Option<Arc<FrontTls>>,
        old: Option<&Arc<Listener>>,
    ) -> Arc<Front> {
        let old = old.map(|old| &old.front);
        if let Some(same) = old.filter(|old| old.spec == *spec) {
            return Arc::clone(same);
        }
        Arc::new(Front {
            tls,
            spec: spec.clone(),
            counts: old.map_or_else(
                || Arc::new(Sharded::<ListenerCounts>::new(self.hosts.workers)),
                |old| Arc::clone(&old.counts),
            ),
        })
    }

    /// The routes of a listener; those in force if neither they nor the clusters
    /// they lead to changed.
    fn table(
        &self,
        listener: &ListenerName,
        source: &Arc<ir::RouteTable>,
        clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
        next: &mut Built,
    ) -> Result<Arc<Routes>, Vec<Invalid>> {
        let resolved: Resolved = references(source)
            .map(|name| (name.clone(), clusters.get(name).cloned()))
            .collect();
        let old = self.built.tables.get(listener);
        let reused = old.filter(|old| {
            let same_source = Arc::ptr_eq(&old.source, source) || old.source == *source;
            same_source && same_clusters(&old.clusters, &resolved)
        });
        let mut make = |route: &ir::Route| {
            let limiter = self.limiter(&source.name, route, next);
            let counts = self.counts(listener, route, next);
            (limiter, counts)
        };
        let table = if let Some(old) = reused {
            // The shared parts are noted again, so that they outlive this build.
            for route in source.hosts.iter().flat_map(|host| &host.routes) {
                make(route);
            }
            Arc::clone(&old.table)
        } else {
            Arc::new(Table::build(source, |route| {
                let (limiter, counts) = make(route);
                Arc::new(Route {
                    spec: route.clone(),
                    clusters: weighted(route, &resolved),
                    limiter,
                    counts,
                })
            })?)
        };
        let built = BuiltTable {
            source: Arc::clone(source),
            clusters: resolved,
            table: Arc::clone(&table),
        };
        next.tables.insert(listener.clone(), built);
        Ok(table)
    }

    /// The limiter of a route: shared by routes of one name and one limit.
    fn limiter(
        &self,
        table: &RouteTableName,
        route: &ir::Route,
        next: &mut Built,
    ) -> Option<Arc<Limiter>> {
        let limit = route.rate_limit.as_ref()?;
        let key = (table.clone(), route.name.clone());
        let alike = |known: &Limiters| {
            let same = known.iter().find(|(settings, _)| settings == limit);
            same.map(|(_, limiter)| Arc::clone(limiter))
        };
        if let Some(limiter) = next.limiters.get(&key).and_then(alike) {
            return Some(limiter);
        }
        let limiter = self
            .built
            .limiters
            .get(&key)
            .and_then(alike)
            .unwrap_or_else(|| Arc::new(Limiter::new(limit, self.seed)));
        next.limiters
            .entry(key)
            .or_default()
            .push((limit.clone(), Arc::clone(&limiter)));
        Some(limiter)
    }

    /// The counts of a route: shared by routes of one name at one listener.
    fn counts(
        &self,
        listener: &ListenerName,
        route: &ir::Route,
        next: &mut Built,
    ) -> Arc<Sharded<RouteCounts>> {
        let key = (listener.clone(), route.name.clone());
        let old = self.built.counts.get(&key);
        let counts = next.counts.entry(key).or_insert_with(|| {
            old.map_or_else(|| Arc::new(Sharded::new(self.hosts.workers)), Arc::clone)
        });
        Arc::clone(counts)
    }
}
