//! Turns names of clusters into clusters, and compares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_shared::ir::{self, Action};
use evenkeel_shared::names::ClusterName;

use crate::route::Weighted;
use crate::upstream::cluster::Cluster;
use crate::xds::state::ActiveCluster;

/// The clusters behind names; `None` for those that do not exist.
pub(super) type Resolved = BTreeMap<ClusterName, Option<Arc<Cluster>>>;

/// The name of a cluster and its endpoints, if it has any.
pub(super) fn assignment(
    (name, cluster): (&ClusterName, &ActiveCluster),
) -> Option<(ClusterName, Arc<ir::Assignment>)> {
    Some((name.clone(), Arc::clone(cluster.assignment.as_ref()?)))
}

/// The clusters that a table's routes lead to.
pub(super) fn references(table: &ir::RouteTable) -> impl Iterator<Item = &ClusterName> {
    let routes = table.hosts.iter().flat_map(|host| &host.routes);
    routes
        .filter_map(|route| match &route.action {
            Action::Forward(forward) => Some(&forward.clusters),
            Action::Redirect(_) | Action::Respond(_) => None,
        })
        .flatten()
        .map(|cluster| &cluster.name)
}

/// Whether connections of the one cluster would do for the other.
pub(super) fn speaks_alike(one: &ir::Cluster, other: &ir::Cluster) -> bool {
    one.protocol == other.protocol
        && one.tls == other.tls
        && one.proxy_protocol == other.proxy_protocol
}

/// Whether the same names stand for the very same clusters.
pub(super) fn same_clusters(before: &Resolved, after: &Resolved) -> bool {
    before.len() == after.len()
        && before.iter().zip(after).all(|(before, after)| {
            before.0 == after.0
                && match (before.1, after.1) {
                    (Some(before), Some(after)) => Arc::ptr_eq(before, after),
                    (None, None) => true,
                    _ => false,
                }
        })
}

/// The clusters of a route by weight.
pub(super) fn weighted(route: &ir::Route, resolved: &Resolved) -> Weighted<Option<Arc<Cluster>>> {
    let clusters = match &route.action {
        Action::Forward(forward) => forward.clusters.as_slice(),
        Action::Redirect(_) | Action::Respond(_) => &[],
    };
    let shares = clusters.iter().map(|cluster| {
        let target = resolved.get(&cluster.name).cloned().flatten();
        (target, cluster.weight)
    });
    Weighted::new(shares.collect())
}
