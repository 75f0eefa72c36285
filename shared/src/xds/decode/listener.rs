//! `Listener` with one HTTP connection manager.

mod access_log;
mod filters;
mod manager;
mod protocol;

use super::address::socket_address;
use super::findings::{Findings, set};
use super::text;
use super::values::{encrypts, holds, is_false, is_true, type_name, unpack};
use crate::ir;
use crate::names::ListenerName;
use crate::xds::extras::{self, ListenerExtras};
use crate::xds::wire::{hcm, listener};

/// Connections at once, unless told otherwise: our own default, as Envoy has
/// none.
const DEFAULT_CONNECTIONS: u32 = 10_000;

/// Reads a listener.
#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(in crate::xds) fn listener(
    from: listener::Listener,
    found: &mut Findings,
) -> Option<ir::Listener> {
    let listener::Listener {
        name,
        address,
        additional_addresses,
        stat_prefix,
        stats_matcher,
        filter_chains,
        fcds_config,
        filter_chain_matcher,
        use_original_dst,
        default_filter_chain,
        per_connection_buffer_limit_bytes,
        per_connection_buffer_high_watermark_timeout,
        metadata,
        deprecated_v1,
        drain_type,
        listener_filters,
        listener_filters_timeout,
        continue_on_listener_filters_timeout,
        transparent,
        freebind,
        socket_options,
        tcp_fast_open_queue_length,
        // Says of itself that it has no effect.
        traffic_direction: _,
        udp_listener_config,
        api_listener,
        connection_balance_config,
        reuse_port,
        enable_reuse_port,
        access_log,
        tcp_backlog_size,
        max_connections_to_accept_per_socket_event,
        bind_to_port,
        enable_mptcp,
        ignore_global_conn_limit,
        bypass_overload_manager,
        tcp_keepalive,
        listener_specifier,
    } = from;
    let unbound = deprecated_v1.is_some_and(|v1| is_false(v1.bind_to_port.as_ref()));
    found.unsupported_if([
        ("additional_addresses", set(&additional_addresses)),
        ("fcds_config", set(&fcds_config)),
        ("filter_chain_matcher", set(&filter_chain_matcher)),
        ("use_original_dst", is_true(use_original_dst.as_ref())),
        ("transparent", is_true(transparent.as_ref())),
        ("udp_listener_config", set(&udp_listener_config)),
        ("api_listener", set(&api_listener)),
        ("bind_to_port", unbound || is_false(bind_to_port.as_ref())),
        ("listener_specifier", listener_specifier.is_some()),
    ]);
    found.ignore_if([
        ("stat_prefix", set(&stat_prefix)),
        ("stats_matcher", set(&stats_matcher)),
        (
            "per_connection_buffer_limit_bytes",
            set(&per_connection_buffer_limit_bytes),
        ),
        (
            "per_connection_buffer_high_watermark_timeout",
            set(&per_connection_buffer_high_watermark_timeout),
        ),
        ("drain_type", set(&drain_type)),
        ("listener_filters_timeout", set(&listener_filters_timeout)),
        (
            "continue_on_listener_filters_timeout",
            continue_on_listener_filters_timeout,
        ),
        ("freebind", is_true(freebind.as_ref())),
        ("socket_options", set(&socket_options)),
        (
            "tcp_fast_open_queue_length",
            set(&tcp_fast_open_queue_length),
        ),
        ("connection_balance_config", set(&connection_balance_config)),
        ("reuse_port", reuse_port),
        ("enable_reuse_port", set(&enable_reuse_port)),
        ("access_log", set(&access_log)),
        ("tcp_backlog_size", set(&tcp_backlog_size)),
        (
            "max_connections_to_accept_per_socket_event",
            set(&max_connections_to_accept_per_socket_event),
        ),
        ("enable_mptcp", enable_mptcp),
        ("ignore_global_conn_limit", ignore_global_conn_limit),
        ("bypass_overload_manager", bypass_overload_manager),
        ("tcp_keepalive", set(&tcp_keepalive)),
    ]);
    let name = text::name(name, "name", found);
    let address = socket_address(address, found);
    let extras: Option<ListenerExtras> = match extras::read(metadata.as_ref()) {
        Ok(extras) => Some(extras),
        Err(reason) => found.fault(extras::PATH, reason),
    };
    listener_filters_without_effect(listener_filters, found);
    let manager = only_chain(filter_chains, default_filter_chain, found)?;
    let (name, address, extras) = (name?, address?, extras?);
    Some(ir::Listener {
        name: ListenerName::new(name),
        address,
        protocol: manager.protocol,
        routes: manager.routes,
        timeouts: manager.timeouts,
        limits: ir::Limits {
            connections: extras.connections.unwrap_or(DEFAULT_CONNECTIONS),
            header_bytes: extras.header_bytes.unwrap_or(manager.header_bytes),
            headers: manager.headers,
            body_bytes: extras.body_bytes,
            concurrent_streams: manager.concurrent_streams,
        },
        tls: None,
        proxy_protocol_from: Vec::new(),
        trusted_hops: manager.trusted_hops,
        trusted_addresses: Vec::new(),
        upgrades: manager.upgrades,
        access_log: manager.access_log,
        trace_sampling: manager.trace_sampling,
    })
}

/// Inspectors only tell filter chains apart, and there is one chain.
fn listener_filters_without_effect(from: Vec<listener::ListenerFilter>, found: &mut Findings) {
    use listener::listener_filter::ConfigType;

    for (index, filter) in from.into_iter().enumerate() {
        let field = format!("listener_filters[{index}]");
        let inspects = match &filter.config_type {
            Some(ConfigType::TypedConfig(config)) => matches!(
                type_name(config),
                "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
                    | "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
            ),
            Some(ConfigType::ConfigDiscovery(_)) | None => false,
        };
        if inspects {
            found.ignore(&field);
        } else {
            found.unsupported::<()>(&field);
        }
    }
}

/// The connection manager of the one chain that takes every connection.
fn only_chain(
    mut chains: Vec<listener::FilterChain>,
    default: Option<listener::FilterChain>,
    found: &mut Findings,
) -> Option<manager::Manager> {
    let (field, chain) = match (chains.pop(), default) {
        (Some(chain), None) if chains.is_empty() => ("filter_chains[0]", chain),
        (None, Some(chain)) => ("default_filter_chain", chain),
        (None, None) => return found.fault("filter_chains", "must hold one filter chain"),
        (Some(_), _) => {
            let reason = "more than one filter chain is not supported by evenkeel";
            return found.fault("filter_chains", reason);
        }
    };
    found.at(field, |found| filter_chain(chain, found))
}

#[expect(deprecated, reason = "names every field of the message once")]
fn filter_chain(from: listener::FilterChain, found: &mut Findings) -> Option<manager::Manager> {
    let listener::FilterChain {
        filter_chain_match,
        mut filters,
        use_proxy_proto,
        metadata: _,
        transport_socket,
        transport_socket_connect_timeout,
        name: _,
    } = from;
    found.unsupported_if([
        (
            "filter_chain_match",
            filter_chain_match.is_some_and(|conditions| set(&conditions)),
        ),
        ("use_proxy_proto", is_true(use_proxy_proto.as_ref())),
        ("transport_socket", encrypts(transport_socket.as_ref())),
    ]);
    found.ignore_if([(
        "transport_socket_connect_timeout",
        set(&transport_socket_connect_timeout),
    )]);
    let Some(filter) = filters.pop().filter(|_| filters.is_empty()) else {
        let reason = "must hold one HTTP connection manager, and no other filter";
        return found.fault("filters", reason);
    };
    found.at("filters[0].typed_config", |found| {
        match filter.config_type {
            Some(listener::filter::ConfigType::TypedConfig(config))
                if holds::<hcm::HttpConnectionManager>(&config) =>
            {
                manager::manager(unpack(&config, found)?, found)
            }
            Some(listener::filter::ConfigType::TypedConfig(config)) => {
                let rule = "not supported by evenkeel: must be an HttpConnectionManager";
                found.invalid("", &config.type_url, rule)
            }
            Some(listener::filter::ConfigType::ConfigDiscovery(_)) => found.unsupported(""),
            None => found.fault("", "is missing"),
        }
    })
}
