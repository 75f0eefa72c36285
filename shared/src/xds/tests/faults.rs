//! Each class of fault, by the path at which it is reported.
#![expect(
    clippy::unnecessary_wraps,
    reason = "every field that holds one of these messages is optional"
)]

use envoy_types::pb::google::protobuf as pb;
use envoy_types::util::pack_any;
use prost::Name;

use super::samples::*;
use crate::xds::wire::{
    cluster as cds, core, endpoint as eds, hcm, local_ratelimit, matcher, route as rds, units,
};

#[track_caller]
fn refused<M: prost::Message + Name>(message: &M, expected: &str) {
    let found = faults(message);
    assert!(
        found.iter().any(|fault| fault.starts_with(expected)),
        "no {expected:?} in {found:#?}"
    );
}

fn number(value: u32) -> Option<pb::UInt32Value> {
    Some(pb::UInt32Value { value })
}

fn seconds(seconds: i64) -> Option<pb::Duration> {
    Some(pb::Duration { seconds, nanos: 0 })
}

#[track_caller]
fn cluster_refused(change: impl FnOnce(&mut cds::Cluster), expected: &str) {
    let mut message = cluster_message();
    change(&mut message);
    refused(&message, expected);
}

#[track_caller]
fn assignment_refused(change: impl FnOnce(&mut eds::ClusterLoadAssignment), expected: &str) {
    let mut message = assignment_message();
    change(&mut message);
    refused(&message, expected);
}

#[test]
fn encryption_that_is_not_done_is_refused() {
    cluster_refused(
        |c| c.transport_socket = Some(tls()),
        "transport_socket: not supported by evenkeel",
    );
    let mut listener = listener_message();
    listener.filter_chains[0].transport_socket = Some(tls());
    refused(
        &listener,
        "filter_chains[0].transport_socket: not supported by evenkeel",
    );
}

#[test]
fn what_steers_traffic_and_is_not_done_is_refused() {
    cluster_refused(
        |c| c.lb_subset_config = Some(<_>::default()),
        "lb_subset_config: not supp",
    );
    cluster_refused(
        |c| c.health_checks = vec![<_>::default()],
        "health_checks[0].health_checker: is missing",
    );
    cluster_refused(|c| c.filters = vec![<_>::default()], "filters: not supp");
    let mirrored = forward_with(|a| a.request_mirror_policies = vec![<_>::default()]);
    let path = "virtual_hosts[0].routes[0].route.request_mirror_policies: not supported";
    refused(&mirrored, path);
    refused(
        &forward_with(|a| a.metadata_match = Some(<_>::default())),
        "virtual_hosts[0].routes[0].route.metadata_match: not supported",
    );
    assignment_refused(
        |a| a.endpoints[0].priority = 1,
        "endpoints[0].priority: not supported",
    );
}

#[test]
fn unknown_filters_are_refused_unless_they_are_optional() {
    let filter = |is_optional, disabled| hcm::HttpFilter {
        name: "envoy.filters.http.jwt_authn".to_owned(),
        is_optional,
        disabled,
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pb::Any {
            type_url: "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.X".to_owned(),
            value: Vec::new(),
        })),
    };
    let with = |filter| listener_with(|m| m.http_filters.insert(0, filter));
    refused(
        &with(filter(false, false)),
        "filter_chains[0].filters[0].typed_config.http_filters[0].name: invalid value",
    );
    for harmless in [filter(true, false), filter(false, true)] {
        let decoded = accepted(&with(harmless));
        assert_eq!(
            decoded.ignored,
            ["filter_chains[0].filters[0].typed_config.http_filters[0]"]
        );
    }
}

#[test]
fn the_router_comes_last() {
    let manager = "filter_chains[0].filters[0].typed_config";
    refused(
        &listener_with(|m| m.http_filters.clear()),
        &format!("{manager}.http_filters: must end with the router"),
    );
    refused(
        &listener_with(|m| m.http_filters.reverse()),
        &format!("{manager}.http_filters: the router must be the last"),
    );
}

#[test]
fn durations_are_neither_negative_nor_endless() {
    cluster_refused(
        |c| c.connect_timeout = seconds(-1),
        "connect_timeout: must not be negative",
    );
    cluster_refused(
        |c| c.connect_timeout = seconds(0),
        "connect_timeout: must be longer",
    );
    cluster_refused(
        |c| c.connect_timeout = seconds(i64::MAX),
        "connect_timeout: must be a dur",
    );
    let nanos = |nanos| Some(pb::Duration { seconds: 1, nanos });
    cluster_refused(
        |c| c.connect_timeout = nanos(i32::MAX),
        "connect_timeout: must be a dur",
    );
    cluster_refused(
        |c| c.connect_timeout = nanos(-1),
        "connect_timeout: must not be negative",
    );
}

#[test]
fn an_ejection_is_not_shorter_than_the_first() {
    cluster_refused(
        |c| {
            let outlier = c.outlier_detection.as_mut().unwrap();
            outlier.base_ejection_time = seconds(30);
            outlier.max_ejection_time = seconds(10);
        },
        "outlier_detection.max_ejection_time: must not be below",
    );
    cluster_refused(
        |c| {
            c.outlier_detection
                .as_mut()
                .unwrap()
                .enforcing_consecutive_5xx = number(50);
        },
        "outlier_detection.enforcing_consecutive_5xx: invalid value 50",
    );
    cluster_refused(
        |c| c.outlier_detection.as_mut().unwrap().max_ejection_percent = number(101),
        "outlier_detection.max_ejection_percent: invalid value 101",
    );
    cluster_refused(
        |c| {
            let outlier = c.outlier_detection.as_mut().unwrap();
            outlier.failure_percentage_threshold = number(101);
        },
        "outlier_detection.failure_percentage_threshold: invalid value 101",
    );
    cluster_refused(
        |c| c.outlier_detection.as_mut().unwrap().enforcing_success_rate = number(101),
        "outlier_detection.enforcing_success_rate: invalid value 101",
    );
}

#[test]
fn a_health_check_must_be_one_that_can_be_made() {
    use core::health_check::{HealthChecker, HttpHealthCheck, TcpHealthCheck};

    let tcp = || core::HealthCheck {
        timeout: seconds(1),
        interval: seconds(5),
        healthy_threshold: number(1),
        unhealthy_threshold: number(1),
        health_checker: Some(HealthChecker::TcpHealthCheck(TcpHealthCheck::default())),
        ..core::HealthCheck::default()
    };
    cluster_refused(
        |c| c.health_checks = vec![tcp(), tcp()],
        "health_checks: must be one at the most",
    );
    cluster_refused(
        |c| {
            let mut check = tcp();
            check.unhealthy_threshold = None;
            c.health_checks = vec![check];
        },
        "health_checks[0].unhealthy_threshold: is missing",
    );
    cluster_refused(
        |c| {
            let mut check = tcp();
            check.alt_port = number(1);
            c.health_checks = vec![check];
        },
        "health_checks[0].alt_port: not supported",
    );
    let http = |http| core::HealthCheck {
        health_checker: Some(HealthChecker::HttpHealthCheck(http)),
        ..tcp()
    };
    cluster_refused(
        |c| c.health_checks = vec![http(HttpHealthCheck::default())],
        "health_checks[0].http_health_check.path: invalid value",
    );
    cluster_refused(
        |c| {
            c.health_checks = vec![http(HttpHealthCheck {
                path: "/".to_owned(),
                expected_statuses: vec![units::Int64Range {
                    start: 200,
                    end: 200,
                }],
                ..HttpHealthCheck::default()
            })];
        },
        "health_checks[0].http_health_check.expected_statuses: must be ranges",
    );
}

#[test]
fn an_algorithm_must_be_known() {
    cluster_refused(
        |c| {
            c.load_balancing_policy = None;
            c.lb_policy = cds::cluster::LbPolicy::ClusterProvided.into();
        },
        "lb_policy: invalid value \"CLUSTER_PROVIDED\": not supported by evenkeel",
    );
    cluster_refused(
        |c| c.load_balancing_policy.as_mut().unwrap().policies.clear(),
        "load_balancing_policy.policies: holds no policy",
    );
}

#[test]
fn tables_for_hashes_must_be_possible() {
    use cds::cluster::{LbConfig, LbPolicy, MaglevLbConfig, RingHashLbConfig};

    let size = |value| Some(pb::UInt64Value { value });
    let old = |policy: LbPolicy, config: LbConfig, expected| {
        cluster_refused(
            |c| {
                c.load_balancing_policy = None;
                c.lb_policy = policy.into();
                c.lb_config = Some(config);
            },
            expected,
        );
    };
    let ring = |min, max, function| {
        LbConfig::RingHashLbConfig(RingHashLbConfig {
            minimum_ring_size: size(min),
            maximum_ring_size: size(max),
            hash_function: function,
        })
    };
    old(
        LbPolicy::RingHash,
        ring(0, 8, 0),
        "ring_hash_lb_config.minimum_ring_size: invalid value 0",
    );
    old(
        LbPolicy::RingHash,
        ring(9, 8, 0),
        "ring_hash_lb_config.minimum_ring_size: invalid value 9: must be at most",
    );
    old(
        LbPolicy::RingHash,
        ring(1, 8, 1),
        "ring_hash_lb_config.hash_function: not supported by evenkeel",
    );
    old(
        LbPolicy::Maglev,
        LbConfig::MaglevLbConfig(MaglevLbConfig {
            table_size: size(65_536),
        }),
        "maglev_lb_config.table_size: invalid value 65536: must be a prime",
    );
}

#[test]
fn what_is_hashed_must_be_known() {
    use rds::route_action::HashPolicy;
    use rds::route_action::hash_policy::{Cookie, FilterState, Header, PolicySpecifier};

    let refuses = |specifier: PolicySpecifier, expected: &str| {
        let message = forward_with(|action| {
            action.hash_policy = vec![HashPolicy {
                terminal: false,
                policy_specifier: Some(specifier),
            }];
        });
        let action = "virtual_hosts[0].routes[0].route";
        refused(&message, &format!("{action}.{expected}"));
    };
    let header = |name: &str| {
        PolicySpecifier::Header(Header {
            header_name: name.to_owned(),
            regex_rewrite: None,
        })
    };
    refuses(
        header("a b"),
        "hash_policy[0].header.header_name: invalid value",
    );
    refuses(
        header(":path"),
        "hash_policy[0].header.header_name: not supported by evenkeel",
    );
    refuses(
        PolicySpecifier::FilterState(FilterState::default()),
        "hash_policy[0].filter_state: not supported by evenkeel",
    );
    refuses(
        PolicySpecifier::Cookie(Cookie {
            name: "a;b".to_owned(),
            ..Cookie::default()
        }),
        "hash_policy[0].cookie.name: invalid value",
    );
}

#[test]
fn resources_come_on_the_stream_that_names_them() {
    cluster_refused(
        |c| c.eds_cluster_config.as_mut().unwrap().eds_config = None,
        "eds_cluster_config.eds_config: is missing",
    );
    cluster_refused(
        |c| {
            c.eds_cluster_config.as_mut().unwrap().eds_config = Some(core::ConfigSource {
                config_source_specifier: Some(
                    core::config_source::ConfigSourceSpecifier::ApiConfigSource(<_>::default()),
                ),
                ..core::ConfigSource::default()
            });
        },
        "eds_cluster_config.eds_config: not supported by evenkeel",
    );
    cluster_refused(
        |c| c.cluster_discovery_type = Some(cds::cluster::ClusterDiscoveryType::Type(2)),
        "type: invalid value \"LOGICAL_DNS\": not supported",
    );
}

/// A cluster whose endpoints are looked up, with a change.
#[track_caller]
fn dns_refused(change: impl FnOnce(&mut cds::Cluster), expected: &str) {
    let mut message = dns_cluster_message();
    change(&mut message);
    refused(&message, expected);
}

fn place_of(c: &mut cds::Cluster) -> &mut eds::LocalityLbEndpoints {
    &mut c.load_assignment.as_mut().unwrap().endpoints[0]
}

fn socket_of(c: &mut cds::Cluster) -> &mut core::SocketAddress {
    let Some(eds::lb_endpoint::HostIdentifier::Endpoint(endpoint)) =
        &mut place_of(c).lb_endpoints[0].host_identifier
    else {
        panic!("no endpoint");
    };
    let address = endpoint.address.as_mut().unwrap().address.as_mut();
    let Some(core::address::Address::SocketAddress(socket)) = address else {
        panic!("no socket address");
    };
    socket
}

#[test]
fn a_name_is_one_and_no_address() {
    let at = "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address";
    dns_refused(
        |c| socket_of(c).address = "10.0.0.1".to_owned(),
        &format!("{at}.address: invalid value \"10.0.0.1\": must be a host name"),
    );
    dns_refused(
        |c| socket_of(c).address = "a..b".to_owned(),
        &format!("{at}.address: invalid value \"a..b\": must be a host name"),
    );
    dns_refused(
        |c| {
            let port = core::socket_address::PortSpecifier::PortValue(0);
            socket_of(c).port_specifier = Some(port);
        },
        &format!("{at}.port_value: invalid value 0: must be at least 1"),
    );
    dns_refused(
        |c| socket_of(c).resolver_name = "mine".to_owned(),
        &format!("{at}.resolver_name: not supported by evenkeel"),
    );
    let rule = "load_assignment.endpoints: must hold exactly one endpoint";
    dns_refused(|c| place_of(c).lb_endpoints.clear(), rule);
    dns_refused(
        |c| {
            let twice = place_of(c).lb_endpoints[0].clone();
            place_of(c).lb_endpoints.push(twice);
        },
        rule,
    );
    dns_refused(|c| c.load_assignment = None, "load_assignment: is missing");
}

#[test]
#[expect(
    deprecated,
    reason = "Envoy's successor is an extension that other proxies do not know"
)]
fn lookups_are_neither_too_close_nor_of_an_unknown_kind() {
    dns_refused(
        |c| {
            c.dns_refresh_rate = Some(pb::Duration {
                seconds: 0,
                nanos: 1_000_000,
            });
        },
        "dns_refresh_rate: must be at least 500ms",
    );
    dns_refused(
        |c| c.dns_lookup_family = 9,
        "dns_lookup_family: invalid value 9: must be a known family",
    );
}

#[test]
fn endpoints_are_addresses_and_come_once() {
    let address = |text: &str, port| core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: text.to_owned(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port)),
            ..core::SocketAddress::default()
        })),
    };
    let place = |a: &mut eds::ClusterLoadAssignment, group: usize, to| {
        let endpoint = &mut a.endpoints[group].lb_endpoints[0];
        let Some(eds::lb_endpoint::HostIdentifier::Endpoint(inner)) = &mut endpoint.host_identifier
        else {
            panic!("no endpoint");
        };
        inner.address = Some(to);
    };
    let at = "endpoints[0].lb_endpoints[0].endpoint.address.socket_address";
    assignment_refused(
        |a| place(a, 0, address("db.internal", 80)),
        &format!("{at}.address: invalid value \"db.internal\": must be an IP address"),
    );
    assignment_refused(
        |a| place(a, 0, address("127.0.0.1", 0)),
        &format!("{at}.port_value: invalid value 0"),
    );
    assignment_refused(
        |a| place(a, 0, address("127.0.0.1", 65_536)),
        &format!("{at}.port_value: invalid value 65536"),
    );
    assignment_refused(
        |a| place(a, 1, address("127.0.0.1", 9001)),
        "endpoints: invalid value \"127.0.0.1:9001\": must not stand there twice",
    );
}

#[test]
fn weights_stay_within_their_sum() {
    assignment_refused(
        |a| a.endpoints[0].lb_endpoints[0].load_balancing_weight = number(0),
        "endpoints[0].lb_endpoints[0].load_balancing_weight: invalid value 0",
    );
    assignment_refused(
        |a| a.endpoints[0].lb_endpoints[0].load_balancing_weight = number(u32::MAX),
        "endpoints: the sum of load_balancing_weight",
    );
    let weighted = |weights: [u32; 2]| {
        forward_with(|action| {
            let clusters = weights.map(|weight| rds::weighted_cluster::ClusterWeight {
                name: "api".to_owned(),
                weight: number(weight),
                ..rds::weighted_cluster::ClusterWeight::default()
            });
            let clusters = rds::WeightedCluster {
                clusters: clusters.into(),
                ..rds::WeightedCluster::default()
            };
            action.cluster_specifier = Some(rds::route_action::ClusterSpecifier::WeightedClusters(
                clusters,
            ));
        })
    };
    let path = "virtual_hosts[0].routes[0].route.weighted_clusters.clusters: invalid value";
    refused(&weighted([0, 0]), path);
    refused(&weighted([u32::MAX, 1]), path);
    accepted(&weighted([u32::MAX, 0]));
}

#[test]
fn domains_come_once_and_have_a_shape() {
    let domains = |domains: &[&str]| {
        let mut table = table_message();
        table.virtual_hosts[0].domains = domains.iter().map(|&d| d.to_owned()).collect();
        table
    };
    refused(
        &domains(&["a.com", "A.com"]),
        "virtual_hosts[0].domains[1]: invalid value \"a.com\": already belongs",
    );
    for wrong in ["", "a.*.com", "**", "a b"] {
        let expected = format!("virtual_hosts[0].domains[0]: invalid value {wrong:?}");
        refused(&domains(&[wrong]), &expected);
    }
    refused(&domains(&[]), "virtual_hosts[0].domains: must not be empty");
}

#[test]
fn expressions_must_compile() {
    let with = |pattern: &str| {
        table_with(|route| {
            let regex = matcher::RegexMatcher {
                regex: pattern.to_owned(),
                engine_type: None,
            };
            route.r#match.as_mut().unwrap().path_specifier =
                Some(rds::route_match::PathSpecifier::SafeRegex(regex));
        })
    };
    let path = "virtual_hosts[0].routes[0].match.safe_regex: invalid value";
    for wrong in ["(", "a)(b", "(a{1000}){1000}"] {
        refused(&with(wrong), path);
    }
}

#[test]
fn header_fields_are_legal_and_hold_no_variables() {
    let with = |key: &str, value: &str| {
        table_with(|route| {
            route.request_headers_to_add = vec![core::HeaderValueOption {
                header: Some(core::HeaderValue {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    raw_value: Vec::new(),
                }),
                ..core::HeaderValueOption::default()
            }];
        })
    };
    let path = "virtual_hosts[0].routes[0].request_headers_to_add[0].header";
    refused(
        &with("x y", "v"),
        &format!("{path}.key: invalid value \"x y\""),
    );
    refused(&with(":path", "v"), &format!("{path}.key: not supported"));
    refused(
        &with("Host", "v"),
        &format!("{path}.key: invalid value \"host\""),
    );
    refused(
        &with("x", "a\r\nb"),
        &format!("{path}.value: invalid value"),
    );
    refused(
        &with("x", "%REQ(:path)%"),
        &format!("{path}.value: invalid value \"%REQ(:path)%\": variables are not supported"),
    );
}

#[test]
fn retries_wait_and_have_known_statuses() {
    let with = |policy: rds::RetryPolicy| forward_with(|a| a.retry_policy = Some(policy));
    let path = "virtual_hosts[0].routes[0].route.retry_policy";
    let back_off = |base, max| {
        with(rds::RetryPolicy {
            retry_back_off: Some(rds::retry_policy::RetryBackOff {
                base_interval: seconds(base),
                max_interval: seconds(max),
            }),
            ..rds::RetryPolicy::default()
        })
    };
    refused(
        &back_off(2, 1),
        &format!("{path}.retry_back_off.max_interval: must not be below"),
    );
    refused(
        &back_off(0, 1),
        &format!("{path}.retry_back_off.base_interval: must be longer"),
    );
    let status = with(rds::RetryPolicy {
        retriable_status_codes: vec![503, 700],
        ..rds::RetryPolicy::default()
    });
    refused(
        &status,
        &format!("{path}.retriable_status_codes[1]: invalid value 700"),
    );
}

#[test]
fn methods_are_a_list_of_methods() {
    let with = |pattern: &str| {
        table_with(|route| {
            let text = matcher::StringMatcher {
                ignore_case: false,
                match_pattern: Some(matcher::string_matcher::MatchPattern::SafeRegex(
                    matcher::RegexMatcher {
                        regex: pattern.to_owned(),
                        engine_type: None,
                    },
                )),
            };
            route.r#match.as_mut().unwrap().headers = vec![rds::HeaderMatcher {
                name: ":method".to_owned(),
                header_match_specifier: Some(
                    rds::header_matcher::HeaderMatchSpecifier::StringMatch(text),
                ),
                ..rds::HeaderMatcher::default()
            }];
        })
    };
    accepted(&with("GET|POST"));
    refused(
        &with("P.*"),
        "virtual_hosts[0].routes[0].match.headers[0]: not supported",
    );
    refused(
        &with("GET|"),
        "virtual_hosts[0].routes[0].match.headers[0]: invalid value \"\"",
    );
}

#[test]
fn a_listener_wide_rate_limit_is_refused() {
    let always = core::RuntimeFractionalPercent {
        default_value: Some(units::FractionalPercent {
            numerator: 100,
            denominator: 0,
        }),
        runtime_key: String::new(),
    };
    let limit = local_ratelimit::LocalRateLimit {
        stat_prefix: "all".to_owned(),
        token_bucket: Some(units::TokenBucket {
            max_tokens: 1,
            tokens_per_fill: number(1),
            fill_interval: seconds(1),
        }),
        filter_enabled: Some(always.clone()),
        filter_enforced: Some(always),
        ..local_ratelimit::LocalRateLimit::default()
    };
    let message = listener_with(|m| {
        m.http_filters[0].config_type =
            Some(hcm::http_filter::ConfigType::TypedConfig(pack_any(limit)));
    });
    refused(
        &message,
        "filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.token_bucket",
    );
}

#[test]
fn paths_that_would_be_merged_are_refused() {
    let manager = "filter_chains[0].filters[0].typed_config";
    refused(
        &listener_with(|m| m.merge_slashes = true),
        &format!("{manager}.merge_slashes"),
    );
    refused(
        &listener_with(|m| m.path_with_escaped_slashes_action = 4),
        &format!("{manager}.path_with_escaped_slashes_action"),
    );
}

#[test]
fn all_faults_are_reported_with_the_name() {
    let mut message = cluster_message();
    message.transport_socket = Some(tls());
    message.connect_timeout = seconds(-1);
    message.lb_subset_config = Some(<_>::default());
    let refused = read(&message).unwrap_err();
    assert_eq!(refused.name.as_deref(), Some("api"));
    assert_eq!(refused.faults.len(), 3, "{:#?}", refused.faults);
}

#[test]
fn what_cannot_be_read_has_no_name() {
    let refused = crate::xds::decode(crate::xds::ResourceType::Cluster, &[0xff]).unwrap_err();
    assert_eq!(refused.name, None);
    assert!(refused.faults[0].to_string().starts_with("cannot be read"));
}

#[test]
fn our_own_metadata_must_be_readable() {
    let mut message = listener_message();
    let metadata = message.metadata.as_mut().unwrap();
    metadata
        .filter_metadata
        .get_mut("evenkeel")
        .unwrap()
        .fields
        .clear();
    refused(
        &message,
        "metadata.filter_metadata[\"evenkeel\"]: must hold",
    );
}
