//! What has been accepted, and what of it is in force.
//!
//! A cluster is in force only with its assignment, a listener only with its
//! route table, both only with their secrets; until these are known, or known
//! to be missing, the value before stays in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_shared::ir::{self, Discovery, DnsTarget, RouteSource};
use evenkeel_shared::names::{
    AssignmentName, ClusterName, ListenerName, RouteTableName, SecretName,
};
use evenkeel_shared::xds::{Resource, ResourceType};

mod needs;

pub use needs::{NAMED, names, unkept, wanted};
use needs::{cluster_secrets, listener_secrets};

/// What was found of the names that clusters have in the place of endpoints;
/// `None` is a name that need not be waited for any longer.
pub type Found = BTreeMap<DnsTarget, Option<Arc<ir::Assignment>>>;

/// Type and name of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// Of this type and name.
    pub fn new(kind: ResourceType, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.label(), self.name)
    }
}

/// A resource, shared by all who hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// From LDS.
    Listener(Arc<ir::Listener>),
    /// From RDS.
    RouteTable(Arc<ir::RouteTable>),
    /// From CDS.
    Cluster(Arc<ir::Cluster>),
    /// From EDS.
    Assignment(Arc<ir::Assignment>),
    /// From SDS.
    Secret(Arc<ir::Secret>),
    /// The confirmed revision.
    RemovalGrant(u64),
}

impl From<Resource> for Value {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::Listener(listener) => Self::Listener(Arc::new(listener)),
            Resource::RouteTable(table) => Self::RouteTable(Arc::new(table)),
            Resource::Cluster(cluster) => Self::Cluster(Arc::new(cluster)),
            Resource::Assignment(assignment) => Self::Assignment(Arc::new(assignment)),
            Resource::Secret(secret) => Self::Secret(Arc::new(secret)),
            Resource::RemovalGrant { revision } => Self::RemovalGrant(revision),
        }
    }
}

/// A resource that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The control plane's word for its content.
    pub version: Arc<str>,
    /// What it says.
    pub value: Value,
    /// The message it came in; empty for a secret, of which no copy is kept.
    pub encoded: Arc<[u8]>,
    /// Paths of fields that were set and have no effect.
    pub ignored: Arc<[String]>,
}

/// Everything that was accepted. Cloning is cheap; a clone that is changed
/// copies only the types that change.
#[derive(Debug, Clone, Default)]
pub struct Held {
    types: BTreeMap<ResourceType, Arc<BTreeMap<Arc<str>, Accepted>>>,
}

impl Held {
    /// The resources of a type, by name.
    pub fn of(&self, kind: ResourceType) -> impl Iterator<Item = (&Arc<str>, &Accepted)> {
        self.types.get(&kind).into_iter().flat_map(|map| map.iter())
    }

    /// All resources, in the order of sending.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>, &Accepted)> {
        self.types
            .iter()
            .flat_map(|(kind, map)| map.iter().map(|(name, held)| (*kind, name, held)))
    }

    /// The resource, if it was accepted.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Accepted> {
        self.types.get(&kind)?.get(name)
    }

    /// Takes a resource in.
    pub fn insert(&mut self, key: &Key, accepted: Accepted) {
        let map = self.types.entry(key.kind).or_default();
        Arc::make_mut(map).insert(Arc::clone(&key.name), accepted);
    }

    /// Forgets a resource.
    pub fn remove(&mut self, key: &Key) {
        if self.get(key.kind, &key.name).is_some()
            && let Some(map) = self.types.get_mut(&key.kind)
        {
            Arc::make_mut(map).remove(&key.name);
        }
    }

    /// Forgets the named resources that nobody needs.
    pub fn keep_only(&mut self, wanted: &BTreeSet<Key>) {
        let stray: Vec<Key> = NAMED
            .into_iter()
            .flat_map(|kind| self.of(kind).map(move |(name, _)| (kind, name)))
            .map(|(kind, name)| Key::new(kind, Arc::clone(name)))
            .filter(|key| !wanted.contains(key))
            .collect();
        for key in &stray {
            self.remove(key);
        }
    }

    /// The listeners, whether in force or waiting for their routes.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<ir::Listener>> {
        self.of(ResourceType::Listener)
            .filter_map(|(_, held)| match &held.value {
                Value::Listener(listener) => Some(listener),
                _ => None,
            })
    }

    /// The clusters, whether in force or waiting for their endpoints.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<ir::Cluster>> {
        self.of(ResourceType::Cluster)
            .filter_map(|(_, held)| match &held.value {
                Value::Cluster(cluster) => Some(cluster),
                _ => None,
            })
    }

    /// The secrets, by name.
    pub fn secrets(&self) -> BTreeMap<SecretName, Arc<ir::Secret>> {
        let secrets = self.of(ResourceType::Secret);
        let secrets = secrets.filter_map(|(_, held)| match &held.value {
            Value::Secret(secret) => Some((secret.name.clone(), Arc::clone(secret))),
            _ => None,
        });
        secrets.collect()
    }

    /// Whether all of these are here, or known to be missing.
    fn settles(&self, missing: &BTreeSet<Key>, mut needed: impl Iterator<Item = Key>) -> bool {
        needed.all(|key| self.get(key.kind, &key.name).is_some() || missing.contains(&key))
    }

    /// The revision whose author confirmed that it may remove much.
    pub fn granted_revision(&self) -> Option<u64> {
        self.of(ResourceType::RemovalGrant)
            .filter_map(|(_, held)| match held.value {
                Value::RemovalGrant(revision) => Some(revision),
                _ => None,
            })
            .max()
    }

    fn assignment(&self, name: &AssignmentName) -> Option<&Arc<ir::Assignment>> {
        match &self.get(ResourceType::Assignment, name.as_str())?.value {
            Value::Assignment(assignment) => Some(assignment),
            _ => None,
        }
    }

    fn table(&self, name: &RouteTableName) -> Option<&Arc<ir::RouteTable>> {
        match &self.get(ResourceType::RouteTable, name.as_str())?.value {
            Value::RouteTable(table) => Some(table),
            _ => None,
        }
    }
}

/// A cluster in force.
#[derive(Debug, Clone)]
pub struct ActiveCluster {
    /// Its settings.
    pub spec: Arc<ir::Cluster>,
    /// Its endpoints; `None` if neither the control plane nor DNS has any for it.
    pub assignment: Option<Arc<ir::Assignment>>,
}

/// A listener in force.
#[derive(Debug, Clone)]
pub struct ActiveListener {
    /// Its settings.
    pub spec: Arc<ir::Listener>,
    /// Its routes; `None` if the control plane has none for it.
    pub routes: Option<Arc<ir::RouteTable>>,
}

/// What is in force.
#[derive(Debug, Clone, Default)]
pub struct Active {
    /// The clusters.
    pub clusters: BTreeMap<ClusterName, ActiveCluster>,
    /// The listeners.
    pub listeners: BTreeMap<ListenerName, ActiveListener>,
    /// What certificates and keys are in secrets.
    pub secrets: BTreeMap<SecretName, Arc<ir::Secret>>,
}

impl Active {
    /// What is in force once `held` is accepted, after `before` was in force.
    /// `missing` are named resources that need not be waited for.
    pub fn compose(held: &Held, missing: &BTreeSet<Key>, found: &Found, before: &Self) -> Self {
        let clusters = held.clusters().filter_map(|spec| {
            let old = before.clusters.get(&spec.name);
            let active = active_cluster(spec, held, (missing, found), old)
                .or_else(|| old.map(|old| refreshed_cluster(old, held, found)))?;
            Some((spec.name.clone(), active))
        });
        let listeners = held.listeners().filter_map(|spec| {
            let old = before.listeners.get(&spec.name);
            let active = active_listener(spec, held, missing, old)
                .or_else(|| old.map(|old| refreshed_listener(old, held)))?;
            Some((spec.name.clone(), active))
        });
        Self {
            clusters: clusters.collect(),
            listeners: listeners.collect(),
            // Those of whom somebody is left are known later.
            secrets: BTreeMap::new(),
        }
    }

    /// Accepted clusters and listeners that are not in force as they are now,
    /// because they wait for what they name.
    pub fn waiting(&self, held: &Held) -> Vec<Key> {
        let clusters = held.clusters().filter(|spec| {
            let active = self.clusters.get(&spec.name);
            !active.is_some_and(|active| Arc::ptr_eq(&active.spec, spec))
        });
        let listeners = held.listeners().filter(|spec| {
            let active = self.listeners.get(&spec.name);
            !active.is_some_and(|active| Arc::ptr_eq(&active.spec, spec))
        });
        clusters
            .map(|spec| Key::new(ResourceType::Cluster, spec.name.as_str()))
            .chain(listeners.map(|spec| Key::new(ResourceType::Listener, spec.name.as_str())))
            .collect()
    }
}

/// The cluster with its endpoints; `None` if it has to wait for them or for a
/// secret.
fn active_cluster(
    spec: &Arc<ir::Cluster>,
    held: &Held,
    (missing, found): (&BTreeSet<Key>, &Found),
    old: Option<&ActiveCluster>,
) -> Option<ActiveCluster> {
    if !held.settles(missing, cluster_secrets(spec)) {
        return None;
    }
    let assignment = match &spec.discovery {
        Discovery::Inline(inline) => Some(match old {
            Some(ActiveCluster {
                spec: old_spec,
                assignment: Some(assignment),
            }) if Arc::ptr_eq(old_spec, spec) => Arc::clone(assignment),
            _ => Arc::new(inline.clone()),
        }),
        Discovery::Named(name) => match held.assignment(name) {
            Some(assignment) => Some(Arc::clone(assignment)),
            None if missing.contains(&Key::new(ResourceType::Assignment, name.as_str())) => None,
            None => return None,
        },
        Discovery::Dns(target) => found.get(target)?.clone(),
    };
    Some(ActiveCluster {
        spec: Arc::clone(spec),
        assignment,
    })
}

/// The cluster as it was, with the newest endpoints.
fn refreshed_cluster(old: &ActiveCluster, held: &Held, found: &Found) -> ActiveCluster {
    let newest = match &old.spec.discovery {
        Discovery::Named(name) => held.assignment(name),
        Discovery::Dns(target) => found.get(target).and_then(Option::as_ref),
        Discovery::Inline(_) => None,
    };
    ActiveCluster {
        spec: Arc::clone(&old.spec),
        assignment: newest.cloned().or_else(|| old.assignment.clone()),
    }
}

/// The listener with its routes; `None` if it has to wait for them or for a
/// secret.
fn active_listener(
    spec: &Arc<ir::Listener>,
    held: &Held,
    missing: &BTreeSet<Key>,
    old: Option<&ActiveListener>,
) -> Option<ActiveListener> {
    if !held.settles(missing, listener_secrets(spec)) {
        return None;
    }
    let routes = match &spec.routes {
        RouteSource::Inline(inline) => Some(match old {
            Some(ActiveListener {
                spec: old_spec,
                routes: Some(routes),
            }) if Arc::ptr_eq(old_spec, spec) => Arc::clone(routes),
            _ => Arc::new(inline.clone()),
        }),
        RouteSource::Named(name) => match held.table(name) {
            Some(table) => Some(Arc::clone(table)),
            None if missing.contains(&Key::new(ResourceType::RouteTable, name.as_str())) => None,
            None => return None,
        },
    };
    Some(ActiveListener {
        spec: Arc::clone(spec),
        routes,
    })
}

/// The listener as it was, with the newest routes.
fn refreshed_listener(old: &ActiveListener, held: &Held) -> ActiveListener {
    let newest = match &old.spec.routes {
        RouteSource::Named(name) => held.table(name),
        RouteSource::Inline(_) => None,
    };
    ActiveListener {
        spec: Arc::clone(&old.spec),
        routes: newest.cloned().or_else(|| old.routes.clone()),
    }
}
