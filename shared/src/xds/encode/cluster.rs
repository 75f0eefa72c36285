//! `Cluster`.

mod balancing;
mod dns;
mod health_check;
mod outlier;

use std::collections::HashMap;

use envoy_types::util::pack_any;

use super::values::{duration, duration_or_zero, from_ads, number, percent};
use super::{assignment, transport};
use crate::ir;
use crate::xds::extras::{self, ClusterExtras};
use crate::xds::wire::{UPSTREAM_HTTP, cluster, core};
use crate::xds::wire::{pb, upstream_http};

/// Writes a cluster.
#[expect(
    deprecated,
    reason = "Envoy's successor is an extension that other proxies do not know"
)]
pub(in crate::xds) fn cluster(from: &ir::Cluster) -> cluster::Cluster {
    let (kind, eds, inline) = match &from.discovery {
        ir::Discovery::Dns(target) => (
            cluster::cluster::DiscoveryType::StrictDns,
            None,
            Some(dns::assignment(from.name.as_str(), target)),
        ),
        ir::Discovery::Named(name) => {
            let eds = cluster::cluster::EdsClusterConfig {
                eds_config: from_ads(),
                service_name: name.as_str().to_owned(),
            };
            (cluster::cluster::DiscoveryType::Eds, Some(eds), None)
        }
        ir::Discovery::Inline(endpoints) => (
            cluster::cluster::DiscoveryType::Static,
            None,
            Some(assignment::assignment(endpoints)),
        ),
    };
    let (named, policy) = balancing::policy(from.load_balancing.policy);
    let looked_up = match &from.discovery {
        ir::Discovery::Dns(target) => Some(target),
        ir::Discovery::Named(_) | ir::Discovery::Inline(_) => None,
    };
    cluster::Cluster {
        name: from.name.as_str().to_owned(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(kind.into())),
        eds_cluster_config: eds,
        load_assignment: inline,
        dns_refresh_rate: looked_up.and_then(|target| duration(target.refresh)),
        respect_dns_ttl: looked_up.is_some_and(|target| target.respect_ttl),
        dns_lookup_family: looked_up.map_or(0, |target| dns::family(target.family).into()),
        connect_timeout: duration(from.connection.connect_timeout),
        lb_policy: named.into(),
        load_balancing_policy: Some(policy),
        common_lb_config: Some(cluster::cluster::CommonLbConfig {
            healthy_panic_threshold: percent(from.load_balancing.panic_threshold),
            ..cluster::cluster::CommonLbConfig::default()
        }),
        circuit_breakers: Some(breakers(&from.breakers, from.connection.max)),
        health_checks: from
            .health_check
            .iter()
            .map(health_check::health_check)
            .collect(),
        outlier_detection: from.outlier.as_ref().map(outlier::outlier),
        typed_extension_protocol_options: protocol(from.protocol, &from.connection),
        transport_socket: transport::cluster(from),
        metadata: extras::write(&ClusterExtras {
            min_retries_per_second: from.breakers.retries.min_per_second,
            latency_outlier: from.outlier.and_then(|outlier| outlier.latency),
            peak_ewma: match from.load_balancing.policy {
                ir::LbPolicy::PeakEwma(settings) => Some(settings),
                _ => None,
            },
        }),
        ..cluster::Cluster::default()
    }
}

fn breakers(from: &ir::Breakers, max_per_host: Option<u32>) -> cluster::CircuitBreakers {
    use cluster::circuit_breakers::{Thresholds, thresholds::RetryBudget};

    let whole = Thresholds {
        priority: core::RoutingPriority::Default.into(),
        max_connections: number(from.connections),
        max_pending_requests: number(from.pending),
        max_requests: number(from.requests),
        retry_budget: Some(RetryBudget {
            budget_percent: percent(from.retries.share),
            min_retry_concurrency: number(from.retries.min_concurrency),
            ..RetryBudget::default()
        }),
        ..Thresholds::default()
    };
    let per_host = max_per_host.map(|max| Thresholds {
        priority: core::RoutingPriority::Default.into(),
        max_connections: number(max),
        ..Thresholds::default()
    });
    cluster::CircuitBreakers {
        thresholds: vec![whole],
        per_host_thresholds: per_host.into_iter().collect(),
    }
}

fn protocol(
    version: ir::UpstreamProtocol,
    connection: &ir::Connection,
) -> HashMap<String, pb::Any> {
    use upstream_http::http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
    };

    let version = match version {
        ir::UpstreamProtocol::Http1 => {
            ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())
        }
        ir::UpstreamProtocol::Http2 => {
            ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions::default())
        }
    };
    let options = upstream_http::HttpProtocolOptions {
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: duration_or_zero(connection.idle_timeout),
            max_requests_per_connection: connection.max_requests.and_then(number),
            ..core::HttpProtocolOptions::default()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(version),
            },
        )),
        ..upstream_http::HttpProtocolOptions::default()
    };
    HashMap::from([(UPSTREAM_HTTP.to_owned(), pack_any(options))])
}
