//! The record of one request: what the access log, traces and metrics are made
//! of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::outcome::Outcome;
use crate::runtime::snapshot::Route;
use crate::telemetry::trace::TraceContext;
use crate::tick::Tick;

/// Why we answered a request ourselves, or cut it short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No route matched.
    NoRoute,
    /// The route's cluster does not exist.
    NoCluster,
    /// The cluster has no usable host.
    NoHost,
    /// Every attempt failed to connect, was reset, or answered nonsense.
    UpstreamFailure,
    /// The time for the whole request was over.
    RequestTimeout,
    /// The last attempt's time was over.
    PerTryTimeout,
    /// A circuit breaker was open.
    Overflow,
    /// The rate limit.
    RateLimited,
    /// The route says so.
    DirectResponse,
    /// The route says so.
    Redirect,
    /// The request broke the rules of HTTP or of this proxy.
    BadRequest,
    /// The header was larger than the limit.
    HeaderTooLarge,
    /// The body was larger than the limit.
    BodyTooLarge,
    /// No byte for too long.
    StreamIdle,
    /// The client went away.
    ClientGone,
    /// The response broke off after its head had gone to the client.
    UpstreamBroke,
}

/// One attempt at an endpoint.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which one.
    pub address: SocketAddr,
    /// When it began.
    pub started: Tick,
    /// Until the response's head, or the failure.
    pub took: Duration,
    /// How it ended; `None` if it was given up.
    pub outcome: Option<Outcome>,
    /// Id of its span, if the request is traced.
    pub span_id: u64,
}

/// The record of one request, complete when its answer has ended.
#[derive(Debug, Clone)]
pub struct Record {
    /// `x-request-id`, as text.
    pub request_id: String,
    /// Unique id of the record.
    pub record_id: Uuid,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The route, if one matched.
    pub route: Option<Arc<Route>>,
    /// The cluster, if one was chosen.
    pub cluster: Option<Arc<str>>,
    /// Who asks: the address the proxy believes.
    pub client: IpAddr,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub protocol: &'static str,
    /// Method.
    pub method: String,
    /// Authority as the client named it.
    pub authority: String,
    /// Path and query as the client named them.
    pub target: String,
    /// `user-agent`, if any.
    pub user_agent: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`; `None` if the client spoke in the clear.
    pub tls_version: Option<&'static str>,
    /// The name in the client's certificate, if it showed one.
    pub client_identity: Option<Arc<str>>,
    /// When the head was complete.
    pub started: Tick,
    /// Until the end of the answer.
    pub took: Duration,
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// Why we answered ourselves or cut it short, if we did.
    pub reason: Option<Reason>,
    /// The attempts, in order.
    pub attempts: SmallVec<[Attempt; 2]>,
    /// Whether the retry budget forbade another one.
    pub retry_denied: bool,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// The trace it belongs to.
    pub trace: TraceContext,
}
