//! `envoy.config.endpoint.v3.ClusterLoadAssignment`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::names::AssignmentName;

/// The endpoints of one or more clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its name.
    pub name: AssignmentName,
    /// The endpoints, ordered by address; no address twice.
    pub endpoints: Vec<Endpoint>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Share of the requests, relative to the others; at least 1.
    pub weight: u32,
    /// What the control plane says of it.
    pub health: Health,
    /// Where it stands.
    pub locality: Locality,
}

/// What the control plane says of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// May be chosen.
    Healthy,
    /// Is not chosen.
    Unhealthy,
    /// Gets no new requests.
    Draining,
}

/// Where an endpoint stands; empty parts are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Sub-zone.
    pub sub_zone: String,
}
