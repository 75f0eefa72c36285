//! Arbitrary valid resources.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::tls_strategies::{downstream_tls, networks, proxy_protocol, upstream_tls};
use crate::ir::*;
use crate::units::Percent;
use crate::xds::Resource;

pub(super) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        listener().prop_map(Resource::Listener),
        route_table().prop_map(Resource::RouteTable),
        cluster().prop_map(Resource::Cluster),
        assignment().prop_map(Resource::Assignment),
        super::tls_strategies::secret().prop_map(Resource::Secret),
        any::<u64>().prop_map(|revision| Resource::RemovalGrant { revision }),
    ]
}

pub(super) fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_./:ü-]{1,12}"
}

/// At least a nanosecond, at most some thirty years.
pub(super) fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1_u64..1_000_000_000_000_000_000).prop_map(Duration::from_nanos),
        (1_u64..100_000).prop_map(Duration::from_millis),
    ]
}

fn ordered_durations() -> impl Strategy<Value = (Duration, Duration)> {
    (duration(), duration()).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn percent() -> impl Strategy<Value = Percent> {
    (0_u32..=1_000_000).prop_map(|n| Percent::from_millionths(n).unwrap())
}

fn address(ports: std::ops::RangeInclusive<u16>) -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), ports).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

pub(super) fn listener() -> impl Strategy<Value = Listener> {
    let protocol = prop_oneof![
        Just(HttpProtocol::Auto),
        Just(HttpProtocol::Http1),
        Just(HttpProtocol::Http2)
    ];
    let routes = prop_oneof![
        name().prop_map(|name| RouteSource::Named(name.as_str().into())),
        route_table().prop_map(RouteSource::Inline)
    ];
    let timeouts = (
        option::of(duration()),
        option::of(duration()),
        option::of(duration()),
    )
        .prop_map(|(header, idle, stream_idle)| Timeouts {
            header,
            idle,
            stream_idle,
        });
    let rest = (
        any::<u32>(),
        vec("[a-z]{1,5}(/[0-9.]{1,3})?", 0..3),
        option::of("/[a-z/]{1,9}"),
        percent(),
    )
        .prop_filter("CONNECT is no upgrade", |(_, upgrades, _, _)| {
            !upgrades.iter().any(|name| name == "connect")
        });
    let edge = (option::of(downstream_tls()), networks(), networks());
    (
        name(),
        address(0..=u16::MAX),
        protocol,
        routes,
        timeouts,
        limits(),
        rest,
        edge,
    )
        .prop_map(
            |(name, address, protocol, routes, timeouts, limits, rest, edge)| {
                let (trusted_hops, upgrades, path, trace_sampling) = rest;
                let (tls, proxy_protocol_from, trusted_addresses) = edge;
                Listener {
                    tls,
                    proxy_protocol_from,
                    trusted_addresses,
                    name: name.as_str().into(),
                    address,
                    protocol,
                    routes,
                    timeouts,
                    limits,
                    trusted_hops,
                    upgrades,
                    access_log: path.map(|path| AccessLog { path }),
                    trace_sampling,
                }
            },
        )
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        any::<u32>(),
        1_u32..=8192 * 1024,
        1_u32..,
        option::of(any::<u64>()),
        1_u32..=i32::MAX as u32,
    )
        .prop_map(
            |(connections, header_bytes, headers, body_bytes, concurrent_streams)| Limits {
                connections,
                header_bytes,
                headers,
                body_bytes,
                concurrent_streams,
            },
        )
}

/// Domains are drawn as a set and dealt to hosts, so that none comes twice.
pub(super) fn route_table() -> impl Strategy<Value = RouteTable> {
    let hosts = btree_set(domain(), 0..6).prop_flat_map(|domains| {
        let domains: Vec<Domain> = domains.into_iter().collect();
        let groups: Vec<Vec<Domain>> = domains.chunks(2).map(<[Domain]>::to_vec).collect();
        let routes = vec(vec(route(), 0..4), groups.len());
        (Just(groups), routes, name())
    });
    (name(), hosts, any::<bool>()).prop_map(|(name, (groups, routes, stem), ignore_port)| {
        RouteTable {
            name: name.as_str().into(),
            hosts: groups
                .into_iter()
                .zip(routes)
                .enumerate()
                .map(|(index, (domains, routes))| VirtualHost {
                    name: format!("{stem}{index}"),
                    domains,
                    routes,
                })
                .collect(),
            ignore_port,
        }
    })
}

fn domain() -> impl Strategy<Value = Domain> {
    prop_oneof![
        "[a-z0-9.-]{1,9}(:[0-9]{1,4})?".prop_map(Domain::Exact),
        "[.-][a-z0-9.-]{1,9}".prop_map(Domain::Suffix),
        "[a-z0-9-]{1,9}[.-]".prop_map(Domain::Prefix),
        Just(Domain::Any)
    ]
}

fn route() -> impl Strategy<Value = Route> {
    (
        name(),
        route_match(),
        action(),
        header_edits(),
        header_edits(),
        option::of(rate_limit()),
    )
        .prop_map(
            |(name, matches, mut action, request_headers, response_headers, rate_limit)| {
                replace_only_what_matches(&mut action, &matches.path);
                Route {
                    name,
                    matches,
                    action,
                    request_headers,
                    response_headers,
                    rate_limit,
                }
            },
        )
}

/// A prefix can be replaced only where one matches.
fn replace_only_what_matches(action: &mut Action, path: &PathMatch) {
    let rewrite = match action {
        Action::Forward(forward) => &mut forward.path_rewrite,
        Action::Redirect(redirect) => &mut redirect.path,
        Action::Respond(_) => return,
    };
    if matches!(path, PathMatch::Exact(_) | PathMatch::Regex(_))
        && matches!(rewrite, Some(PathRewrite::Prefix(_)))
    {
        *rewrite = None;
    }
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let path = prop_oneof![
        "/[a-z0-9/.]{0,9}".prop_map(PathMatch::Exact),
        "/[a-z0-9/.]{0,9}".prop_map(PathMatch::Prefix),
        "/[a-z0-9/.]{0,9}[a-z0-9.]".prop_map(PathMatch::Segments),
        pattern().prop_map(PathMatch::Regex),
    ];
    let query = (
        name(),
        prop_oneof![
            any::<bool>().prop_map(QueryTest::Present),
            string_match().prop_map(QueryTest::Value)
        ],
    )
        .prop_map(|(name, test)| QueryMatch { name, test });
    let methods = btree_set("[A-Z!#$%&'*+.^_`|~-]{1,6}", 0..4);
    (path, methods, vec(header_match(), 0..3), vec(query, 0..3)).prop_map(
        |(path, methods, headers, query)| RouteMatch {
            path,
            methods: methods.into_iter().collect(),
            headers,
            query,
        },
    )
}

fn header_match() -> impl Strategy<Value = HeaderMatch> {
    let test = prop_oneof![
        any::<bool>().prop_map(HeaderTest::Present),
        string_match().prop_map(HeaderTest::Value)
    ];
    (field_name(), test, any::<bool>()).prop_map(|(name, test, invert)| HeaderMatch {
        name,
        test,
        invert,
    })
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/api/v[0-9]+/.*".to_owned()),
        Just("(?i)/shop|/cart".to_owned()),
        "[a-z/.*]{0,1}[a-z]{1,9}[+?]?"
            .prop_filter("must compile", |text| regex::Regex::new(text).is_ok()),
    ]
}

pub(super) fn string_match() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        ".{0,9}".prop_map(StringMatch::Exact),
        ".{1,9}".prop_map(StringMatch::Prefix),
        ".{1,9}".prop_map(StringMatch::Suffix),
        ".{1,9}".prop_map(StringMatch::Contains),
        pattern().prop_map(StringMatch::Regex),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => forward().prop_map(|forward| Action::Forward(Box::new(forward))),
        1 => redirect().prop_map(Action::Redirect),
        1 => (200_u16..600, prop_oneof![".{0,20}", "[ -~]{4000,5000}"])
            .prop_map(|(status, body)| Action::Respond(Respond { status, body })),
    ]
}

fn path_rewrite() -> impl Strategy<Value = PathRewrite> {
    prop_oneof![
        "(/[a-z0-9%\\\\]{0,9})?".prop_map(PathRewrite::Prefix),
        "/[a-z0-9%\\\\$]{0,9}".prop_map(PathRewrite::Full),
    ]
}

fn host() -> impl Strategy<Value = String> {
    "[a-z0-9.-]{1,9}(:[0-9]{1,4})?"
}

fn forward() -> impl Strategy<Value = Forward> {
    let clusters = vec((name(), 0_u32..1_000_000), 1..4)
        .prop_filter("some weight", |parts| parts.iter().any(|(_, w)| *w > 0))
        .prop_map(|parts| {
            parts
                .into_iter()
                .map(|(name, weight)| WeightedCluster {
                    name: name.as_str().into(),
                    weight,
                })
                .collect()
        });
    (
        clusters,
        option::of(duration()),
        option::of(duration()),
        option::of(retry()),
        option::of(path_rewrite()),
        option::of(host()),
        vec(hash_policy(), 0..3),
    )
        .prop_map(
            |(clusters, timeout, per_try_timeout, retry, path_rewrite, host_rewrite, hashed)| {
                Forward {
                    clusters,
                    timeout,
                    per_try_timeout,
                    retry,
                    path_rewrite,
                    host_rewrite,
                    hash_policy: hashed,
                }
            },
        )
}

/// Boxed, because the stack of a test is small.
fn hash_policy() -> BoxedStrategy<HashPolicy> {
    let path = option::of("/[a-z]{0,9}");
    let cookie = ("[A-Za-z]{1,9}", option::of(duration()), path)
        .prop_map(|(name, ttl, path)| HashSource::Cookie(HashCookie { name, ttl, path }));
    let source = prop_oneof![
        "[a-z][a-z-]{0,9}".prop_map(HashSource::Header),
        cookie,
        Just(HashSource::ClientAddress),
        "[a-z]{1,9}".prop_map(HashSource::Query)
    ];
    (source, any::<bool>())
        .prop_map(|(source, terminal)| HashPolicy { source, terminal })
        .boxed()
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let conditions: Vec<RetryCondition> = crate::xds::wire::RETRY_TOKENS
        .iter()
        .map(|(condition, _)| *condition)
        .collect();
    (
        btree_set(proptest::sample::select(conditions), 1..5),
        btree_set(100_u16..600, 0..4),
        any::<u32>(),
        ordered_durations(),
        any::<bool>(),
    )
        .prop_map(
            |(on, status_codes, retries, (base, max), avoid_previous_hosts)| RetryPolicy {
                on,
                status_codes,
                retries,
                backoff: Backoff { base, max },
                avoid_previous_hosts,
            },
        )
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let scheme = prop_oneof![Just("http".to_owned()), Just("https".to_owned())];
    (
        option::of(scheme),
        option::of(host()),
        option::of(1_u16..),
        option::of(path_rewrite()),
        proptest::sample::select(vec![301_u16, 302, 303, 307, 308]),
    )
        .prop_map(|(scheme, host, port, path, status)| Redirect {
            scheme,
            host,
            port,
            path,
            status,
        })
}

fn field_name() -> impl Strategy<Value = String> {
    "x-[a-z0-9_.]{1,9}"
}

fn header_edits() -> impl Strategy<Value = HeaderEdits> {
    let value = || "[ -~\t]{0,9}";
    (
        vec(field_name(), 0..3),
        btree_map(field_name(), value(), 0..3),
        vec((field_name(), value()), 0..3),
    )
        .prop_map(|(remove, set, add)| {
            let field = |(name, value)| HeaderValue { name, value };
            HeaderEdits {
                remove,
                set: set.into_iter().map(field).collect(),
                add: add.into_iter().map(field).collect(),
            }
        })
}

fn rate_limit() -> impl Strategy<Value = RateLimit> {
    let key = prop_oneof![
        Just(RateLimitKey::ClientAddress),
        field_name().prop_map(RateLimitKey::Header)
    ];
    (1_u32.., duration(), 1_u32.., option::of(key)).prop_map(|(tokens, per, burst, key)| {
        RateLimit {
            tokens,
            per,
            burst,
            key,
        }
    })
}

/// Boxed, because the stack of a test is small.
fn lb_policy() -> BoxedStrategy<LbPolicy> {
    prop_oneof![
        Just(LbPolicy::RoundRobin),
        (duration(), duration()).prop_map(|(decay, failure_penalty)| {
            LbPolicy::PeakEwma(PeakEwma {
                decay,
                failure_penalty,
            })
        }),
        (2_u32..).prop_map(|choices| LbPolicy::LeastRequest { choices }),
        Just(LbPolicy::LeastRequestFullScan),
        Just(LbPolicy::Random),
        (1_u32..5_000, 5_000_u32..8_000_000, option::of(100_u32..)).prop_map(
            |(min_size, max_size, balance_factor)| LbPolicy::RingHash(RingHash {
                min_size,
                max_size,
                balance_factor,
            })
        ),
        (
            proptest::sample::select(vec![2_u32, 251, 65_537, 5_000_011]),
            option::of(100_u32..)
        )
            .prop_map(|(table_size, balance_factor)| LbPolicy::Maglev(Maglev {
                table_size,
                balance_factor,
            }))
    ]
    .boxed()
}

pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    let discovery = prop_oneof![
        name().prop_map(|name| Discovery::Named(name.as_str().into())),
        assignment().prop_map(Discovery::Inline),
        dns_target().prop_map(Discovery::Dns)
    ];
    let protocol = prop_oneof![Just(UpstreamProtocol::Http1), Just(UpstreamProtocol::Http2)];
    let load_balancing =
        (lb_policy(), percent()).prop_map(|(policy, panic_threshold)| LoadBalancing {
            policy,
            panic_threshold,
        });
    let connection = (
        option::of(any::<u32>()),
        duration(),
        option::of(duration()),
        option::of(1_u32..),
    )
        .prop_map(
            |(max, connect_timeout, idle_timeout, max_requests)| Connection {
                max,
                connect_timeout,
                idle_timeout,
                max_requests,
            },
        );
    (
        name(),
        discovery,
        protocol,
        load_balancing,
        breakers(),
        // On the heap: the strategy of all resources lives on a small stack.
        (option::of(outlier()), option::of(health_check())).boxed(),
        connection,
        (option::of(upstream_tls()), option::of(proxy_protocol())),
    )
        .prop_map(
            |(name, discovery, protocol, load_balancing, breakers, health, connection, socket)| {
                Cluster {
                    tls: socket.0,
                    proxy_protocol: socket.1,
                    name: name.as_str().into(),
                    discovery,
                    protocol,
                    load_balancing,
                    breakers,
                    outlier: health.0,
                    health_check: health.1,
                    connection,
                }
            },
        )
}

fn dns_target() -> impl Strategy<Value = DnsTarget> {
    let family = prop_oneof![
        Just(DnsFamily::All),
        Just(DnsFamily::V4),
        Just(DnsFamily::V6)
    ];
    (
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}\\.?",
        1_u16..,
        0_u64..1_000_000,
        any::<bool>(),
        family,
    )
        .prop_map(|(host, port, more, respect_ttl, family)| DnsTarget {
            host,
            port,
            refresh: DnsTarget::MIN_REFRESH + Duration::from_millis(more),
            respect_ttl,
            family,
        })
}

fn breakers() -> impl Strategy<Value = Breakers> {
    let retries = (percent(), any::<u32>(), option::of(any::<u32>())).prop_map(
        |(share, min_concurrency, min_per_second)| RetryBudget {
            share,
            min_concurrency,
            min_per_second,
        },
    );
    (any::<u32>(), any::<u32>(), any::<u32>(), retries).prop_map(
        |(connections, pending, requests, retries)| Breakers {
            connections,
            pending,
            requests,
            retries,
        },
    )
}

fn outlier() -> impl Strategy<Value = Outlier> {
    let threshold = || prop_oneof![Just(0_u32), 1_u32..];
    (
        (threshold(), threshold(), threshold()),
        any::<(bool, bool, bool)>(),
        duration(),
        ordered_durations(),
        0_u32..=100,
        comparing(),
    )
        .prop_map(
            |(thresholds, switches, interval, times, max_ejection_percent, comparing)| Outlier {
                success_rate: comparing.0,
                failure_percentage: comparing.1,
                latency: comparing.2,
                return_when_healthy: switches.2,
                consecutive_5xx: thresholds.0,
                consecutive_gateway_failure: thresholds.1,
                consecutive_local_origin_failure: thresholds.2,
                split_local_origin: switches.0,
                interval,
                base_ejection_time: times.0,
                max_ejection_time: times.1,
                max_ejection_percent,
                always_eject_one: switches.1,
            },
        )
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let protocol = prop_oneof![Just(UpstreamProtocol::Http1), Just(UpstreamProtocol::Http2)];
    let statuses = (100_u16..600, 100_u16..600).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let host = || option::of("[a-z.]{1,9}");
    let http = (protocol, host(), "/[a-z/?=]{0,9}", vec(statuses, 1..3)).prop_map(
        |(protocol, host, path, expected)| Probe::Http {
            protocol,
            host,
            path,
            expected,
        },
    );
    let grpc = ("[a-zA-Z.]{0,9}", host())
        .prop_map(|(service, authority)| Probe::Grpc { service, authority });
    let probe = prop_oneof![http, Just(Probe::Tcp), grpc];
    (
        probe,
        duration(),
        duration(),
        any::<u32>(),
        duration(),
        1_u32..,
        1_u32..,
    )
        .prop_map(
            |(
                probe,
                interval,
                no_traffic_interval,
                jitter_percent,
                timeout,
                healthy,
                unhealthy,
            )| {
                HealthCheck {
                    probe,
                    interval,
                    no_traffic_interval,
                    jitter_percent,
                    timeout,
                    healthy_threshold: healthy,
                    unhealthy_threshold: unhealthy,
                }
            },
        )
}

type Comparing = (
    Option<SuccessRate>,
    Option<FailurePercentage>,
    Option<LatencyOutlier>,
);

fn comparing() -> impl Strategy<Value = Comparing> {
    let share = || 0_u32..=100;
    let rate =
        (any::<[u32; 3]>(), share(), share()).prop_map(|(numbers, all, local)| SuccessRate {
            minimum_hosts: numbers[0],
            request_volume: numbers[1],
            stdev_factor: numbers[2],
            enforcing: all,
            enforcing_local_origin: local,
        });
    let failures = (share(), any::<[u32; 2]>(), share(), share()).prop_map(
        |(threshold, numbers, enforcing, enforcing_local_origin)| FailurePercentage {
            threshold,
            minimum_hosts: numbers[0],
            request_volume: numbers[1],
            enforcing,
            enforcing_local_origin,
        },
    );
    let latency = (any::<[u32; 3]>(), duration(), share()).prop_map(
        |(numbers, minimum_difference, enforcing)| LatencyOutlier {
            minimum_hosts: numbers[0],
            request_volume: numbers[1],
            mad_factor: numbers[2],
            minimum_difference,
            enforcing,
        },
    );
    (option::of(rate), option::of(failures), option::of(latency))
}

pub(super) fn assignment() -> impl Strategy<Value = Assignment> {
    let place = ("[a-c]?", "[a-c]?", "[a-c]?").prop_map(|(region, zone, sub_zone)| Locality {
        region,
        zone,
        sub_zone,
    });
    let health = prop_oneof![
        Just(Health::Healthy),
        Just(Health::Unhealthy),
        Just(Health::Draining)
    ];
    let endpoints = btree_map(
        address(1..=u16::MAX),
        (1_u32..100_000_000, health, place),
        0..9,
    );
    (name(), endpoints).prop_map(|(name, endpoints)| Assignment {
        name: name.as_str().into(),
        endpoints: endpoints
            .into_iter()
            .map(|(address, (weight, health, locality))| Endpoint {
                address,
                weight,
                health,
                locality,
            })
            .collect(),
    })
}
