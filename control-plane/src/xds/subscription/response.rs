//! A response before it takes the form of either variant of the protocol.

use std::sync::Arc;

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
}
