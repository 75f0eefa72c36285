//! Which resource refers to which, and from where.

use std::collections::BTreeSet;

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::resource::Spec;

use super::secret::Holding;
use crate::store::{DesiredState, ResourceKey};

/// A reference: the path of the field, and what it names.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) path: String,
    pub(super) to: ResourceKey,
    /// What a secret must hold for it.
    pub(super) holding: Option<Holding>,
}

/// Every reference of a resource, in the order of its fields. Empty names are
/// no references.
pub(super) fn links(resource: &v1::Resource) -> Vec<Link> {
    let mut links = Vec::new();
    match &resource.spec {
        Some(Spec::Route(route)) => {
            push_all(
                &mut links,
                "listeners",
                v1::Kind::Listener,
                &route.listeners,
            );
            for (index, rule) in route.rules.iter().enumerate() {
                for (at, cluster) in rule.clusters.iter().enumerate() {
                    let path = format!("rules[{index}].clusters[{at}].name");
                    push(&mut links, path, v1::Kind::Cluster, &cluster.name);
                }
                let path = format!("rules[{index}].policy");
                push(&mut links, path, v1::Kind::Policy, &rule.policy);
            }
        }
        Some(Spec::Cluster(cluster)) => {
            if let Some(endpoints) = &cluster.endpoints {
                let path = "endpoints.ref".to_owned();
                push(&mut links, path, v1::Kind::Endpoints, &endpoints.r#ref);
            }
            let path = "policy".to_owned();
            push(&mut links, path, v1::Kind::Policy, &cluster.policy);
            if let Some(tls) = &cluster.tls {
                push_secret(&mut links, "tls.trust", Holding::Trust, &tls.trust);
                let path = "tls.certificate";
                push_secret(&mut links, path, Holding::Certificate, &tls.certificate);
            }
        }
        Some(Spec::Listener(listener)) => {
            if let Some(tls) = &listener.tls {
                for (index, name) in tls.certificates.iter().enumerate() {
                    let path = format!("tls.certificates[{index}]");
                    push_secret(&mut links, &path, Holding::Certificate, name);
                }
                if let Some(clients) = &tls.client_certificates {
                    let path = "tls.clientCertificates.trust";
                    push_secret(&mut links, path, Holding::Trust, &clients.trust);
                }
            }
        }
        Some(Spec::ProxyGroup(group)) => {
            push_all(
                &mut links,
                "listeners",
                v1::Kind::Listener,
                &group.listeners,
            );
        }
        Some(Spec::Policy(_) | Spec::Endpoints(_) | Spec::Secret(_)) | None => {}
    }
    links
}

fn push_all(links: &mut Vec<Link>, path: &str, kind: v1::Kind, names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        push(links, format!("{path}[{index}]"), kind, name);
    }
}

fn push(links: &mut Vec<Link>, path: String, kind: v1::Kind, name: &str) {
    if !name.is_empty() {
        let to = ResourceKey::new(kind, name);
        links.push(Link {
            path,
            to,
            holding: None,
        });
    }
}

fn push_secret(links: &mut Vec<Link>, path: &str, holding: Holding, name: &str) {
    if !name.is_empty() {
        links.push(Link {
            path: path.to_owned(),
            to: ResourceKey::new(v1::Kind::Secret, name),
            holding: Some(holding),
        });
    }
}

/// What a resource refers to, as often as it does.
pub fn named(resource: &v1::Resource) -> impl Iterator<Item = ResourceKey> {
    links(resource).into_iter().map(|link| link.to)
}

/// What a resource refers to, and what refers to it, each ordered by kind and
/// name.
pub fn references(state: &DesiredState, key: &ResourceKey) -> (Vec<ResourceKey>, Vec<ResourceKey>) {
    let refers_to: BTreeSet<_> = state.get(key).into_iter().flat_map(named).collect();
    let referenced_by = state
        .iter()
        .filter(|(_, resource)| links(resource).iter().any(|link| link.to == *key))
        .map(|(key, _)| key.clone())
        .collect();
    (refers_to.into_iter().collect(), referenced_by)
}
