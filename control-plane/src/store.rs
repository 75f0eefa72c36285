//! Revisions of the desired state, durable before anybody sees them.
//!
//! `state` is pure; a backend only keeps what it is given.

use std::collections::BTreeMap;

use evenkeel_shared::proto::v1;

/// Names a resource: kind first, so that lists are ordered by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// Its kind.
    pub kind: v1::Kind,
    /// Its name.
    pub name: String,
}

/// Everything users want, as they wrote it.
pub type DesiredState = BTreeMap<ResourceKey, v1::Resource>;

/// One revision, with its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Number, author, message, time, apply id and list of changes.
    pub revision: v1::Revision,
    /// Whether the author confirmed a mass removal.
    pub allow_mass_removal: bool,
    /// The whole state after it.
    pub state: DesiredState,
}
