//! What other control planes send: fields left unset, old forms, and what only
//! tunes.

use std::time::Duration;

use envoy_types::pb::google::protobuf as pb;

use super::samples::*;
use crate::ir::*;
use crate::units::Percent;
use crate::xds::Resource;
use crate::xds::wire::{cluster as cds, core, endpoint as eds, hcm, matcher, route as rds};

fn cluster_of(message: &cds::Cluster) -> Cluster {
    match accepted(message).resource {
        Resource::Cluster(cluster) => cluster,
        other => panic!("{other:?}"),
    }
}

fn route_of(message: &rds::RouteConfiguration) -> Route {
    match accepted(message).resource {
        Resource::RouteTable(mut table) => table.hosts.remove(0).routes.remove(0),
        other => panic!("{other:?}"),
    }
}

fn forward_of(message: &rds::RouteConfiguration) -> Forward {
    match route_of(message).action {
        Action::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

/// A cluster with nothing but what it must have.
fn bare_cluster() -> cds::Cluster {
    cds::Cluster {
        name: "api".to_owned(),
        load_assignment: Some(eds::ClusterLoadAssignment {
            cluster_name: "api".to_owned(),
            ..eds::ClusterLoadAssignment::default()
        }),
        ..cds::Cluster::default()
    }
}

#[test]
fn an_unset_field_of_a_cluster_means_what_envoy_means() {
    let cluster = cluster_of(&bare_cluster());
    assert_eq!(cluster.connection.connect_timeout, Duration::from_secs(5));
    assert_eq!(
        cluster.connection.idle_timeout,
        Some(Duration::from_hours(1))
    );
    assert_eq!(cluster.connection.max, None);
    assert_eq!(cluster.protocol, UpstreamProtocol::Http1);
    assert_eq!(cluster.outlier, None);
    assert_eq!(cluster.load_balancing.panic_threshold, Percent::whole(50));
    assert_eq!(cluster.load_balancing.policy, LbPolicy::RoundRobin);
    assert_eq!(
        cluster.breakers,
        Breakers {
            connections: 1024,
            pending: 1024,
            requests: 1024,
            retries: RetryBudget {
                share: Percent::ZERO,
                min_concurrency: 3,
                min_per_second: None,
            },
        }
    );
}

#[test]
#[expect(
    deprecated,
    reason = "Envoy's successor is an extension that other proxies do not know"
)]
fn a_name_with_nothing_said_is_looked_up_every_five_seconds() {
    let mut message = dns_cluster_message();
    message.dns_refresh_rate = None;
    message.dns_lookup_family = 0;
    let Discovery::Dns(target) = cluster_of(&message).discovery else {
        panic!("is not looked up");
    };
    assert_eq!((target.host.as_str(), target.port), ("cart", 8080));
    assert_eq!(target.refresh, Duration::from_secs(5));
    assert_eq!(target.family, DnsFamily::All);
}

#[test]
fn outlier_detection_with_nothing_set_counts_5xx_and_compares_success_rates() {
    let mut message = bare_cluster();
    message.outlier_detection = Some(cds::OutlierDetection::default());
    let outlier = cluster_of(&message).outlier.unwrap();
    assert_eq!(outlier.consecutive_5xx, 5);
    assert_eq!(outlier.consecutive_gateway_failure, 0);
    assert_eq!(outlier.max_ejection_percent, 10);
    assert_eq!(outlier.max_ejection_time, Duration::from_mins(5));
    assert!(!outlier.always_eject_one);
    let rate = outlier.success_rate.unwrap();
    assert_eq!((rate.minimum_hosts, rate.request_volume), (5, 100));
    assert_eq!((rate.stdev_factor, rate.enforcing), (1900, 100));
    assert_eq!(outlier.failure_percentage, None);
    assert_eq!(outlier.latency, None);
}

#[test]
fn a_detector_that_is_not_enforced_but_has_settings_only_counts() {
    let mut message = bare_cluster();
    message.outlier_detection = Some(cds::OutlierDetection {
        failure_percentage_threshold: Some(pb::UInt32Value { value: 30 }),
        enforcing_success_rate: Some(pb::UInt32Value { value: 0 }),
        enforcing_local_origin_success_rate: Some(pb::UInt32Value { value: 0 }),
        ..cds::OutlierDetection::default()
    });
    let outlier = cluster_of(&message).outlier.unwrap();
    let share = outlier.failure_percentage.unwrap();
    assert_eq!((share.threshold, share.enforcing), (30, 0));
    assert_eq!(outlier.success_rate, None);
}

#[test]
#[expect(deprecated, reason = "older control planes still send it")]
fn http2_in_its_old_place_is_understood() {
    let mut message = bare_cluster();
    message.http2_protocol_options = Some(core::Http2ProtocolOptions::default());
    assert_eq!(cluster_of(&message).protocol, UpstreamProtocol::Http2);
}

#[test]
fn the_first_algorithm_that_is_known_is_taken() {
    let mut message = cluster_message();
    let policies = &mut message.load_balancing_policy.as_mut().unwrap().policies;
    let unknown = core::TypedExtensionConfig {
        name: "pick_first".to_owned(),
        typed_config: Some(pb::Any {
            type_url: "type.googleapis.com/envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst"
                .to_owned(),
            value: Vec::new(),
        }),
    };
    policies.insert(
        0,
        cds::load_balancing_policy::Policy {
            typed_extension_config: Some(unknown),
        },
    );
    assert_eq!(
        cluster_of(&message).load_balancing.policy,
        LbPolicy::LeastRequest { choices: 2 }
    );
}

#[test]
fn a_ring_in_its_old_place_is_understood() {
    let mut message = bare_cluster();
    message.lb_policy = cds::cluster::LbPolicy::RingHash.into();
    assert_eq!(
        cluster_of(&message).load_balancing.policy,
        LbPolicy::RingHash(RingHash {
            min_size: 1_024,
            max_size: 8_388_608,
            balance_factor: None,
        })
    );
    let ring = cds::cluster::RingHashLbConfig {
        minimum_ring_size: Some(pb::UInt64Value { value: 64 }),
        maximum_ring_size: Some(pb::UInt64Value { value: 128 }),
        ..cds::cluster::RingHashLbConfig::default()
    };
    message.lb_config = Some(cds::cluster::LbConfig::RingHashLbConfig(ring));
    let common = cds::cluster::common_lb_config::ConsistentHashingLbConfig {
        hash_balance_factor: Some(pb::UInt32Value { value: 150 }),
        ..<_>::default()
    };
    message.common_lb_config = Some(cds::cluster::CommonLbConfig {
        consistent_hashing_lb_config: Some(common),
        ..cds::cluster::CommonLbConfig::default()
    });
    assert_eq!(
        cluster_of(&message).load_balancing.policy,
        LbPolicy::RingHash(RingHash {
            min_size: 64,
            max_size: 128,
            balance_factor: Some(150),
        })
    );
    message.lb_policy = cds::cluster::LbPolicy::Maglev.into();
    assert_eq!(
        cluster_of(&message).load_balancing.policy,
        LbPolicy::Maglev(Maglev {
            table_size: 65_537,
            balance_factor: Some(150),
        })
    );
}

#[test]
fn a_bound_on_hashing_means_nothing_to_other_algorithms() {
    let mut message = bare_cluster();
    message.common_lb_config = Some(cds::cluster::CommonLbConfig {
        consistent_hashing_lb_config: Some(<_>::default()),
        ..cds::cluster::CommonLbConfig::default()
    });
    let ignored = accepted(&message).ignored;
    assert_eq!(ignored, ["common_lb_config.consistent_hashing_lb_config"]);
}

#[test]
fn an_unset_field_of_a_route_means_what_envoy_means() {
    let message = forward_with(|action| {
        action.timeout = None;
        action.retry_policy = Some(rds::RetryPolicy {
            retry_on: "5xx, made-up".to_owned(),
            ..rds::RetryPolicy::default()
        });
    });
    let forward = forward_of(&message);
    assert_eq!(forward.timeout, Some(Duration::from_secs(15)));
    let retry = forward.retry.unwrap();
    assert_eq!(retry.retries, 1);
    assert_eq!(retry.backoff.base, Duration::from_millis(25));
    assert_eq!(retry.backoff.max, Duration::from_millis(250));
    assert_eq!(
        accepted(&message).ignored,
        ["virtual_hosts[0].routes[0].route.retry_policy.retry_on[\"made-up\"]"]
    );
}

#[test]
fn a_route_has_the_retries_of_its_host() {
    let mut message = table_message();
    message.virtual_hosts[0].retry_policy = Some(rds::RetryPolicy {
        retry_on: "reset".to_owned(),
        ..rds::RetryPolicy::default()
    });
    let retry = forward_of(&message).retry.unwrap();
    assert!(retry.on.contains(&RetryCondition::Reset));
}

#[test]
fn an_unset_field_of_a_listener_means_what_envoy_means() {
    let mut message = listener_with(|manager| {
        *manager = hcm::HttpConnectionManager {
            stat_prefix: "edge".to_owned(),
            http_filters: vec![manager.http_filters.pop().unwrap()],
            route_specifier: manager.route_specifier.take(),
            ..hcm::HttpConnectionManager::default()
        };
    });
    message.metadata = None;
    let decoded = accepted(&message);
    assert_eq!(
        decoded.ignored,
        ["filter_chains[0].filters[0].typed_config.use_remote_address"]
    );
    let Resource::Listener(listener) = decoded.resource else {
        panic!("no listener");
    };
    assert_eq!(listener.timeouts.header, None);
    assert_eq!(listener.timeouts.idle, Some(Duration::from_hours(1)));
    assert_eq!(listener.timeouts.stream_idle, Some(Duration::from_mins(5)));
    assert_eq!(listener.limits.header_bytes, 60 * 1024);
    assert_eq!(listener.limits.headers, 100);
    assert_eq!(listener.trace_sampling, Percent::ZERO);
}

#[test]
fn what_only_tunes_is_left_out_and_reported() {
    let mut message = cluster_message();
    message.alt_stat_name = "other".to_owned();
    message.cleanup_interval = Some(pb::Duration {
        seconds: 5,
        nanos: 0,
    });
    assert_eq!(
        accepted(&message).ignored,
        ["alt_stat_name", "cleanup_interval"]
    );
    let unnormalised = listener_with(|m| m.normalize_path = Some(pb::BoolValue { value: false }));
    assert_eq!(
        accepted(&unnormalised).ignored,
        ["filter_chains[0].filters[0].typed_config.normalize_path"]
    );
}

#[test]
fn a_match_without_case_becomes_an_expression() {
    let message = table_with(|route| {
        let conditions = route.r#match.as_mut().unwrap();
        conditions.case_sensitive = Some(pb::BoolValue { value: false });
        conditions.path_specifier = Some(rds::route_match::PathSpecifier::PathSeparatedPrefix(
            "/a.b".to_owned(),
        ));
        conditions.headers = vec![rds::HeaderMatcher {
            name: "X-Env".to_owned(),
            header_match_specifier: Some(rds::header_matcher::HeaderMatchSpecifier::StringMatch(
                matcher::StringMatcher {
                    ignore_case: true,
                    match_pattern: Some(matcher::string_matcher::MatchPattern::Prefix(
                        "Prod".to_owned(),
                    )),
                },
            )),
            ..rds::HeaderMatcher::default()
        }];
    });
    let matches = route_of(&message).matches;
    let PathMatch::Regex(pattern) = &matches.path else {
        panic!("{:?}", matches.path);
    };
    let path = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
    assert!(path.is_match("/A.B") && path.is_match("/a.b/c"));
    assert!(!path.is_match("/a.bc") && !path.is_match("/axb"));
    assert_eq!(matches.headers[0].name, "x-env");
}

#[test]
fn edits_of_route_host_and_table_become_one() {
    use core::header_value_option::HeaderAppendAction as Act;
    let option = |name: &str, value: &str, action: Act| core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        append_action: action.into(),
        ..core::HeaderValueOption::default()
    };
    let add = Act::AppendIfExistsOrAdd;
    let set = Act::OverwriteIfExistsOrAdd;
    let mut message = table_with(|route| {
        route.request_headers_to_add =
            vec![option("x-a", "route", add), option("x-b", "route", set)];
    });
    message.virtual_hosts[0].request_headers_to_add = vec![option("x-a", "host", add)];
    message.request_headers_to_add = vec![option("x-b", "table", set)];
    message.request_headers_to_remove = vec!["x-c".to_owned()];

    let edits = route_of(&message).request_headers;
    assert_eq!(edits.remove, ["x-c"]);
    let pairs = |fields: &[HeaderValue]| -> Vec<String> {
        fields
            .iter()
            .map(|f| format!("{}={}", f.name, f.value))
            .collect()
    };
    assert_eq!(pairs(&edits.set), ["x-b=table"]);
    assert_eq!(pairs(&edits.add), ["x-a=route", "x-a=host"]);

    message.most_specific_header_mutations_wins = true;
    let edits = route_of(&message).request_headers;
    assert_eq!(pairs(&edits.set), ["x-b=route"]);
    assert_eq!(pairs(&edits.add), ["x-a=host", "x-a=route"]);
}

#[test]
fn limits_of_other_control_planes_are_not_shared_by_name() {
    let mut message = {
        let mut table = super::samples::route_table();
        table.hosts[0].routes[0].rate_limit = Some(RateLimit {
            tokens: 10,
            per: Duration::from_secs(1),
            burst: 20,
            key: None,
        });
        let value = crate::xds::encode(&Resource::RouteTable(table)).value;
        <rds::RouteConfiguration as prost::Message>::decode(value.as_slice()).unwrap()
    };
    let routes = &mut message.virtual_hosts[0].routes;
    routes[0].metadata = None;
    let twin = routes[0].clone();
    routes.push(twin);
    let Resource::RouteTable(table) = accepted(&message).resource else {
        panic!("no table");
    };
    let routes = &table.hosts[0].routes;
    assert_eq!(routes[0].rate_limit, routes[1].rate_limit);
    assert_eq!(routes[0].rate_limit.as_ref().unwrap().burst, 20);
    assert_ne!(routes[0].name, routes[1].name);
}

#[test]
fn a_prefix_that_replaces_a_whole_path_is_the_whole_path() {
    let mut message = forward_with(|action| action.prefix_rewrite = "/new".to_owned());
    message.virtual_hosts[0].routes[0]
        .r#match
        .as_mut()
        .unwrap()
        .path_specifier = Some(rds::route_match::PathSpecifier::Path("/old".to_owned()));
    assert_eq!(
        forward_of(&message).path_rewrite,
        Some(PathRewrite::Full("/new".to_owned()))
    );
}
