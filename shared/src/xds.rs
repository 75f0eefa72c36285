//! The codec between the intermediate representation and Envoy's xDS v3 types.
//! Both planes use it: what one emits, the other accepts.
//!
//! Encoding writes every value, so that a proxy with other defaults (Envoy's
//! differ from ours) behaves alike, and nothing that Envoy would refuse. What
//! Envoy has no field for travels as metadata, which Envoy ignores.
//!
//! Decoding reads what any control plane sends. A field that cannot be obeyed
//! and that decides where traffic goes, who may pass or what is encrypted is a
//! fault; one that only tunes performance, statistics or logging is left out
//! and reported as such. Opening the `Resource` wrapper, nonces and versions on
//! a stream are the business of whoever holds the stream.

use std::fmt::Write as _;

use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::Invalid;
use crate::ir;
use crate::proto::v1;

mod decode;
mod encode;
mod extras;
pub mod pattern;
mod wire;

#[cfg(test)]
mod tests;

/// Changes whenever the encoder writes the same resource in another way, so
/// that clients take the new form.
const ENCODER_VERSION: &str = "2";

/// A type of resource that travels on an xDS stream, in the order in which
/// additions are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// Our own: see [`Resource::RemovalGrant`].
    RemovalGrant,
    /// CDS.
    Cluster,
    /// EDS.
    Assignment,
    /// SDS.
    Secret,
    /// LDS.
    Listener,
    /// RDS.
    RouteTable,
}

impl ResourceType {
    /// All types, in the order of sending.
    pub const ALL: [Self; 6] = [
        Self::RemovalGrant,
        Self::Cluster,
        Self::Assignment,
        Self::Secret,
        Self::Listener,
        Self::RouteTable,
    ];

    /// The type URL on the wire.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::RemovalGrant => "type.googleapis.com/evenkeel.v1.RemovalGrant",
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Assignment => {
                "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
            }
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::RouteTable => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The type behind a type URL, if it is one of ours.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// The short name for people: `Cluster`, `RouteConfiguration`, …
    pub fn label(self) -> &'static str {
        let url = self.type_url();
        url.rsplit('.').next().unwrap_or(url)
    }
}

/// One resource, decoded and validated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few at a time, and nearly all of them are clusters"
)]
pub enum Resource {
    /// From LDS.
    Listener(ir::Listener),
    /// From RDS.
    RouteTable(ir::RouteTable),
    /// From CDS.
    Cluster(ir::Cluster),
    /// From EDS.
    Assignment(ir::Assignment),
    /// From SDS.
    Secret(ir::Secret),
    /// Whoever made `revision` confirmed that it may remove more than half of
    /// what is in use. Named `removal-grant`.
    RemovalGrant {
        /// The confirmed revision.
        revision: u64,
    },
}

/// A resource that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Its name, if that much could be read.
    pub name: Option<String>,
    /// Everything wrong with it.
    pub faults: Vec<Invalid>,
}

/// A resource that can be used, and what of it was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The resource.
    pub resource: Resource,
    /// Paths of fields that were set and have no effect, because they tune only
    /// performance, statistics or logging.
    pub ignored: Vec<String>,
}

impl Resource {
    /// Its type.
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Listener(_) => ResourceType::Listener,
            Self::RouteTable(_) => ResourceType::RouteTable,
            Self::Cluster(_) => ResourceType::Cluster,
            Self::Assignment(_) => ResourceType::Assignment,
            Self::Secret(_) => ResourceType::Secret,
            Self::RemovalGrant { .. } => ResourceType::RemovalGrant,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Listener(listener) => listener.name.as_str(),
            Self::RouteTable(table) => table.name.as_str(),
            Self::Cluster(cluster) => cluster.name.as_str(),
            Self::Assignment(assignment) => assignment.name.as_str(),
            Self::Secret(secret) => secret.name.as_str(),
            Self::RemovalGrant { .. } => "removal-grant",
        }
    }
}

/// Writes a resource as Envoy's message. The same resource always gives the
/// same bytes.
pub fn encode(resource: &Resource) -> Any {
    let value = match resource {
        Resource::Listener(listener) => encode::listener(listener).encode_to_vec(),
        Resource::RouteTable(table) => encode::route_table(table).encode_to_vec(),
        Resource::Cluster(cluster) => encode::cluster(cluster).encode_to_vec(),
        Resource::Assignment(assignment) => encode::assignment(assignment).encode_to_vec(),
        Resource::Secret(secret) => encode::secret_bytes(secret).to_vec(),
        Resource::RemovalGrant { revision } => v1::RemovalGrant {
            revision: *revision,
        }
        .encode_to_vec(),
    };
    Any {
        type_url: resource.resource_type().type_url().to_owned(),
        value,
    }
}

/// The version of a resource: a hash of its content and of the encoder, the
/// same in every replica and for every stream. A removal grant's is its
/// revision.
pub fn version(resource: &Resource) -> String {
    match resource {
        Resource::Listener(listener) => content_hash(listener),
        Resource::RouteTable(table) => content_hash(table),
        Resource::Cluster(cluster) => content_hash(cluster),
        Resource::Assignment(assignment) => content_hash(assignment),
        // Its content does not serialise.
        Resource::Secret(secret) => hash(&encode::secret_bytes(secret)),
        Resource::RemovalGrant { revision } => revision.to_string(),
    }
}

fn content_hash<T: Serialize>(content: &T) -> String {
    // Only maps with keys that are not text can fail, and there are no maps.
    hash(&serde_json::to_vec(content).unwrap_or_default())
}

/// The first 64 bits of SHA-256 over the encoder's version and the content.
fn hash(content: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(ENCODER_VERSION)
        .chain_update([0])
        .chain_update(content)
        .finalize();
    let (head, _) = digest.split_at(8);
    head.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads Envoy's message of the given type and checks all of it.
///
/// # Errors
/// Everything that is wrong with the resource.
pub fn decode(kind: ResourceType, value: &[u8]) -> Result<Decoded, Undecodable> {
    match kind {
        ResourceType::Listener => {
            decode::resource(value, |m| &m.name, decode::listener, Resource::Listener)
        }
        ResourceType::RouteTable => decode::resource(
            value,
            |m| &m.name,
            decode::route_table,
            Resource::RouteTable,
        ),
        ResourceType::Cluster => {
            decode::resource(value, |m| &m.name, decode::cluster, Resource::Cluster)
        }
        ResourceType::Assignment => decode::resource(
            value,
            |m| &m.cluster_name,
            decode::assignment,
            Resource::Assignment,
        ),
        ResourceType::Secret => {
            decode::resource(value, |m| &m.name, decode::secret, Resource::Secret)
        }
        ResourceType::RemovalGrant => decode::removal_grant(value),
    }
}
