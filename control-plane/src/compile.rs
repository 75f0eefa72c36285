//! Turns a checked model into the resources that proxies get.
//!
//! It is pure and total: what was checked always compiles, and the same model
//! gives the same resources, in the same order, in every replica.

mod cluster;
mod listener;
pub mod removal;
mod route;
pub mod secret;

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_shared::ir;
use evenkeel_shared::names::{
    AssignmentName, ClusterName, ListenerName, RouteTableName, SecretName,
};

use self::secret::Opened;
use crate::model::{Model, Selector};

/// Everything that proxies can get, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigSet {
    /// Where proxies accept connections.
    pub listeners: BTreeMap<ListenerName, ir::Listener>,
    /// One for each listener, of the same name.
    pub route_tables: BTreeMap<RouteTableName, ir::RouteTable>,
    /// Every cluster, also those that no route leads to.
    pub clusters: BTreeMap<ClusterName, ir::Cluster>,
    /// Endpoints: `static/` and the cluster's name for those that are part of a
    /// cluster, else the name of the `Endpoints` resource.
    pub assignments: BTreeMap<AssignmentName, ir::Assignment>,
    /// The secrets that listeners and clusters name.
    pub secrets: BTreeMap<SecretName, ir::Secret>,
    /// Which proxies get which listeners, ordered by name; empty if all get all.
    pub groups: Vec<Group>,
}

/// Which proxies get which listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Names of which a certificate must carry one; empty is the default.
    pub identities: Vec<String>,
    /// Which proxies.
    pub selector: Selector,
    /// Which listeners.
    pub listeners: BTreeSet<ListenerName>,
}

/// Compiles a model, with the secrets that were opened for it.
pub fn compile(model: &Model, secrets: Opened) -> ConfigSet {
    let listeners = model.listeners.iter().map(|(name, listener)| {
        let compiled = listener::compile(name, listener);
        (compiled.name.clone(), compiled)
    });
    let route_tables = model.listeners.keys().map(|listener| {
        let table = route::table(listener, &model.routes);
        (table.name.clone(), table)
    });
    let clusters = model.clusters.iter().map(|(name, cluster)| {
        let compiled = cluster::compile(name, cluster);
        (compiled.name.clone(), compiled)
    });
    let groups = model.proxy_groups.iter().map(|(name, group)| Group {
        name: name.clone(),
        identities: group.identities.clone(),
        selector: group.selector.clone(),
        listeners: group.listeners.clone(),
    });
    ConfigSet {
        listeners: listeners.collect(),
        route_tables: route_tables.collect(),
        clusters: clusters.collect(),
        assignments: cluster::assignments(model),
        secrets: secrets.0,
        groups: groups.collect(),
    }
}

#[cfg(test)]
mod tests;
