//! What the certificate of a proxy entitles it to. Pure.
//!
//! A certificate names a proxy by the URI `spiffe://<any domain>/proxy/<node id>`
//! or by a DNS name that is the node id, and a group by the URI
//! `spiffe://<any domain>/group/<name of the group>`. Which domains there are is
//! up to the authority, which is trusted for all it signs. What a proxy says of
//! itself selects its groups, but never suffices.

use evenkeel_shared::tls::Identity;

use crate::compile::Group;
use crate::model::Selector;
use crate::snapshot::NodeIdentity;

/// Where the names of proxies begin, after the domain.
const PROXY: &str = "proxy/";

/// Where the names of groups begin, after the domain.
const GROUP: &str = "group/";

/// How a certificate stands to a node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// It names this proxy.
    Proven,
    /// It names groups and no proxy at all: it is shared by the proxies of those
    /// groups, which choose their ids themselves.
    Shared,
    /// It is another proxy's, or none of a proxy.
    Other,
}

/// A proxy that belongs to groups by what it says, but not by its certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "groups {}: their selector has this proxy, but its certificate does not entitle it: it needs \
     one of `identities` of the group, by default spiffe://…/group/<name>, or the proxy's own name \
     if `selector.ids` has it",
    .groups.join(", ")
)]
pub struct NotEntitled {
    /// Names of the groups.
    pub groups: Vec<String>,
}

/// How a certificate stands to a node id.
pub fn naming(identity: &Identity, node: &str) -> Naming {
    let mut proxies = spiffe(identity, PROXY).peekable();
    let unnamed = proxies.peek().is_none();
    let named = proxies.any(|id| id == node) || identity.dns.iter().any(|dns| dns == node);
    if named && !node.is_empty() {
        Naming::Proven
    } else if unnamed && spiffe(identity, GROUP).next().is_some() {
        Naming::Shared
    } else {
        Naming::Other
    }
}

/// Whether a certificate entitles a proxy to a group.
pub fn entitled(group: &Group, identity: &Identity, node: &str) -> bool {
    if group.identities.is_empty() {
        return spiffe(identity, GROUP).any(|name| name == group.name)
            || (group.selector.ids.contains(node) && naming(identity, node) == Naming::Proven);
    }
    group.identities.iter().any(|pattern| {
        // DNS names were put into lower case as the certificate was read.
        let lower = pattern.to_ascii_lowercase();
        identity.uris.iter().any(|uri| fits(pattern, uri))
            || identity.dns.iter().any(|dns| fits(&lower, dns))
    })
}

/// The positions of the groups that apply to a proxy: those whose selector has
/// it and to which its certificate entitles it. Without mutual TLS there is no
/// certificate, and what it says of itself has to do.
///
/// # Errors
/// A selector has it, not only because it has everybody, but the certificate
/// does not entitle it.
pub fn groups(
    groups: &[Group],
    node: &NodeIdentity,
    identity: Option<&Identity>,
) -> Result<Vec<usize>, NotEntitled> {
    let mut apply = Vec::new();
    let mut refused = Vec::new();
    for (position, group) in groups.iter().enumerate() {
        let selector = &group.selector;
        if !selector.selects(&node.id, &node.cluster, &node.metadata) {
            continue;
        }
        if identity.is_none_or(|identity| entitled(group, identity, &node.id)) {
            apply.push(position);
        } else if *selector != Selector::default() {
            refused.push(group.name.clone());
        }
    }
    if refused.is_empty() {
        Ok(apply)
    } else {
        Err(NotEntitled { groups: refused })
    }
}

/// What comes after `prefix` in the paths of the SPIFFE ids of a certificate.
fn spiffe<'a>(identity: &'a Identity, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    identity.uris.iter().filter_map(move |uri| {
        let (_, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        path.strip_prefix(prefix)
    })
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests;
