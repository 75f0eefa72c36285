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
    /// Names of which a proxy's certificate must carry one; each a URI or a DNS
    /// name, with `*` at its end for any rest. Empty is what follows from the
    /// names of the group and the proxy.
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
    check_identities(identities, faults);
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

fn check_identities(identities: &[String], faults: &mut Faults) {
    for (index, text) in identities.iter().enumerate() {
        let prefix = text.strip_suffix('*');
        let known = prefix.unwrap_or(text);
        let is_uri = known
            .split_once("://")
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        let is_plain = known.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
        // A wildcard may end a name anywhere, also behind a dot or a dash.
        let host = prefix.map_or(known, |prefix| prefix.trim_end_matches(['.', '-']));
        let is_dns = fields::is_hostname(host);
        if !is_plain || !(is_uri || is_dns) {
            faults.add(
                format!("identities[{index}]"),
                format!(
                    "invalid value {text:?}: must be a URI, such as spiffe://shop/proxy/edge-1, or a DNS name; `*` may stand at its end only"
                ),
            );
        }
    }
    let texts = identities.iter().map(String::as_str);
    fields::distinct(texts, "identities", faults);
}
