//! `Cluster`.

mod balancing;
mod breakers;
mod dns;
mod hashing;
mod health_check;
mod outlier;
mod protocol;

use std::time::Duration;

use super::assignment;
use super::findings::{Findings, set};
use super::values::{own_stream, positive_duration_or};
use super::{text, transport};
use crate::ir;
use crate::names::{AssignmentName, ClusterName};
use crate::xds::extras::{self, ClusterExtras};
use crate::xds::wire::{cluster, endpoint};
use cluster::cluster::{ClusterDiscoveryType, DiscoveryType};

/// Reads a cluster.
#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(in crate::xds) fn cluster(from: cluster::Cluster, found: &mut Findings) -> Option<ir::Cluster> {
    let cluster::Cluster {
        transport_socket_matches,
        transport_socket_matcher,
        name,
        alt_stat_name,
        stats_matcher,
        eds_cluster_config,
        connect_timeout,
        per_connection_buffer_limit_bytes,
        per_connection_buffer_high_watermark_timeout,
        lb_policy,
        load_assignment,
        health_checks,
        max_requests_per_connection,
        circuit_breakers,
        upstream_http_protocol_options,
        common_http_protocol_options,
        http_protocol_options,
        http2_protocol_options,
        typed_extension_protocol_options,
        dns_refresh_rate,
        dns_jitter,
        dns_failure_refresh_rate,
        respect_dns_ttl,
        dns_lookup_family,
        dns_resolvers,
        use_tcp_for_dns_lookups,
        dns_resolution_config,
        typed_dns_resolver_config,
        wait_for_warm_on_init,
        outlier_detection,
        cleanup_interval,
        upstream_bind_config,
        lb_subset_config,
        common_lb_config,
        transport_socket,
        metadata,
        protocol_selection,
        upstream_connection_options,
        close_connections_on_host_health_failure,
        ignore_health_on_host_removal,
        filters,
        load_balancing_policy,
        lrs_server,
        lrs_report_endpoint_metrics,
        track_timeout_budgets,
        upstream_config,
        track_cluster_stats,
        preconnect_policy,
        connection_pool_per_downstream_connection,
        queuing_policies,
        cluster_discovery_type,
        lb_config,
    } = from;
    found.unsupported_if([
        ("transport_socket_matches", set(&transport_socket_matches)),
        ("transport_socket_matcher", set(&transport_socket_matcher)),
        ("upstream_bind_config", set(&upstream_bind_config)),
        ("lb_subset_config", set(&lb_subset_config)),
        ("protocol_selection", set(&protocol_selection)),
        ("filters", set(&filters)),
        ("upstream_config", set(&upstream_config)),
    ]);
    found.ignore_if([
        ("alt_stat_name", set(&alt_stat_name)),
        ("stats_matcher", set(&stats_matcher)),
        (
            "per_connection_buffer_limit_bytes",
            set(&per_connection_buffer_limit_bytes),
        ),
        (
            "per_connection_buffer_high_watermark_timeout",
            set(&per_connection_buffer_high_watermark_timeout),
        ),
        ("http_protocol_options", set(&http_protocol_options)),
        ("dns_jitter", set(&dns_jitter)),
        ("dns_failure_refresh_rate", set(&dns_failure_refresh_rate)),
        ("dns_resolvers", set(&dns_resolvers)),
        ("use_tcp_for_dns_lookups", use_tcp_for_dns_lookups),
        ("dns_resolution_config", set(&dns_resolution_config)),
        ("typed_dns_resolver_config", set(&typed_dns_resolver_config)),
        ("wait_for_warm_on_init", set(&wait_for_warm_on_init)),
        ("cleanup_interval", set(&cleanup_interval)),
        (
            "upstream_connection_options",
            set(&upstream_connection_options),
        ),
        (
            "close_connections_on_host_health_failure",
            close_connections_on_host_health_failure,
        ),
        (
            "ignore_health_on_host_removal",
            ignore_health_on_host_removal,
        ),
        ("lrs_server", set(&lrs_server)),
        (
            "lrs_report_endpoint_metrics",
            set(&lrs_report_endpoint_metrics),
        ),
        ("track_timeout_budgets", track_timeout_budgets),
        ("track_cluster_stats", set(&track_cluster_stats)),
        ("preconnect_policy", set(&preconnect_policy)),
        (
            "connection_pool_per_downstream_connection",
            connection_pool_per_downstream_connection,
        ),
        ("queuing_policies", set(&queuing_policies)),
    ]);
    let name = text::name(name, "name", found);
    let extras: ClusterExtras = match extras::read(metadata.as_ref()) {
        Ok(extras) => extras,
        Err(reason) => found.fault(extras::PATH, reason)?,
    };
    let connect_timeout = positive_duration_or(
        connect_timeout,
        "connect_timeout",
        Duration::from_secs(5),
        found,
    );
    let discovery = discovery(
        cluster_discovery_type.as_ref(),
        (eds_cluster_config, load_assignment),
        name.as_deref().unwrap_or_default(),
        dns::Settings {
            refresh: dns_refresh_rate,
            respect_ttl: respect_dns_ttl,
            family: dns_lookup_family,
        },
        found,
    );
    let policy = balancing::policy(
        balancing::Wire {
            named: lb_policy,
            config: lb_config,
            list: load_balancing_policy,
            common: common_lb_config.as_ref(),
        },
        found,
    );
    let policy = balancing::by_latency(policy, extras.peak_ewma, found);
    let panic_threshold = balancing::panic_threshold(common_lb_config, found);
    let breakers = breakers::breakers(
        circuit_breakers.unwrap_or_default(),
        extras.min_retries_per_second,
        found,
    );
    let outlier = match outlier_detection {
        Some(from) => found
            .at("outlier_detection", |found| outlier::outlier(from, found))
            .map(|outlier| {
                Some(ir::Outlier {
                    latency: extras.latency_outlier,
                    ..outlier
                })
            }),
        None => Some(None),
    };
    let health_check = health_check::health_check(health_checks, found);
    let legacy = protocol::Legacy {
        common: common_http_protocol_options,
        http2: http2_protocol_options.is_some(),
        max_requests: max_requests_per_connection,
        upstream: upstream_http_protocol_options,
    };
    let transport = transport::upstream(transport_socket, found);
    let encrypted = transport.as_ref().is_some_and(|all| all.tls.is_some());
    let spoken = protocol::protocol(typed_extension_protocol_options, legacy, encrypted, found);
    let (spoken, transport) = (spoken?, transport?);
    transport.check_alpn(spoken.version, found);
    let (breakers, max) = breakers?;
    Some(ir::Cluster {
        name: ClusterName::new(name?),
        discovery: discovery?,
        protocol: spoken.version,
        load_balancing: ir::LoadBalancing {
            policy: policy?,
            panic_threshold: panic_threshold?,
        },
        breakers,
        outlier: outlier?,
        health_check: health_check?,
        connection: ir::Connection {
            max,
            connect_timeout: connect_timeout?,
            idle_timeout: spoken.idle_timeout,
            max_requests: spoken.max_requests,
        },
        tls: transport.tls,
        proxy_protocol: transport.proxy_protocol,
    })
}

fn discovery(
    kind: Option<&ClusterDiscoveryType>,
    (eds, inline): (
        Option<cluster::cluster::EdsClusterConfig>,
        Option<endpoint::ClusterLoadAssignment>,
    ),
    cluster: &str,
    lookups: dns::Settings,
    found: &mut Findings,
) -> Option<ir::Discovery> {
    let kind = match kind {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::ClusterType(_)) => return found.unsupported("cluster_type"),
        Some(ClusterDiscoveryType::Type(kind)) => match DiscoveryType::try_from(*kind) {
            Ok(kind) => kind,
            Err(_) => return found.invalid("type", kind, "must be a known type"),
        },
    };
    if kind != DiscoveryType::StrictDns {
        lookups.ignore(found);
    }
    match kind {
        DiscoveryType::StrictDns => {
            found.ignore_if([("eds_cluster_config", eds.is_some())]);
            let Some(inline) = inline else {
                return found.fault("load_assignment", "is missing");
            };
            dns::target(inline, lookups, found).map(ir::Discovery::Dns)
        }
        DiscoveryType::Static => {
            found.ignore_if([("eds_cluster_config", eds.is_some())]);
            let Some(inline) = inline else {
                return found.fault("load_assignment", "is missing");
            };
            found
                .at("load_assignment", |found| assignment(inline, found))
                .map(ir::Discovery::Inline)
        }
        DiscoveryType::Eds => {
            found.ignore_if([("load_assignment", inline.is_some())]);
            let Some(eds) = eds else {
                return found.fault("eds_cluster_config", "is missing");
            };
            let cluster::cluster::EdsClusterConfig {
                eds_config,
                service_name,
            } = eds;
            own_stream(eds_config, "eds_cluster_config.eds_config", found)?;
            let name = if service_name.is_empty() {
                cluster.to_owned()
            } else {
                service_name
            };
            Some(ir::Discovery::Named(AssignmentName::new(name)))
        }
        DiscoveryType::LogicalDns | DiscoveryType::OriginalDst => {
            let kind = kind.as_str_name();
            found.invalid(
                "type",
                kind,
                "not supported by evenkeel: must be EDS, STATIC or STRICT_DNS",
            )
        }
    }
}
