//! `envoy.config.listener.v3.Listener` with one HTTP connection manager.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ir::{DownstreamTls, RouteTable};
use crate::names::{ListenerName, RouteTableName};
use crate::units::{Percent, optional_duration_text};

/// Where a proxy accepts HTTP connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    pub name: ListenerName,
    /// What it binds.
    pub address: SocketAddr,
    /// HTTP versions spoken.
    pub protocol: HttpProtocol,
    /// Where its routes come from.
    pub routes: RouteSource,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// How much clients may send and hold.
    pub limits: Limits,
    /// TLS; `None` is in the clear.
    pub tls: Option<DownstreamTls>,
    /// From where connections begin with a PROXY protocol header; from anywhere
    /// else none is read. Empty is nowhere.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Addresses from the right of `X-Forwarded-For` that are believed.
    pub trusted_hops: u32,
    /// From where forwarding headers are believed at all; empty is from
    /// anywhere.
    pub trusted_addresses: Vec<IpNet>,
    /// `Upgrade` protocols that may pass, in lower case.
    pub upgrades: Vec<String>,
    /// Where the access log goes, if anywhere.
    pub access_log: Option<AccessLog>,
    /// Share of requests without a trace context that start a trace.
    pub trace_sampling: Percent,
}

/// HTTP versions of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpProtocol {
    /// HTTP/1.1, or HTTP/2 by its connection preface.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 with prior knowledge only.
    Http2,
}

/// Where the routes of a listener come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteSource {
    /// A route table of its own, asked for by name (RDS).
    Named(RouteTableName),
    /// Part of the listener.
    Inline(RouteTable),
}

/// How long clients may take; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Until a request header is complete.
    #[serde(with = "optional_duration_text")]
    pub header: Option<Duration>,
    /// For a connection without a request.
    #[serde(with = "optional_duration_text")]
    pub idle: Option<Duration>,
    /// For a request or response without a byte in either direction.
    #[serde(with = "optional_duration_text")]
    pub stream_idle: Option<Duration>,
}

/// How much clients may send and hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections at once.
    pub connections: u32,
    /// Bytes of all header fields of a request.
    pub header_bytes: u32,
    /// Number of header fields of a request.
    pub headers: u32,
    /// Bytes of a request body.
    pub body_bytes: Option<u64>,
    /// HTTP/2 streams at once on a connection.
    pub concurrent_streams: u32,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// `/dev/stdout`, `/dev/stderr` or the path of a file.
    pub path: String,
}
