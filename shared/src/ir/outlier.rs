//! The detectors that compare the endpoints of a cluster: part of
//! `envoy.config.cluster.v3.OutlierDetection`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::duration_text;

/// Takes out endpoints that succeed far less often than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessRate {
    /// How many endpoints must have had enough requests.
    pub minimum_hosts: u32,
    /// How many requests in an interval are enough.
    pub request_volume: u32,
    /// How many standard deviations below the mean are too few, in thousandths.
    pub stdev_factor: u32,
    /// How often it is acted on, in percent.
    pub enforcing: u32,
    /// The same for local failures, where they are counted apart.
    pub enforcing_local_origin: u32,
}

/// Takes out endpoints of which a share of the requests fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailurePercentage {
    /// The share, in percent.
    pub threshold: u32,
    /// How many endpoints must have had enough requests.
    pub minimum_hosts: u32,
    /// How many requests in an interval are enough.
    pub request_volume: u32,
    /// How often it is acted on, in percent.
    pub enforcing: u32,
    /// The same for local failures, where they are counted apart.
    pub enforcing_local_origin: u32,
}

/// Takes out endpoints that are far slower than the others. Envoy has no such
/// detector: it travels in our own metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyOutlier {
    /// How many endpoints must have had enough requests.
    pub minimum_hosts: u32,
    /// How many requests in an interval are enough.
    pub request_volume: u32,
    /// How many median absolute deviations above the median of all endpoints
    /// are too slow, in thousandths.
    pub mad_factor: u32,
    /// How far above the median an endpoint must be in any case.
    #[serde(with = "duration_text")]
    pub minimum_difference: Duration,
    /// How often it is acted on, in percent.
    pub enforcing: u32,
}
