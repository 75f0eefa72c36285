//! Holds back a change that takes away too much at once, which is more often a
//! slip than a wish.
//!
//! It is about what is in use: the clusters that a route table leads to, and
//! their endpoints. A change is held back when more than half of the clusters
//! in use disappear, or when the endpoints of the clusters in use become fewer
//! than half. Fewer than three clusters, or three endpoints, are not guarded:
//! there, "more than half" is every change.

use std::collections::BTreeSet;

use evenkeel_shared::ir;
use evenkeel_shared::names::ClusterName;

use super::ConfigSet;

/// The least number that is guarded.
const GUARDED: usize = 3;

/// Why the step from `old` to `new` needs a confirmation; `None` if it does not.
pub fn check(old: &ConfigSet, new: &ConfigSet) -> Option<String> {
    let before = in_use(old);
    let gone = before
        .iter()
        .filter(|name| !new.clusters.contains_key(name.as_str()))
        .count();
    if before.len() >= GUARDED && gone * 2 > before.len() {
        let total = before.len();
        return Some(format!(
            "{gone} of {total} clusters in use would be removed, which is more than half"
        ));
    }
    let (had, has) = (endpoints(old, &before), endpoints(new, &in_use(new)));
    if had >= GUARDED && has * 2 < had {
        let gone = had - has;
        return Some(format!(
            "{gone} of {had} endpoints of clusters in use would be removed, which is more than half"
        ));
    }
    None
}

/// The clusters that some route leads to.
fn in_use(config: &ConfigSet) -> BTreeSet<&ClusterName> {
    config.route_tables.values().flat_map(clusters_of).collect()
}

/// The clusters that a route table leads to.
pub(crate) fn clusters_of(table: &ir::RouteTable) -> BTreeSet<&ClusterName> {
    let routes = table.hosts.iter().flat_map(|host| &host.routes);
    let forwards = routes.filter_map(|route| match &route.action {
        ir::Action::Forward(forward) => Some(forward),
        ir::Action::Redirect(_) | ir::Action::Respond(_) => None,
    });
    forwards
        .flat_map(|forward| &forward.clusters)
        .map(|cluster| &cluster.name)
        .collect()
}

fn endpoints(config: &ConfigSet, clusters: &BTreeSet<&ClusterName>) -> usize {
    let found = clusters
        .iter()
        .filter_map(|name| config.clusters.get(name.as_str()));
    found
        .filter_map(|cluster| match &cluster.discovery {
            ir::Discovery::Named(name) => config.assignments.get(name.as_str()),
            ir::Discovery::Inline(assignment) => Some(assignment),
            // How many there are, only proxies know.
            ir::Discovery::Dns(_) => None,
        })
        .map(|assignment| assignment.endpoints.len())
        .sum()
}
