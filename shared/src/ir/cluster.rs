//! `envoy.config.cluster.v3.Cluster`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ir::{
    Assignment, FailurePercentage, HealthCheck, LatencyOutlier, Maglev, ProxyProtocol, RingHash,
    SuccessRate, UpstreamTls,
};
use crate::names::{AssignmentName, ClusterName};
use crate::units::{Percent, duration_text, optional_duration_text};

/// A group of interchangeable endpoints and how to treat them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// HTTP version spoken with them.
    pub protocol: UpstreamProtocol,
    /// How one is chosen.
    pub load_balancing: LoadBalancing,
    /// Upper bounds on what is open at once.
    pub breakers: Breakers,
    /// When an endpoint is taken out; `None` is never.
    pub outlier: Option<Outlier>,
    /// How endpoints are asked whether they are well; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Connections to endpoints.
    pub connection: Connection,
    /// TLS with endpoints; `None` is in the clear.
    pub tls: Option<UpstreamTls>,
    /// Header in front of each connection, which then serves one client only.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Where endpoints come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Discovery {
    /// An assignment of its own, asked for by name (EDS).
    Named(AssignmentName),
    /// Part of the cluster.
    Inline(Assignment),
    /// Whatever addresses a name has (strict DNS).
    Dns(DnsTarget),
}

/// A name that is looked up again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsTarget {
    /// The name, in lower case; never an address.
    pub host: String,
    /// The port of every endpoint; not 0.
    pub port: u16,
    /// Time between two lookups; at least [`Self::MIN_REFRESH`].
    #[serde(with = "duration_text")]
    pub refresh: Duration,
    /// Whether an answer that may be kept for longer is.
    pub respect_ttl: bool,
    /// Which addresses count.
    pub family: DnsFamily,
}

impl DnsTarget {
    /// The shortest time between two lookups.
    pub const MIN_REFRESH: Duration = Duration::from_millis(500);
    /// Time between two lookups where nothing is said; as in Envoy.
    pub const DEFAULT_REFRESH: Duration = Duration::from_secs(5);
}

/// Which addresses of a name count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DnsFamily {
    /// All.
    All,
    /// Those of IPv4.
    V4,
    /// Those of IPv6.
    V6,
}

/// HTTP version of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancing {
    /// The algorithm.
    pub policy: LbPolicy,
    /// Below this share of healthy endpoints, health is ignored; 0 is never.
    pub panic_threshold: Percent,
}

/// The algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LbPolicy {
    /// In turn, by weight.
    RoundRobin,
    /// Fewest requests in progress of `choices` drawn.
    LeastRequest {
        /// How many are drawn; at least 2.
        choices: u32,
    },
    /// Fewest requests in progress of all.
    LeastRequestFullScan,
    /// At random, by weight.
    Random,
    /// By the hash of the request, on a ring.
    RingHash(RingHash),
    /// By the hash of the request, in a table.
    Maglev(Maglev),
    /// Least latency of two drawn, with what is in progress.
    PeakEwma(PeakEwma),
}

impl LbPolicy {
    /// Whether it asks what ties a request to an endpoint.
    pub fn is_hashing(&self) -> bool {
        matches!(self, Self::RingHash(_) | Self::Maglev(_))
    }
}

/// How latency is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakEwma {
    /// Time in which what was seen loses all but 1/e of its weight; not zero.
    #[serde(with = "duration_text")]
    pub decay: Duration,
    /// What a failure costs beside its time.
    #[serde(with = "duration_text")]
    pub failure_penalty: Duration,
}

/// Upper bounds on what is open at once, for the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakers {
    /// Connections.
    pub connections: u32,
    /// Requests that wait for a connection.
    pub pending: u32,
    /// Requests in progress.
    pub requests: u32,
    /// Retries.
    pub retries: RetryBudget,
}

/// Upper bounds on retries; both hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryBudget {
    /// Retries in progress or waiting, as a share of requests in progress; and
    /// retries begun, as a share of requests begun.
    pub share: Percent,
    /// Retries in progress that are always allowed.
    pub min_concurrency: u32,
    /// Retries per second that are always allowed; `None` bounds only what is
    /// in progress, as in Envoy.
    pub min_per_second: Option<u32>,
}

/// When an endpoint is taken out. A threshold of 0 switches its detector off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlier {
    /// Responses with 5xx in a row.
    pub consecutive_5xx: u32,
    /// Responses with 502, 503 or 504 in a row.
    pub consecutive_gateway_failure: u32,
    /// Connect failures, resets and timeouts in a row. Used only when
    /// `split_local_origin`, else those count as 5xx.
    pub consecutive_local_origin_failure: u32,
    /// Whether local failures are counted apart from responses.
    pub split_local_origin: bool,
    /// How often ejected endpoints are looked at.
    #[serde(with = "duration_text")]
    pub interval: Duration,
    /// Time of the first ejection; the n-th in a row lasts n times as long.
    #[serde(with = "duration_text")]
    pub base_ejection_time: Duration,
    /// Longest time of an ejection; not below `base_ejection_time`.
    #[serde(with = "duration_text")]
    pub max_ejection_time: Duration,
    /// Share of the endpoints that may be out at once.
    pub max_ejection_percent: u32,
    /// Whether one may be out whatever the share says.
    pub always_eject_one: bool,
    /// Compares how often endpoints succeed; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<SuccessRate>,
    /// Judges by how often they fail; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_percentage: Option<FailurePercentage>,
    /// Compares how long they take; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyOutlier>,
    /// Whether a health check that succeeds brings an endpoint back.
    pub return_when_healthy: bool,
}

impl Outlier {
    /// Whether a detector needs what all endpoints did in an interval.
    pub fn compares(&self) -> bool {
        self.success_rate.is_some() || self.failure_percentage.is_some() || self.latency.is_some()
    }
}

/// Connections to endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// To one endpoint, for the whole process; `None` is no limit.
    pub max: Option<u32>,
    /// Time to open one.
    #[serde(with = "duration_text")]
    pub connect_timeout: Duration,
    /// Closed when without a request for this long; `None` is never.
    #[serde(with = "optional_duration_text")]
    pub idle_timeout: Option<Duration>,
    /// Closed after this many requests; `None` is no limit.
    pub max_requests: Option<u32>,
}
