//! What Envoy has no field for: it travels as `filter_metadata["evenkeel"]`,
//! which Envoy and gRPC ignore.
//!
//! It is one JSON text rather than a tree of values, for two reasons: numbers
//! stay exact (a `google.protobuf.Value` holds a double), and there is one map
//! entry only, so that the bytes do not depend on the order of a hash map.

use std::collections::HashMap;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::wire::{core, pb};
use crate::ir;

/// The key of our metadata.
const NAMESPACE: &str = "evenkeel";
/// The one field in it.
const FIELD: &str = "settings";

/// Of a listener.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListenerExtras {
    /// [`ir::Limits::connections`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<u32>,
    /// [`ir::Limits::header_bytes`]; Envoy knows KiB only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header_bytes: Option<u32>,
    /// [`ir::Limits::body_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_bytes: Option<u64>,
    /// [`ir::Listener::proxy_protocol_from`]; Envoy reads a header from
    /// everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) proxy_protocol_from: Vec<IpNet>,
    /// [`ir::Listener::trusted_addresses`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) trusted_addresses: Vec<IpNet>,
    /// Whether a client may come without a certificate although one that it
    /// shows must carry a name: to Envoy, names make certificates required.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) optional_names: bool,
}

/// Of a route.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RouteExtras {
    /// The whole limit: Envoy's has no key, refills at least 50 ms apart, and
    /// is not shared by the routes of one name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_limit: Option<ir::RateLimit>,
    /// Whether the expression that rewrites the path stands for the removal of
    /// the prefix that matched: an empty prefix is no prefix to Envoy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) removes_prefix: bool,
}

/// Of a cluster.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ClusterExtras {
    /// [`ir::RetryBudget::min_per_second`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_retries_per_second: Option<u32>,
    /// [`ir::Outlier::latency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_outlier: Option<ir::LatencyOutlier>,
    /// [`ir::LbPolicy::PeakEwma`], behind which stands the nearest that others
    /// know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peak_ewma: Option<ir::PeakEwma>,
}

/// Writes them; nothing when there is nothing to say.
pub(super) fn write<T: Serialize + Default + PartialEq>(extras: &T) -> Option<core::Metadata> {
    if *extras == T::default() {
        return None;
    }
    let text = serde_json::to_string(extras).ok()?;
    let value = pb::Value {
        kind: Some(pb::value::Kind::StringValue(text)),
    };
    let fields = HashMap::from([(FIELD.to_owned(), value)]);
    let filter_metadata = HashMap::from([(NAMESPACE.to_owned(), pb::Struct { fields })]);
    Some(core::Metadata {
        filter_metadata,
        ..core::Metadata::default()
    })
}

/// Reads them; the default when there are none.
///
/// # Errors
/// Why they cannot be read.
pub(super) fn read<T: DeserializeOwned + Default>(
    metadata: Option<&core::Metadata>,
) -> Result<T, String> {
    let Some(ours) = metadata.and_then(|all| all.filter_metadata.get(NAMESPACE)) else {
        return Ok(T::default());
    };
    let Some(pb::value::Kind::StringValue(text)) = ours
        .fields
        .get(FIELD)
        .filter(|_| ours.fields.len() == 1)
        .and_then(|value| value.kind.as_ref())
    else {
        return Err(format!("must hold a text named {FIELD:?} and no more"));
    };
    serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))
}

/// Where they stand, for faults.
pub(super) const PATH: &str = "metadata.filter_metadata[\"evenkeel\"]";
