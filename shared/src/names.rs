//! Names of configuration objects, one type per kind so that they cannot be
//! mixed up. A name is opaque: a foreign control plane may send any string.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A shared, immutable name of a thing of kind `K`; cloning it is cheap.
pub struct Name<K> {
    text: Arc<str>,
    kind: PhantomData<fn() -> K>,
}

/// Marks [`ListenerName`].
#[derive(Debug)]
pub enum ListenerKind {}
/// Marks [`RouteTableName`].
#[derive(Debug)]
pub enum RouteTableKind {}
/// Marks [`ClusterName`].
#[derive(Debug)]
pub enum ClusterKind {}
/// Marks [`AssignmentName`].
#[derive(Debug)]
pub enum AssignmentKind {}

/// Marks [`SecretName`].
#[derive(Debug)]
pub enum SecretKind {}

/// Name of a listener.
pub type ListenerName = Name<ListenerKind>;
/// Name of a route table (an xDS `RouteConfiguration`).
pub type RouteTableName = Name<RouteTableKind>;
/// Name of a cluster.
pub type ClusterName = Name<ClusterKind>;
/// Name of an endpoint assignment (an xDS `ClusterLoadAssignment`).
pub type AssignmentName = Name<AssignmentKind>;
/// Name of a secret (from SDS).
pub type SecretName = Name<SecretKind>;

impl<K> Name<K> {
    /// Takes any text as a name.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self {
            text: text.into(),
            kind: PhantomData,
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K> Clone for Name<K> {
    fn clone(&self) -> Self {
        Self {
            text: Arc::clone(&self.text),
            kind: PhantomData,
        }
    }
}

impl<K> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl<K> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<K> PartialEq for Name<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for Name<K> {}

impl<K> PartialOrd for Name<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Name<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<K> std::hash::Hash for Name<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Lets a map keyed by names be asked with text.
impl<K> std::borrow::Borrow<str> for Name<K> {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl<K> From<&str> for Name<K> {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<K> Serialize for Name<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, K> Deserialize<'de> for Name<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
