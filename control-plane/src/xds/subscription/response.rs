//! A response before it takes the form of either variant of the protocol.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryResponse, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;

use crate::snapshot::Encoded;

/// What may be sent to a client now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The type of everything in it.
    pub type_url: String,
    /// Unique in the stream.
    pub nonce: String,
    /// The revision it brings the client closer to.
    pub revision: u64,
    /// Hash of the names and versions the client has afterwards; only the
    /// state-of-the-world variant shows it.
    pub version: String,
    /// Resources by name.
    pub resources: Vec<(String, Arc<Encoded>)>,
    /// Names that are gone or never were; only the delta variant shows them.
    pub removed: Vec<String>,
}

impl Response {
    /// Bytes of resources in it.
    pub fn size(&self) -> usize {
        self.resources
            .iter()
            .map(|(name, resource)| name.len() + resource.value.len())
            .sum()
    }

    /// As a message of the delta variant.
    pub fn into_delta(self, control_plane: &str) -> DeltaDiscoveryResponse {
        let type_url = self.type_url;
        let resources = self
            .resources
            .into_iter()
            .map(|(name, resource)| Resource {
                name,
                version: resource.version.clone(),
                resource: Some(any(&type_url, &resource)),
                ..Resource::default()
            })
            .collect();
        DeltaDiscoveryResponse {
            system_version_info: self.revision.to_string(),
            resources,
            type_url,
            removed_resources: self.removed,
            nonce: self.nonce,
            control_plane: Some(identified(control_plane)),
            ..DeltaDiscoveryResponse::default()
        }
    }

    /// As a message of the state-of-the-world variant.
    pub fn into_sotw(self, control_plane: &str) -> DiscoveryResponse {
        let type_url = self.type_url;
        let resources = self
            .resources
            .iter()
            .map(|(_, resource)| any(&type_url, resource))
            .collect();
        DiscoveryResponse {
            version_info: self.version,
            resources,
            type_url,
            nonce: self.nonce,
            control_plane: Some(identified(control_plane)),
            ..DiscoveryResponse::default()
        }
    }
}

fn any(type_url: &str, resource: &Encoded) -> Any {
    Any {
        type_url: type_url.to_owned(),
        value: resource.value.to_vec(),
    }
}

fn identified(control_plane: &str) -> ControlPlane {
    ControlPlane {
        identifier: control_plane.to_owned(),
    }
}
