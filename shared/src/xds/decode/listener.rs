//! `Listener` with one HTTP connection manager.

mod access_log;
mod filters;
mod manager;
mod protocol;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::address::socket_address;
use super::findings::{Findings, set};
use super::values::{holds, is_false, is_true, type_name, unpack};
use super::{text, transport};
use crate::ir;
use crate::names::ListenerName;
use crate::xds::extras::{self, ListenerExtras};
use crate::xds::wire::{hcm, listener, pb, proxy_protocol_filter};

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
    let mut extras: Option<ListenerExtras> = match extras::read(metadata.as_ref()) {
        Ok(extras) => Some(extras),
        Err(reason) => found.fault(extras::PATH, reason),
    };
    let proxied = filters_before(listener_filters, found);
    let networks = extras
        .as_mut()
        .map(|extras| std::mem::take(&mut extras.proxy_protocol_from));
    let proxy_protocol_from = proxied_from(networks.unwrap_or_default(), proxied, found);
    let optional_names = extras.as_ref().is_some_and(|extras| extras.optional_names);
    let (tls, manager) = only_chain(filter_chains, default_filter_chain, optional_names, found)?;
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
        tls,
        proxy_protocol_from: proxy_protocol_from?,
        trusted_hops: manager.trusted_hops,
        trusted_addresses: extras.trusted_addresses,
        upgrades: manager.upgrades,
        access_log: manager.access_log,
        trace_sampling: manager.trace_sampling,
    })
}

/// Reads what looks at a connection before TLS and HTTP, and says whether a
/// PROXY protocol header is wanted. Inspectors only tell filter chains apart,
/// and there is one chain.
fn filters_before(from: Vec<listener::ListenerFilter>, found: &mut Findings) -> bool {
    use listener::listener_filter::ConfigType;

    let mut proxied = false;
    for (index, filter) in from.into_iter().enumerate() {
        let listener::ListenerFilter {
            name: _,
            filter_disabled,
            config_type,
        } = filter;
        found.at(
            &format!("listener_filters[{index}]"),
            |found| match &config_type {
                Some(ConfigType::TypedConfig(config))
                    if holds::<proxy_protocol_filter::ProxyProtocol>(config) =>
                {
                    found.unsupported_if([("filter_disabled", set(&filter_disabled))]);
                    if proxied {
                        found.fault::<()>("", "must not stand there twice");
                    }
                    proxied = true;
                    found.at("typed_config", |found| proxy_protocol(config, found));
                }
                Some(ConfigType::TypedConfig(config)) if inspects(type_name(config)) => {
                    found.ignore("");
                }
                _ => {
                    found.unsupported::<()>("");
                }
            },
        );
    }
    proxied
}

fn inspects(kind: &str) -> bool {
    matches!(
        kind,
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
            | "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
    )
}

/// The address in the header is all that is used of it.
fn proxy_protocol(config: &pb::Any, found: &mut Findings) -> Option<()> {
    let proxy_protocol_filter::ProxyProtocol {
        rules,
        allow_requests_without_proxy_protocol,
        pass_through_tlvs,
        disallowed_versions,
        stat_prefix,
        tlv_location,
    } = unpack(config, found)?;
    found.unsupported_if([
        (
            "allow_requests_without_proxy_protocol",
            allow_requests_without_proxy_protocol,
        ),
        ("disallowed_versions", set(&disallowed_versions)),
    ]);
    found.ignore_if([
        ("rules", set(&rules)),
        ("pass_through_tlvs", set(&pass_through_tlvs)),
        ("stat_prefix", set(&stat_prefix)),
        ("tlv_location", set(&tlv_location)),
    ]);
    Some(())
}

/// From where a header is wanted: what we say of it ourselves, or from
/// everywhere.
fn proxied_from(ours: Vec<IpNet>, wanted: bool, found: &mut Findings) -> Option<Vec<IpNet>> {
    match (wanted, ours.is_empty()) {
        (true, true) => Some(vec![
            IpNet::V4(Ipv4Net::default()),
            IpNet::V6(Ipv6Net::default()),
        ]),
        (false, false) => found.fault(
            extras::PATH,
            "proxy_protocol_from needs a PROXY protocol filter among listener_filters",
        ),
        _ => Some(ours),
    }
}

/// The connection manager of the one chain that takes every connection.
fn only_chain(
    mut chains: Vec<listener::FilterChain>,
    default: Option<listener::FilterChain>,
    optional_names: bool,
    found: &mut Findings,
) -> Option<(Option<ir::DownstreamTls>, manager::Manager)> {
    let (field, chain) = match (chains.pop(), default) {
        (Some(chain), None) if chains.is_empty() => ("filter_chains[0]", chain),
        (None, Some(chain)) => ("default_filter_chain", chain),
        (None, None) => return found.fault("filter_chains", "must hold one filter chain"),
        (Some(_), _) => {
            let reason = "more than one filter chain is not supported by evenkeel";
            return found.fault("filter_chains", reason);
        }
    };
    found.at(field, |found| filter_chain(chain, optional_names, found))
}

#[expect(deprecated, reason = "names every field of the message once")]
fn filter_chain(
    from: listener::FilterChain,
    optional_names: bool,
    found: &mut Findings,
) -> Option<(Option<ir::DownstreamTls>, manager::Manager)> {
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
    ]);
    let transport = transport::downstream(
        transport_socket,
        transport_socket_connect_timeout,
        optional_names,
        found,
    );
    let verified = matches!(&transport, Some(Some(socket)) if socket.tls.clients.is_some());
    let Some(filter) = filters.pop().filter(|_| filters.is_empty()) else {
        let reason = "must hold one HTTP connection manager, and no other filter";
        return found.fault("filters", reason);
    };
    let manager = found.at("filters[0].typed_config", |found| {
        only_manager(filter, verified, found)
    })?;
    let tls = transport?.map(|socket| {
        socket.check_alpn(manager.protocol, found);
        socket.tls
    });
    Some((tls, manager))
}

fn only_manager(
    filter: listener::Filter,
    verified: bool,
    found: &mut Findings,
) -> Option<manager::Manager> {
    match filter.config_type {
        Some(listener::filter::ConfigType::TypedConfig(config))
            if holds::<hcm::HttpConnectionManager>(&config) =>
        {
            manager::manager(unpack(&config, found)?, verified, found)
        }
        Some(listener::filter::ConfigType::TypedConfig(config)) => {
            let rule = "not supported by evenkeel: must be an HttpConnectionManager";
            found.invalid("", &config.type_url, rule)
        }
        Some(listener::filter::ConfigType::ConfigDiscovery(_)) => found.unsupported(""),
        None => found.fault("", "is missing"),
    }
}
