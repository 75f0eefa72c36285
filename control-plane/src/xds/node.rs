//! Who a proxy says it is, and whether it may say so.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::{self as core, node::UserAgentVersionType};
use envoy_types::pb::google::protobuf::value::Kind;
use tonic::Status;

use super::clock::Clock;
use crate::entitle::{Naming, naming};
use crate::peer::Peer;
use crate::snapshot::NodeIdentity;

/// The longest node id, in bytes.
pub(super) const ID_LIMIT: usize = 256;

/// The most text in a node's identity, in bytes.
const IDENTITY_LIMIT: usize = 64 * 1024;

/// Checks that the certificate of a peer allows a node id; without mutual TLS
/// everybody may call itself anything.
///
/// # Errors
/// It does not: what is claimed, what was shown, and what would do. Or it has
/// ended, which the handshake did not see if the connection is older than that
/// or resumes an older one.
pub(crate) fn check_name(peer: Option<&Peer>, node: &str, clock: &Clock) -> Result<(), Status> {
    let identity = peer.and_then(|peer| peer.identity.as_deref());
    let Some(identity) = identity else {
        return Ok(());
    };
    if identity.not_after < clock.wall_now().seconds {
        return Err(Status::unauthenticated(format!(
            "the certificate {:?} has ended: connect again with a new one",
            identity.label()
        )));
    }
    match naming(identity, node) {
        Naming::Proven | Naming::Shared => Ok(()),
        Naming::Other => Err(Status::permission_denied(format!(
            "node id {node:?} is not that of the certificate {:?}: it needs a URI spiffe://…/proxy/<node id>, \
             or a DNS name that is the node id, or only URIs spiffe://…/group/<group>",
            identity.label()
        ))),
    }
}

/// What the first request says of the proxy. One that says nothing is served
/// like any other.
pub(super) fn identity(node: Option<&core::Node>) -> Result<NodeIdentity, Status> {
    let Some(node) = node else {
        return Ok(NodeIdentity::default());
    };
    let fields = node.metadata.iter().flat_map(|metadata| &metadata.fields);
    let metadata: BTreeMap<String, String> = fields
        .filter_map(|(key, value)| match &value.kind {
            Some(Kind::StringValue(text)) => Some((key.clone(), text.clone())),
            _ => None,
        })
        .collect();
    let version = match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(text)) => text.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let version = build.version.as_ref();
            version.map_or_else(String::new, |v| {
                format!("{}.{}.{}", v.major_number, v.minor_number, v.patch)
            })
        }
        None => String::new(),
    };
    let agent = format!("{} {version}", node.user_agent_name);
    let identity = NodeIdentity {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        metadata,
        agent: agent.trim().to_owned(),
    };
    let texts = identity.metadata.iter().map(|(k, v)| k.len() + v.len());
    let size = texts.sum::<usize>() + identity.cluster.len() + identity.agent.len();
    if identity.id.len() > ID_LIMIT || size > IDENTITY_LIMIT {
        return Err(Status::invalid_argument(format!(
            "node: an id of at most {ID_LIMIT} bytes and a text of at most {IDENTITY_LIMIT} bytes"
        )));
    }
    Ok(identity)
}
