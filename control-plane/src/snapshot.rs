//! One revision, compiled and encoded, as every stream shares it.
//!
//! A resource whose content did not change keeps its version and its encoding
//! from one snapshot to the next, and every replica computes the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use evenkeel_shared::ir;
use evenkeel_shared::names::{Name, SecretName};
use evenkeel_shared::tls::Identity;
use evenkeel_shared::xds::{Resource, ResourceType, encode, version};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::compile::removal::clusters_of;
use crate::compile::{ConfigSet, Group, secret};
use crate::entitle::{self, NotEntitled};

mod view;

pub use self::view::{Changes, Encodings, View};

/// How many different views are kept; one more is made anew each time it is
/// asked for. There are as many as there are combinations of groups that
/// connected proxies belong to.
const KEPT_VIEWS: usize = 256;

/// A resource, encoded once for all streams.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Hash of the content.
    pub version: String,
    /// The serialised message (the `value` of an `Any`).
    pub value: Bytes,
    /// Names of the resources of other types that this one needs before it can
    /// be used: the assignment of a cluster, the clusters of a route table, the
    /// route table of a listener, the secrets of a cluster or listener.
    pub needs: Vec<(ResourceType, String)>,
}

/// Without its content, which may be secret.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("version", &self.version)
            .field("bytes", &self.value.len())
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// One revision, ready to be streamed.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its number; 0 before the first commit.
    pub revision: u64,
    /// The newest revision whose author confirmed a mass removal; 0 is none.
    pub removal_grant: u64,
    /// Everything; what a proxy gets without any proxy group.
    pub all: Arc<View>,
    groups: Arc<[Group]>,
    /// Views by the positions of the groups in them. A lock, because streams
    /// ask for views when they open, while others read; it is held for as long
    /// as a view takes to be made, so that it is made once.
    views: Arc<Mutex<Views>>,
}

/// The views of one revision that were asked for.
#[derive(Debug, Default)]
struct Views {
    now: BTreeMap<Vec<usize>, Arc<View>>,
    /// Those of the revision before, as long as somebody has them.
    before: BTreeMap<Vec<usize>, Weak<View>>,
}

/// What a proxy says of itself when it connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Node id.
    pub id: String,
    /// Node cluster.
    pub cluster: String,
    /// Metadata whose values are text.
    pub metadata: BTreeMap<String, String>,
    /// User agent name and version.
    pub agent: String,
}

impl Snapshot {
    /// Encodes a configuration. What is the same in `previous`, the last one
    /// with its snapshot, is taken from there without being encoded again.
    pub fn build(
        revision: u64,
        removal_grant: u64,
        config: &ConfigSet,
        previous: Option<(&ConfigSet, &Self)>,
    ) -> Self {
        let mut build = Build {
            previous: previous.map(|(_, snapshot)| snapshot),
            view: View::default(),
        };
        let old = previous.map(|(config, _)| config);
        if removal_grant > 0 {
            build.encode(&Resource::RemovalGrant {
                revision: removal_grant,
            });
        }
        let clusters = old.map(|old| &old.clusters);
        build.add(
            ResourceType::Cluster,
            &config.clusters,
            clusters,
            Resource::Cluster,
        );
        let assignments = old.map(|old| &old.assignments);
        build.add(
            ResourceType::Assignment,
            &config.assignments,
            assignments,
            Resource::Assignment,
        );
        let secrets = old.map(|old| &old.secrets);
        build.add(
            ResourceType::Secret,
            &config.secrets,
            secrets,
            Resource::Secret,
        );
        let listeners = old.map(|old| &old.listeners);
        build.add(
            ResourceType::Listener,
            &config.listeners,
            listeners,
            Resource::Listener,
        );
        let tables = old.map(|old| &old.route_tables);
        build.add(
            ResourceType::RouteTable,
            &config.route_tables,
            tables,
            Resource::RouteTable,
        );
        let snapshot = Self::of(revision, removal_grant, Arc::new(build.view));
        match previous {
            Some((old, before)) => snapshot.following(before, &config.groups, &old.groups),
            None => Self {
                groups: config.groups.as_slice().into(),
                ..snapshot
            },
        }
    }

    /// The same, which knows how it differs from the one before.
    fn following(self, before: &Self, groups: &[Group], old: &[Group]) -> Self {
        let all = Arc::unwrap_or_clone(self.all).following(&before.all);
        Self {
            all: Arc::new(all),
            // The same groups are told by their address.
            groups: if groups == old {
                Arc::clone(&before.groups)
            } else {
                groups.into()
            },
            views: Arc::new(Mutex::new(before.views.lock().next())),
            ..self
        }
    }

    /// A snapshot of which every proxy gets everything.
    pub fn of(revision: u64, removal_grant: u64, all: Arc<View>) -> Self {
        Self {
            revision,
            removal_grant,
            all,
            groups: Arc::default(),
            views: Arc::default(),
        }
    }

    /// The resources for a proxy: without any group everything, else the
    /// listeners of its groups and what those need. Proxies of the same groups
    /// share one view.
    ///
    /// # Errors
    /// By what it says of itself it belongs to a group to which its certificate
    /// does not entitle it.
    pub fn view(
        &self,
        node: &NodeIdentity,
        certificate: Option<&Identity>,
    ) -> Result<Arc<View>, NotEntitled> {
        if self.groups.is_empty() {
            return Ok(Arc::clone(&self.all));
        }
        let positions = entitle::groups(&self.groups, node, certificate)?;
        let mut views = self.views.lock();
        if let Some(view) = views.now.get(&positions) {
            return Ok(Arc::clone(view));
        }
        let view = self.closure(&positions);
        let before = views.before.get(&positions).and_then(Weak::upgrade);
        let view = Arc::new(match before {
            Some(before) => view.following(&before),
            None => view,
        });
        if views.now.len() < KEPT_VIEWS {
            views.now.insert(positions, Arc::clone(&view));
        }
        Ok(view)
    }

    /// The listeners of some groups, everything that they need, and the removal
    /// grant.
    fn closure(&self, positions: &[usize]) -> View {
        let groups = positions.iter().filter_map(|at| self.groups.get(*at));
        let listeners = groups.flat_map(|group| &group.listeners);
        let mut wanted: Vec<(ResourceType, String)> = listeners
            .map(|name| (ResourceType::Listener, name.as_str().to_owned()))
            .collect();
        let mut view = View::default();
        let grant = self.all.resources.get(&ResourceType::RemovalGrant);
        if let Some(grant) = grant {
            let grant = grant.clone();
            view.resources.insert(ResourceType::RemovalGrant, grant);
        }
        while let Some((kind, name)) = wanted.pop() {
            let Some(encoded) = self.all.get(kind, &name) else {
                continue;
            };
            let encodings = view.resources.entry(kind).or_default();
            if encodings.insert(name, Arc::clone(encoded)).is_none() {
                wanted.extend(encoded.needs.iter().cloned());
            }
        }
        view
    }
}

impl Views {
    /// As the next revision begins.
    fn next(&self) -> Self {
        let now = self.now.iter();
        Self {
            now: BTreeMap::new(),
            before: now
                .map(|(positions, view)| (positions.clone(), Arc::downgrade(view)))
                .collect(),
        }
    }
}

/// A view in the making.
struct Build<'a> {
    previous: Option<&'a Snapshot>,
    view: View,
}

impl Build<'_> {
    /// Adds the resources of one type; those that are the same in `old` as they
    /// were encoded before.
    fn add<K, T: Clone + PartialEq>(
        &mut self,
        kind: ResourceType,
        new: &BTreeMap<Name<K>, T>,
        old: Option<&BTreeMap<Name<K>, T>>,
        resource: fn(T) -> Resource,
    ) {
        for (name, content) in new {
            let same = old.and_then(|old| old.get(name)) == Some(content);
            let kept = self
                .previous
                .and_then(|previous| previous.all.get(kind, name.as_str()))
                .filter(|_| same);
            match kept {
                Some(kept) => self.insert(kind, name.as_str(), Arc::clone(kept)),
                None => self.encode(&resource(content.clone())),
            }
        }
    }

    fn encode(&mut self, resource: &Resource) {
        let encoded = Arc::new(Encoded {
            version: version(resource),
            value: bytes(resource),
            needs: needs(resource),
        });
        self.insert(resource.resource_type(), resource.name(), encoded);
    }

    fn insert(&mut self, kind: ResourceType, name: &str, encoded: Arc<Encoded>) {
        let encodings = self.view.resources.entry(kind).or_default();
        encodings.insert(name.to_owned(), encoded);
    }
}

/// The serialised message; that of a secret is wiped with its last holder.
fn bytes(resource: &Resource) -> Bytes {
    let value = encode(resource).value;
    if matches!(resource, Resource::Secret(_)) {
        Bytes::from_owner(Zeroizing::new(value))
    } else {
        Bytes::from(value)
    }
}

fn needs(resource: &Resource) -> Vec<(ResourceType, String)> {
    match resource {
        Resource::Listener(listener) => {
            let mut needs = match &listener.routes {
                ir::RouteSource::Named(name) => {
                    vec![(ResourceType::RouteTable, name.as_str().to_owned())]
                }
                ir::RouteSource::Inline(table) => clusters(table),
            };
            let names = listener.tls.iter().flat_map(secret::of_listener);
            needs.extend(names.map(secret_need));
            needs
        }
        Resource::RouteTable(table) => clusters(table),
        Resource::Cluster(cluster) => {
            let mut needs = match &cluster.discovery {
                ir::Discovery::Named(name) => {
                    vec![(ResourceType::Assignment, name.as_str().to_owned())]
                }
                ir::Discovery::Inline(_) | ir::Discovery::Dns(_) => Vec::new(),
            };
            let names = cluster.tls.iter().flat_map(secret::of_cluster);
            needs.extend(names.map(secret_need));
            needs
        }
        Resource::Assignment(_) | Resource::Secret(_) | Resource::RemovalGrant { .. } => Vec::new(),
    }
}

fn secret_need(name: &SecretName) -> (ResourceType, String) {
    (ResourceType::Secret, name.as_str().to_owned())
}

fn clusters(table: &ir::RouteTable) -> Vec<(ResourceType, String)> {
    let names = clusters_of(table).into_iter();
    names
        .map(|name| (ResourceType::Cluster, name.as_str().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
