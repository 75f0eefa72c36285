//! `envoy.config.route.v3.RouteConfiguration`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ir::HashPolicy;
use crate::names::{ClusterName, RouteTableName};
use crate::units::{duration_text, optional_duration_text};

/// Every route of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its name.
    pub name: RouteTableName,
    /// Groups of host names with their routes.
    pub hosts: Vec<VirtualHost>,
    /// Whether the port in a request's host is left out of the comparison.
    pub ignore_port: bool,
}

/// Host names that share routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Its name, unique in its table.
    pub name: String,
    /// The host names; no two in a table are the same.
    pub domains: Vec<Domain>,
    /// The routes; the first that matches is taken.
    pub routes: Vec<Route>,
}

/// A pattern of host names, in lower case. Exact wins over suffix over prefix
/// over any; the longest wins among its like.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// This name.
    Exact(String),
    /// `*.example.com` is kept as `.example.com`.
    Suffix(String),
    /// `example.*` is kept as `example.`.
    Prefix(String),
    /// `*`.
    Any,
}

/// What matches, what is changed, and what is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Name for logs, metrics and traces; several routes of a table may share
    /// one, and then share its rate limit.
    pub name: String,
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// What is done with them.
    pub action: Action,
    /// Changes to the request's header fields.
    pub request_headers: HeaderEdits,
    /// Changes to the response's header fields.
    pub response_headers: HeaderEdits,
    /// Limit on their rate.
    pub rate_limit: Option<RateLimit>,
}

/// Conditions, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteMatch {
    /// On the path without the query.
    pub path: PathMatch,
    /// One of these methods; empty is any.
    pub methods: Vec<String>,
    /// On header fields.
    pub headers: Vec<HeaderMatch>,
    /// On query parameters.
    pub query: Vec<QueryMatch>,
}

/// Condition on the path without the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The path begins with this text; `/` is every path.
    Prefix(String),
    /// The path is this, or begins with it and a `/`; never ends with `/`.
    Segments(String),
    /// The whole path, RE2 syntax.
    Regex(String),
}

/// Condition on a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StringMatch {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// Some part of it.
    Contains(String),
    /// The whole text, RE2 syntax.
    Regex(String),
}

/// Condition on a header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// Name of the field, in lower case.
    pub name: String,
    /// What is asked of it.
    pub test: HeaderTest,
    /// Turns the answer around.
    pub invert: bool,
}

/// What is asked of a header field. A missing field fails every [`StringMatch`],
/// inverted or not, as in Envoy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderTest {
    /// Whether it is there.
    Present(bool),
    /// Its value; several fields of one name are joined with `,`.
    Value(StringMatch),
}

/// Condition on a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMatch {
    /// Name of the parameter.
    pub name: String,
    /// What is asked of it.
    pub test: QueryTest,
}

/// What is asked of a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueryTest {
    /// Whether it is there.
    Present(bool),
    /// Its value.
    Value(StringMatch),
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It goes to an endpoint.
    Forward(Box<Forward>),
    /// It is answered with a redirect.
    Redirect(Redirect),
    /// It is answered as given.
    Respond(Respond),
}

/// How a request goes to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The clusters by weight; not empty, and the weights are not all 0.
    pub clusters: Vec<WeightedCluster>,
    /// For the whole request, from its end; `None` is for ever.
    #[serde(with = "optional_duration_text")]
    pub timeout: Option<Duration>,
    /// For one attempt; `None` is for ever.
    #[serde(with = "optional_duration_text")]
    pub per_try_timeout: Option<Duration>,
    /// When another attempt is made, if ever.
    pub retry: Option<RetryPolicy>,
    /// What the path becomes.
    pub path_rewrite: Option<PathRewrite>,
    /// What the host becomes.
    pub host_rewrite: Option<String>,
    /// What ties it to an endpoint, where the cluster chooses by a hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hash_policy: Vec<HashPolicy>,
}

/// A cluster and its share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedCluster {
    /// Which one.
    pub name: ClusterName,
    /// Share, relative to the sum.
    pub weight: u32,
}

/// What a path becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathRewrite {
    /// The prefix that matched ([`PathMatch::Prefix`] or
    /// [`PathMatch::Segments`]) is replaced.
    Prefix(String),
    /// The whole path is replaced and the query kept.
    Full(String),
}

/// When another attempt is made. Obeyed as it stands: whether a request may be
/// executed twice was decided by whoever wrote the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Conditions, any of which is enough.
    pub on: BTreeSet<RetryCondition>,
    /// Status codes for [`RetryCondition::StatusCodes`].
    pub status_codes: BTreeSet<u16>,
    /// More attempts at the most.
    pub retries: u32,
    /// Waits before them.
    pub backoff: Backoff,
    /// Whether hosts that failed this request are passed over.
    pub avoid_previous_hosts: bool,
}

/// A condition under which another attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RetryCondition {
    /// Status 500 to 599, a reset, a connect failure or a per-try timeout.
    FiveXx,
    /// Status 502, 503, 504, or what stands for them: a connect failure or a
    /// per-try timeout.
    GatewayError,
    /// The connection or stream ended before the response, or a per-try
    /// timeout.
    Reset,
    /// The endpoint cannot have seen the request's header.
    ResetBeforeRequest,
    /// No connection came about.
    ConnectFailure,
    /// HTTP/2 `REFUSED_STREAM`: not processed.
    RefusedStream,
    /// Status 409.
    Retriable4xx,
    /// A status in the list.
    StatusCodes,
    /// gRPC status 1 in the response's header.
    GrpcCancelled,
    /// gRPC status 4 in the response's header.
    GrpcDeadlineExceeded,
    /// gRPC status 13 in the response's header.
    GrpcInternal,
    /// gRPC status 8 in the response's header.
    GrpcResourceExhausted,
    /// gRPC status 14 in the response's header.
    GrpcUnavailable,
}

/// Wait before a retry: uniform in `[0, min(base * 2^(n-1), max))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Upper bound of the first wait.
    #[serde(with = "duration_text")]
    pub base: Duration,
    /// Upper bound of all waits.
    #[serde(with = "duration_text")]
    pub max: Duration,
}

/// Answer with a redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `http` or `https`, if it changes.
    pub scheme: Option<String>,
    /// The host, if it changes.
    pub host: Option<String>,
    /// The port, if it changes.
    pub port: Option<u16>,
    /// The path, if it changes.
    pub path: Option<RedirectPath>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// What the path of a redirect becomes.
pub type RedirectPath = PathRewrite;

/// Answer as given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respond {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Body, text.
    pub body: String,
}

/// Changes to header fields, in this order: remove, set, add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderEdits {
    /// Names to take away, in lower case.
    pub remove: Vec<String>,
    /// Fields that replace all of their name.
    pub set: Vec<HeaderValue>,
    /// Fields put beside those of their name.
    pub add: Vec<HeaderValue>,
}

impl HeaderEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderValue {
    /// Name, in lower case.
    pub name: String,
    /// Value; visible ASCII, spaces and tabs.
    pub value: String,
}

/// A token bucket in each proxy, or one for each value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Tokens added in each `per`; at least 1.
    pub tokens: u32,
    /// Time in which `tokens` are added; not zero.
    #[serde(with = "duration_text")]
    pub per: Duration,
    /// Size of the bucket; at least 1.
    pub burst: u32,
    /// What tells clients apart.
    pub key: Option<RateLimitKey>,
}

/// What tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RateLimitKey {
    /// The client's address.
    ClientAddress,
    /// A header field, named in lower case; requests without it share a bucket.
    Header(String),
}
