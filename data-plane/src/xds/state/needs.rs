//! What clusters and listeners name, and so need.

use std::collections::BTreeSet;

use evenkeel_shared::ir::{self, CertificateRef, Discovery, DnsTarget, RouteSource, TrustRef};
use evenkeel_shared::names::{ListenerName, SecretName};
use evenkeel_shared::xds::ResourceType;

use super::{Active, Held, Key};

/// The types whose resources are asked for by name; of the others everything is.
pub const NAMED: [ResourceType; 3] = [
    ResourceType::Assignment,
    ResourceType::Secret,
    ResourceType::RouteTable,
];

/// The named resources that clusters and listeners need, both those in force and
/// those that wait.
pub fn wanted(held: &Held, active: &Active) -> BTreeSet<Key> {
    let clusters = held
        .clusters()
        .chain(active.clusters.values().map(|cluster| &cluster.spec))
        .flat_map(|spec| {
            let assignment = match &spec.discovery {
                Discovery::Named(name) => Some(Key::new(ResourceType::Assignment, name.as_str())),
                Discovery::Inline(_) | Discovery::Dns(_) => None,
            };
            assignment.into_iter().chain(cluster_secrets(spec))
        });
    let listeners = held
        .listeners()
        .chain(active.listeners.values().map(|listener| &listener.spec))
        .flat_map(|spec| {
            let routes = match &spec.routes {
                RouteSource::Named(name) => Some(Key::new(ResourceType::RouteTable, name.as_str())),
                RouteSource::Inline(_) => None,
            };
            routes.into_iter().chain(listener_secrets(spec))
        });
    clusters.chain(listeners).collect()
}

/// The listeners in force that need one of these secrets.
pub fn unkept(active: &Active, secrets: &BTreeSet<Key>) -> Vec<ListenerName> {
    let listeners = active.listeners.iter();
    let needy = listeners
        .filter(|(_, active)| listener_secrets(&active.spec).any(|key| secrets.contains(&key)));
    needy.map(|(name, _)| name.clone()).collect()
}

/// The names to look up for clusters, both those in force and those that wait.
pub fn names(held: &Held, active: &Active) -> BTreeSet<DnsTarget> {
    let specs = held
        .clusters()
        .chain(active.clusters.values().map(|cluster| &cluster.spec));
    specs
        .filter_map(|spec| match &spec.discovery {
            Discovery::Dns(target) => Some(target.clone()),
            Discovery::Named(_) | Discovery::Inline(_) => None,
        })
        .collect()
}

/// The secrets of a cluster.
pub(super) fn cluster_secrets(cluster: &ir::Cluster) -> impl Iterator<Item = Key> {
    let tls = cluster.tls.iter();
    tls.flat_map(|tls| {
        let rules = tls.verification.as_ref();
        let trusted = rules.and_then(|rules| trusted(&rules.trust));
        let shown = tls.certificate.as_ref().and_then(shown);
        trusted.into_iter().chain(shown)
    })
    .map(key)
}

/// The secrets of a listener.
pub(super) fn listener_secrets(listener: &ir::Listener) -> impl Iterator<Item = Key> {
    let tls = listener.tls.iter();
    tls.flat_map(|tls| {
        let rules = tls.clients.as_ref();
        let trusted = rules.and_then(|rules| trusted(&rules.trust));
        tls.certificates.iter().filter_map(shown).chain(trusted)
    })
    .map(key)
}

fn shown(certificate: &CertificateRef) -> Option<&SecretName> {
    match certificate {
        CertificateRef::Secret(name) => Some(name),
        CertificateRef::Files { .. } => None,
    }
}

fn trusted(trust: &TrustRef) -> Option<&SecretName> {
    match trust {
        TrustRef::Secret(name) => Some(name),
        TrustRef::File(_) => None,
    }
}

fn key(name: &SecretName) -> Key {
    Key::new(ResourceType::Secret, name.as_str())
}
