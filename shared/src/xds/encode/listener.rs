//! `Listener` with one HTTP connection manager.

use envoy_types::util::pack_any;

use super::route::route_table;
use super::transport;
use super::values::{address, boolean, duration_or_zero, from_ads, number, percent, yes};
use crate::ir;
use crate::units::Percent;
use crate::xds::extras::{self, ListenerExtras};
use crate::xds::wire::{
    FILE_LOGGER, HCM_FILTER, MAX_HEADERS_KIB, PROXY_PROTOCOL_FILTER, RATE_LIMIT_FILTER,
    ROUTER_FILTER,
};
use crate::xds::wire::{
    accesslog, core, file_log, hcm, listener, local_ratelimit, proxy_protocol_filter, router,
};
use hcm::http_connection_manager as manager;

/// Writes a listener.
pub(in crate::xds) fn listener(from: &ir::Listener) -> listener::Listener {
    let filter = listener::Filter {
        name: HCM_FILTER.to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(pack_any(
            connection_manager(from),
        ))),
    };
    listener::Listener {
        name: from.name.as_str().to_owned(),
        address: address(from.address),
        filter_chains: vec![listener::FilterChain {
            filters: vec![filter],
            transport_socket: transport::listener(from),
            transport_socket_connect_timeout: from
                .tls
                .as_ref()
                .and_then(|tls| duration_or_zero(tls.handshake_timeout)),
            ..listener::FilterChain::default()
        }],
        metadata: extras::write(&ListenerExtras {
            connections: Some(from.limits.connections),
            header_bytes: Some(from.limits.header_bytes),
            body_bytes: from.limits.body_bytes,
            proxy_protocol_from: from.proxy_protocol_from.clone(),
            trusted_addresses: from.trusted_addresses.clone(),
            optional_names: client_verification(from)
                .is_some_and(|clients| !clients.required && !clients.names.is_empty()),
        }),
        listener_filters: listener_filters(from),
        ..listener::Listener::default()
    }
}

fn client_verification(from: &ir::Listener) -> Option<&ir::ClientVerification> {
    from.tls.as_ref().and_then(|tls| tls.clients.as_ref())
}

/// An Envoy wants the header on every connection, from wherever it comes.
fn listener_filters(from: &ir::Listener) -> Vec<listener::ListenerFilter> {
    if from.proxy_protocol_from.is_empty() {
        return Vec::new();
    }
    let config = proxy_protocol_filter::ProxyProtocol::default();
    vec![listener::ListenerFilter {
        name: PROXY_PROTOCOL_FILTER.to_owned(),
        filter_disabled: None,
        config_type: Some(listener::listener_filter::ConfigType::TypedConfig(
            pack_any(config),
        )),
    }]
}

fn connection_manager(from: &ir::Listener) -> hcm::HttpConnectionManager {
    let codec = match from.protocol {
        ir::HttpProtocol::Auto => manager::CodecType::Auto,
        ir::HttpProtocol::Http1 => manager::CodecType::Http1,
        ir::HttpProtocol::Http2 => manager::CodecType::Http2,
    };
    let escaped_slashes = manager::PathWithEscapedSlashesAction::KeepUnchanged;
    let (forward, details) = client_certificates(client_verification(from).is_some());
    let headers_kib = from.limits.header_bytes.div_ceil(1024);
    hcm::HttpConnectionManager {
        codec_type: codec.into(),
        stat_prefix: from.name.as_str().to_owned(),
        route_specifier: Some(routes(&from.routes)),
        http_filters: filters(),
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: duration_or_zero(from.timeouts.idle),
            max_headers_count: number(from.limits.headers),
            ..core::HttpProtocolOptions::default()
        }),
        http2_protocol_options: Some(core::Http2ProtocolOptions {
            max_concurrent_streams: number(from.limits.concurrent_streams),
            ..core::Http2ProtocolOptions::default()
        }),
        max_request_headers_kb: number(headers_kib.clamp(1, MAX_HEADERS_KIB)),
        request_headers_timeout: duration_or_zero(from.timeouts.header),
        stream_idle_timeout: duration_or_zero(from.timeouts.stream_idle),
        use_remote_address: yes(),
        xff_num_trusted_hops: from.trusted_hops,
        generate_request_id: yes(),
        forward_client_cert_details: forward.into(),
        set_current_client_cert_details: details,
        normalize_path: yes(),
        merge_slashes: false,
        path_with_escaped_slashes_action: escaped_slashes.into(),
        upgrade_configs: from.upgrades.iter().map(|name| upgrade(name)).collect(),
        access_log: from.access_log.iter().map(access_log).collect(),
        tracing: Some(tracing(from.trace_sampling)),
        ..hcm::HttpConnectionManager::default()
    }
}

/// What endpoints learn of the certificates of clients, and from the proxy only.
fn client_certificates(
    verified: bool,
) -> (
    manager::ForwardClientCertDetails,
    Option<manager::SetCurrentClientCertDetails>,
) {
    if !verified {
        return (manager::ForwardClientCertDetails::Sanitize, None);
    }
    let details = manager::SetCurrentClientCertDetails {
        subject: yes(),
        dns: true,
        uri: true,
        ..manager::SetCurrentClientCertDetails::default()
    };
    (
        manager::ForwardClientCertDetails::SanitizeSet,
        Some(details),
    )
}

fn routes(from: &ir::RouteSource) -> manager::RouteSpecifier {
    match from {
        ir::RouteSource::Named(name) => manager::RouteSpecifier::Rds(hcm::Rds {
            config_source: from_ads(),
            route_config_name: name.as_str().to_owned(),
        }),
        ir::RouteSource::Inline(table) => manager::RouteSpecifier::RouteConfig(route_table(table)),
    }
}

/// The rate limit is idle here: it is what lets routes bring their own.
fn filters() -> Vec<hcm::HttpFilter> {
    let filter = |name: &str, config| hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
        ..hcm::HttpFilter::default()
    };
    let idle_limit = local_ratelimit::LocalRateLimit {
        stat_prefix: "rate_limit".to_owned(),
        ..local_ratelimit::LocalRateLimit::default()
    };
    vec![
        filter(RATE_LIMIT_FILTER, pack_any(idle_limit)),
        filter(ROUTER_FILTER, pack_any(router::Router::default())),
    ]
}

fn upgrade(protocol: &str) -> manager::UpgradeConfig {
    manager::UpgradeConfig {
        upgrade_type: protocol.to_owned(),
        enabled: boolean(true),
        ..manager::UpgradeConfig::default()
    }
}

fn access_log(from: &ir::AccessLog) -> accesslog::AccessLog {
    let file = file_log::FileAccessLog {
        path: from.path.clone(),
        access_log_format: None,
    };
    accesslog::AccessLog {
        name: FILE_LOGGER.to_owned(),
        filter: None,
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(pack_any(
            file,
        ))),
    }
}

fn tracing(sampling: Percent) -> manager::Tracing {
    manager::Tracing {
        client_sampling: percent(Percent::HUNDRED),
        random_sampling: percent(sampling),
        overall_sampling: percent(Percent::HUNDRED),
        ..manager::Tracing::default()
    }
}
