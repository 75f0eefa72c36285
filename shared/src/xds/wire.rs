//! The names of the messages and extensions that both directions share.

use crate::ir::{HttpProtocol, RetryCondition, UpstreamProtocol};

pub(super) use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
pub(super) use envoy_types::pb::envoy::config::cluster::v3 as cluster;
pub(super) use envoy_types::pb::envoy::config::core::v3 as core;
pub(super) use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
pub(super) use envoy_types::pb::envoy::config::listener::v3 as listener;
pub(super) use envoy_types::pb::envoy::config::route::v3 as route;
pub(super) use envoy_types::pb::envoy::extensions::access_loggers::file::v3 as file_log;
pub(super) use envoy_types::pb::envoy::extensions::access_loggers::stream::v3 as stream_log;
pub(super) use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3 as local_ratelimit;
pub(super) use envoy_types::pb::envoy::extensions::filters::http::router::v3 as router;
pub(super) use envoy_types::pb::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol_filter;
pub(super) use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
pub(super) use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3 as lb_common;
pub(super) use envoy_types::pb::envoy::extensions::load_balancing_policies::least_request::v3 as least_request;
pub(super) use envoy_types::pb::envoy::extensions::load_balancing_policies::maglev::v3 as maglev;
pub(super) use envoy_types::pb::envoy::extensions::load_balancing_policies::random::v3 as random;
pub(super) use envoy_types::pb::envoy::extensions::load_balancing_policies::ring_hash::v3 as ring_hash;
pub(super) use envoy_types::pb::envoy::extensions::load_balancing_policies::round_robin::v3 as round_robin;
pub(super) use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3 as previous_hosts;
pub(super) use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3 as proxy_protocol_socket;
pub(super) use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3 as raw_buffer;
pub(super) use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
pub(super) use envoy_types::pb::envoy::extensions::upstreams::http::v3 as upstream_http;
pub(super) use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
pub(super) use envoy_types::pb::envoy::r#type::v3 as units;
pub(super) use envoy_types::pb::google::protobuf as pb;

/// The HTTP connection manager among network filters.
pub(super) const HCM_FILTER: &str = "envoy.filters.network.http_connection_manager";
/// The terminal HTTP filter.
pub(super) const ROUTER_FILTER: &str = "envoy.filters.http.router";
/// The HTTP filter behind route rate limits.
pub(super) const RATE_LIMIT_FILTER: &str = "envoy.filters.http.local_ratelimit";
/// The access logger that writes to a file.
pub(super) const FILE_LOGGER: &str = "envoy.access_loggers.file";
/// The retry predicate that passes over hosts which were tried.
pub(super) const PREVIOUS_HOSTS: &str = "envoy.retry_host_predicates.previous_hosts";
/// The key and name of a cluster's HTTP options.
pub(super) const UPSTREAM_HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// The transport socket that speaks TLS.
pub(super) const TLS_SOCKET: &str = "envoy.transport_sockets.tls";
/// The transport socket that does nothing to the bytes.
pub(super) const RAW_SOCKET: &str = "envoy.transport_sockets.raw_buffer";
/// The transport socket that writes a PROXY protocol header.
pub(super) const PROXY_PROTOCOL_SOCKET: &str = "envoy.transport_sockets.upstream_proxy_protocol";
/// The listener filter that reads a PROXY protocol header.
pub(super) const PROXY_PROTOCOL_FILTER: &str = "envoy.filters.listener.proxy_protocol";
/// TLS sessions with endpoints that are kept to be resumed, as our own proxy
/// keeps them.
pub(super) const MAX_SESSION_KEYS: u32 = 256;
/// Longest host name that can be asked for (RFC 6066, 3), in bytes.
pub(super) const MAX_SNI_BYTES: usize = 255;
/// How often a host that was tried is drawn again before it is taken anyway.
pub(super) const HOST_SELECTION_ATTEMPTS: i64 = 3;
/// Longest duration that Envoy can hold, in seconds: 64 bits of nanoseconds.
pub(super) const MAX_DURATION_SECONDS: i64 = 9_223_372_035;
/// Shortest time between refills that Envoy's rate limit allows, in
/// milliseconds.
pub(super) const MIN_FILL_INTERVAL_MILLIS: u64 = 50;
/// Longest request header that Envoy can be told to accept, in KiB.
pub(super) const MAX_HEADERS_KIB: u32 = 8192;
/// Most HTTP/2 streams that can be allowed on a connection (RFC 9113, 6.5.2).
pub(super) const MAX_CONCURRENT_STREAMS: u32 = i32::MAX as u32;
/// Longest body of a direct response in Envoy, unless told otherwise.
pub(super) const DEFAULT_DIRECT_BODY_BYTES: u32 = 4096;
/// The conditions of a retry and their names.
pub(super) const RETRY_TOKENS: [(RetryCondition, &str); 13] = [
    (RetryCondition::FiveXx, "5xx"),
    (RetryCondition::GatewayError, "gateway-error"),
    (RetryCondition::Reset, "reset"),
    (RetryCondition::ResetBeforeRequest, "reset-before-request"),
    (RetryCondition::ConnectFailure, "connect-failure"),
    (RetryCondition::RefusedStream, "refused-stream"),
    (RetryCondition::Retriable4xx, "retriable-4xx"),
    (RetryCondition::StatusCodes, "retriable-status-codes"),
    (RetryCondition::GrpcCancelled, "cancelled"),
    (RetryCondition::GrpcDeadlineExceeded, "deadline-exceeded"),
    (RetryCondition::GrpcInternal, "internal"),
    (RetryCondition::GrpcResourceExhausted, "resource-exhausted"),
    (RetryCondition::GrpcUnavailable, "unavailable"),
];

/// What a listener offers by ALPN, the preferred protocol first.
pub(super) fn listener_alpn(protocol: HttpProtocol) -> Vec<String> {
    match protocol {
        HttpProtocol::Auto => vec!["h2".to_owned(), "http/1.1".to_owned()],
        HttpProtocol::Http1 => vec!["http/1.1".to_owned()],
        HttpProtocol::Http2 => vec!["h2".to_owned()],
    }
}

/// What is offered to endpoints by ALPN.
pub(super) fn cluster_alpn(protocol: UpstreamProtocol) -> Vec<String> {
    match protocol {
        UpstreamProtocol::Http1 => vec!["http/1.1".to_owned()],
        UpstreamProtocol::Http2 => vec!["h2".to_owned()],
    }
}
