//! One revision, compiled and encoded, as every stream shares it.
//!
//! A resource whose content did not change keeps its version and its encoding
//! from one snapshot to the next, and every replica computes the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use evenkeel_shared::xds::ResourceType;

/// A resource, encoded once for all streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Hash of the content.
    pub version: String,
    /// The serialised message (the `value` of an `Any`).
    pub value: Bytes,
    /// Names of the resources of other types that this one needs before it can
    /// be used: the assignment of a cluster, the clusters of a route table, the
    /// route table of a listener.
    pub needs: Vec<(ResourceType, String)>,
}

/// The resources of one type, by name.
pub type Encodings = BTreeMap<String, Arc<Encoded>>;

/// What one group of proxies gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Resources by type; a type without resources may be missing.
    pub resources: BTreeMap<ResourceType, Encodings>,
}

/// One revision, ready to be streamed.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its number; 0 before the first commit.
    pub revision: u64,
    /// The newest revision whose author confirmed a mass removal; 0 is none.
    pub removal_grant: u64,
    /// Everything; what a proxy gets without any proxy group.
    pub all: Arc<View>,
}

/// What a proxy says of itself when it connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Node id.
    pub id: String,
    /// Node cluster.
    pub cluster: String,
    /// Metadata whose values are text.
    pub metadata: BTreeMap<String, String>,
    /// User agent name and version.
    pub agent: String,
}

impl Snapshot {
    /// The resources for a proxy.
    pub fn view(&self, _node: &NodeIdentity) -> Arc<View> {
        Arc::clone(&self.all)
    }
}
