//! `Cluster` and `Endpoints` to [`ir::Cluster`] and [`ir::Assignment`].

use std::collections::BTreeMap;

use evenkeel_shared::ir;
use evenkeel_shared::names::{AssignmentName, ClusterName};

use crate::model::{Cluster, Model, Source};

/// Endpoints always travel apart from their cluster, so that a change of
/// addresses never touches what is known of the cluster; those that are looked
/// up do not travel at all.
pub(super) fn compile(name: &str, cluster: &Cluster) -> ir::Cluster {
    let Cluster {
        source,
        protocol,
        load_balancing,
        breakers,
        outlier,
        health_check,
        connection,
        tls,
        proxy_protocol,
    } = cluster;
    ir::Cluster {
        name: ClusterName::from(name),
        discovery: match source {
            Source::Static(_) => ir::Discovery::Named(own_assignment(name)),
            Source::Shared(endpoints) => {
                ir::Discovery::Named(AssignmentName::from(endpoints.as_str()))
            }
            Source::Dns(target) => ir::Discovery::Dns(target.clone()),
        },
        protocol: *protocol,
        load_balancing: *load_balancing,
        breakers: *breakers,
        outlier: *outlier,
        health_check: health_check.clone(),
        connection: *connection,
        tls: tls.clone(),
        proxy_protocol: *proxy_protocol,
    }
}

/// The endpoints that are part of clusters, and those that are resources.
pub(super) fn assignments(model: &Model) -> BTreeMap<AssignmentName, ir::Assignment> {
    let shared = model
        .endpoints
        .iter()
        .map(|(name, endpoints)| (AssignmentName::from(name.as_str()), endpoints));
    let own = model.clusters.iter().filter_map(|(name, cluster)| {
        let Source::Static(endpoints) = &cluster.source else {
            return None;
        };
        Some((own_assignment(name), endpoints))
    });
    shared
        .chain(own)
        .map(|(name, endpoints)| {
            let assignment = ir::Assignment {
                name: name.clone(),
                endpoints: endpoints.clone(),
            };
            (name, assignment)
        })
        .collect()
}

/// The slash cannot stand in the name of an `Endpoints` resource.
fn own_assignment(cluster: &str) -> AssignmentName {
    AssignmentName::new(format!("static/{cluster}"))
}
