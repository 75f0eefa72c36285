//! `ProxyGroup`, checked and complete.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_shared::error::Faults;
use evenkeel_shared::names::ListenerName;
use evenkeel_shared::proto::v1;

use super::fields;

/// Which proxies get which listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyGroup {
    /// Which proxies belong to the group.
    pub selector: Selector,
    /// What they listen on.
    pub listeners: BTreeSet<ListenerName>,
    /// Names of which a certificate must carry one, `*` at the end standing for
    /// anything; empty is the default.
    pub identities: Vec<String>,
}

/// Conditions on a proxy, all of which must hold; an empty one always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// The proxy's cluster.
    pub cluster: Option<String>,
    /// One of these ids.
    pub ids: BTreeSet<String>,
    /// This metadata.
    pub metadata: BTreeMap<String, String>,
}

impl Selector {
    /// Whether a proxy belongs to the group.
    pub fn selects(&self, id: &str, cluster: &str, metadata: &BTreeMap<String, String>) -> bool {
        self.cluster
            .as_deref()
            .is_none_or(|wanted| wanted == cluster)
            && (self.ids.is_empty() || self.ids.contains(id))
            && self
                .metadata
                .iter()
                .all(|(key, value)| metadata.get(key) == Some(value))
    }

    /// Whether some proxy could belong to both groups.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let clusters = match (&self.cluster, &other.cluster) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        let ids = self.ids.is_empty() || other.ids.is_empty() || !self.ids.is_disjoint(&other.ids);
        let metadata = self
            .metadata
            .iter()
            .all(|(key, value)| other.metadata.get(key).is_none_or(|other| other == value));
        clusters && ids && metadata
    }
}

pub(super) fn from_proto(proto: &v1::ProxyGroup, faults: &mut Faults) -> ProxyGroup {
    let v1::ProxyGroup {
        selector,
        listeners,
        identities,
    } = proto;
    let v1::ProxySelector {
        cluster,
        ids,
        metadata,
    } = selector.clone().unwrap_or_default();
    for (index, id) in ids.iter().enumerate() {
        if id.is_empty() {
            faults.add(format!("selector.ids[{index}]"), "must not be empty");
        }
    }
    fields::distinct(ids.iter().map(String::as_str), "selector.ids", faults);
    if metadata.contains_key("") {
        faults.add("selector.metadata", "must not have an empty key");
    }
    if listeners.is_empty() {
        faults.add("listeners", "required: at least one listener");
    }
    fields::distinct(listeners.iter().map(String::as_str), "listeners", faults);
    ProxyGroup {
        selector: Selector {
            cluster: (!cluster.is_empty()).then_some(cluster),
            ids: ids.into_iter().collect(),
            metadata,
        },
        listeners: listeners
            .iter()
            .map(|name| ListenerName::from(name.as_str()))
            .collect(),
        identities: identities.clone(),
    }
}
