//! What a real Envoy demands of what is encoded, where it differs from what we
//! demand of ourselves.

use std::time::Duration;

use prost::Message as _;

use super::samples::*;
use crate::ir::*;
use crate::xds::wire::{RATE_LIMIT_FILTER, cluster as cds, local_ratelimit, route as rds};
use crate::xds::{Resource, encode};

fn table_of(route: Route) -> rds::RouteConfiguration {
    let mut table = route_table();
    table.hosts[0].routes = vec![route];
    let value = encode(&Resource::RouteTable(table)).value;
    rds::RouteConfiguration::decode(value.as_slice()).unwrap()
}

fn limited(per: Duration, key: Option<RateLimitKey>) -> rds::Route {
    let mut route = route();
    route.rate_limit = Some(RateLimit {
        tokens: 1,
        per,
        burst: 5,
        key,
    });
    table_of(route).virtual_hosts[0].routes.remove(0)
}

#[test]
fn refills_are_never_closer_than_envoy_allows() {
    let route = limited(Duration::from_millis(1), None);
    let config = &route.typed_per_filter_config[RATE_LIMIT_FILTER];
    let limit = local_ratelimit::LocalRateLimit::decode(config.value.as_slice()).unwrap();
    let bucket = limit.token_bucket.unwrap();
    assert_eq!(bucket.fill_interval.unwrap().nanos, 50_000_000);
    assert_eq!(bucket.tokens_per_fill.unwrap().value, 50);
    assert_eq!(bucket.max_tokens, 5);
}

#[test]
fn a_keyed_limit_is_not_given_to_envoy() {
    let route = limited(Duration::from_secs(1), Some(RateLimitKey::ClientAddress));
    assert!(route.typed_per_filter_config.is_empty());
    assert!(route.metadata.is_some());
}

#[test]
fn every_locality_has_a_weight() {
    for group in assignment_message().endpoints {
        assert_eq!(group.priority, 0);
        assert_eq!(group.load_balancing_weight.unwrap().value, 2);
    }
}

#[test]
#[expect(
    deprecated,
    reason = "Envoy's successor is an extension that other proxies do not know"
)]
fn how_a_name_is_looked_up_is_always_said() {
    let cluster = dns_cluster_message();
    let strict = cds::cluster::DiscoveryType::StrictDns.into();
    assert_eq!(
        cluster.cluster_discovery_type,
        Some(cds::cluster::ClusterDiscoveryType::Type(strict))
    );
    assert_eq!(cluster.dns_refresh_rate.unwrap().seconds, 5);
    assert!(!cluster.respect_dns_ttl);
    let all = cds::cluster::DnsLookupFamily::All;
    assert_eq!(cluster.dns_lookup_family(), all);
    let groups = cluster.load_assignment.as_ref().unwrap();
    assert_eq!(groups.endpoints.len(), 1);
    assert_eq!(groups.endpoints[0].lb_endpoints.len(), 1);
}

#[test]
fn a_long_body_is_announced() {
    let mut long = route();
    long.action = Action::Respond(Respond {
        status: 200,
        body: "x".repeat(5000),
    });
    let table = table_of(long);
    assert_eq!(
        table.max_direct_response_body_size_bytes.unwrap().value,
        5000
    );
}

#[test]
fn detectors_that_are_off_are_not_enforced() {
    let outlier = cluster_message().outlier_detection.unwrap();
    assert_eq!(outlier.enforcing_consecutive_5xx.unwrap().value, 100);
    assert_eq!(
        outlier.enforcing_consecutive_gateway_failure.unwrap().value,
        0
    );
    assert_eq!(outlier.enforcing_success_rate.unwrap().value, 0);
    assert_eq!(outlier.enforcing_failure_percentage.unwrap().value, 0);
}

#[test]
fn several_methods_become_alternatives() {
    let table = table_message();
    let matcher = &table.virtual_hosts[0].routes[0]
        .r#match
        .as_ref()
        .unwrap()
        .headers[0];
    assert_eq!(matcher.name, ":method");
    assert!(format!("{matcher:?}").contains("GET|HEAD"), "{matcher:?}");
}

#[test]
fn header_bytes_are_rounded_up_to_kibibytes() {
    listener_with(|manager| {
        assert_eq!(manager.max_request_headers_kb.unwrap().value, 64);
    });
}
