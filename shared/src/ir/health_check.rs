//! `envoy.config.core.v3.HealthCheck`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ir::UpstreamProtocol;
use crate::units::duration_text;

/// Asks every endpoint again and again whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Time between an answer and the next check.
    #[serde(with = "duration_text")]
    pub interval: Duration,
    /// The same while the cluster has not had a request yet.
    #[serde(with = "duration_text")]
    pub no_traffic_interval: Duration,
    /// Random time on top, in percent of the interval.
    pub jitter_percent: u32,
    /// How long a check may take.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// Successes in a row that bring an endpoint back; at least 1.
    pub healthy_threshold: u32,
    /// Failures in a row that take it out; at least 1.
    pub unhealthy_threshold: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A `GET` request.
    Http {
        /// Version of HTTP.
        protocol: UpstreamProtocol,
        /// Host that is asked for; `None` is the name of the cluster.
        host: Option<String>,
        /// Path, with query.
        path: String,
        /// Status codes of an endpoint that is well, from and to.
        expected: Vec<(u16, u16)>,
    },
    /// A connection.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// Service that is asked about; empty is the endpoint as a whole.
        service: String,
        /// Host that is asked for; `None` is the name of the cluster.
        authority: Option<String>,
    },
}
