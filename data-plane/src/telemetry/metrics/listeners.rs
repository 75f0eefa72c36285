//! What listeners and routes count.

use std::collections::BTreeMap;

use super::{Kind, Metric, Moment, Samples, Value, bounds, level, read};
use crate::runtime::snapshot::{Listener, ListenerCounts, RouteCounts};
use crate::telemetry::counters::Sharded;
use crate::telemetry::handshakes::{REASONS, VERSIONS};

/// Status classes by the place of their counter.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// In the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "evenkeel_requests",
        kind: Kind::Counter,
        labels: &["listener", "route", "code"],
        help: "Requests that a route took, by class of the status sent; none is no answer",
        read: |moment, out| {
            each_route(moment, |listener, route, counts| {
                for (place, class) in CLASSES.iter().enumerate() {
                    let count = counts.sum(|shard| read(&shard.answers[place]));
                    if count > 0 {
                        out.count(&[listener, route, class], count);
                    }
                }
            });
        },
    },
    Metric {
        name: "evenkeel_request_duration_seconds",
        kind: Kind::Histogram,
        labels: &["listener", "route"],
        help: "Time from a request's header to the end of its answer",
        read: |moment, out| {
            each_route(moment, |listener, route, counts| {
                let buckets = bounds()
                    .enumerate()
                    .map(|(place, bound)| (bound, counts.sum(|shard| read(&shard.latency[place]))));
                let micros = counts.sum(|shard| read(&shard.latency_sum_us));
                let value = Value::Times {
                    sum: level(micros) / 1_000_000.0,
                    buckets: buckets.collect(),
                };
                out.add(&[listener, route], value);
            });
        },
    },
    Metric {
        name: "evenkeel_rate_limited",
        kind: Kind::Counter,
        labels: &["listener", "route"],
        help: "Requests refused by the rate limit of a route",
        read: |moment, out| {
            each_route(moment, |listener, route, counts| {
                let count = counts.sum(|shard| read(&shard.rate_limited));
                out.count(&[listener, route], count);
            });
        },
    },
    Metric {
        name: "evenkeel_listener_requests",
        kind: Kind::Counter,
        labels: &["listener", "code"],
        help: "All requests of a listener, also those without a route",
        read: |moment, out| {
            for (name, listener) in &moment.snapshot.listeners {
                for (place, class) in CLASSES.iter().enumerate() {
                    let count = listener
                        .front
                        .counts
                        .sum(|shard| read(&shard.answers[place]));
                    if count > 0 {
                        out.count(&[name.as_str(), class], count);
                    }
                }
            }
        },
    },
    Metric {
        name: "evenkeel_requests_open",
        kind: Kind::Gauge,
        labels: &["listener"],
        help: "Requests in progress",
        read: |moment, out| {
            levels(moment, out, |counts| read(&counts.requests_open));
        },
    },
    Metric {
        name: "evenkeel_connections",
        kind: Kind::Counter,
        labels: &["listener"],
        help: "Connections accepted from clients",
        read: |moment, out| {
            counters(moment, out, |counts| read(&counts.connections));
        },
    },
    Metric {
        name: "evenkeel_connections_refused",
        kind: Kind::Counter,
        labels: &["listener"],
        help: "Connections closed at once because there were too many",
        read: |moment, out| {
            counters(moment, out, |counts| read(&counts.connections_refused));
        },
    },
    Metric {
        name: "evenkeel_proxy_protocol_failures",
        kind: Kind::Counter,
        labels: &["listener"],
        help: "Connections closed because the PROXY protocol header was missing, malformed or late",
        read: |moment, out| {
            counters(moment, out, |counts| read(&counts.proxy_protocol_failures));
        },
    },
    Metric {
        name: "evenkeel_tls_handshakes",
        kind: Kind::Counter,
        labels: &["listener", "version", "resumed"],
        help: "TLS handshakes with clients that succeeded",
        read: |moment, out| {
            for (name, listener) in &moment.snapshot.listeners {
                for (place, version) in VERSIONS.iter().enumerate() {
                    for resumed in [false, true] {
                        let count = listener.front.counts.sum(|shard| {
                            read(&shard.handshakes.complete[place][usize::from(resumed)])
                        });
                        if count > 0 {
                            let resumed = if resumed { "true" } else { "false" };
                            out.count(&[name.as_str(), version, resumed], count);
                        }
                    }
                }
            }
        },
    },
    Metric {
        name: "evenkeel_tls_handshake_failures",
        kind: Kind::Counter,
        labels: &["listener", "reason"],
        help: "TLS handshakes with clients that failed, by reason",
        read: |moment, out| {
            for (name, listener) in &moment.snapshot.listeners {
                for (place, reason) in REASONS.iter().enumerate() {
                    let failed = |shard: &ListenerCounts| read(&shard.handshakes.failed[place]);
                    let count = listener.front.counts.sum(failed);
                    if count > 0 {
                        out.count(&[name.as_str(), reason], count);
                    }
                }
            }
        },
    },
    Metric {
        name: "evenkeel_connections_open",
        kind: Kind::Gauge,
        labels: &["listener"],
        help: "Connections of clients open now",
        read: |moment, out| {
            levels(moment, out, |counts| read(&counts.connections_open));
        },
    },
];

fn counters(moment: &Moment<'_>, out: &mut Samples, number: fn(&ListenerCounts) -> u64) {
    for (name, listener) in &moment.snapshot.listeners {
        out.count(&[name.as_str()], listener.front.counts.sum(number));
    }
}

fn levels(moment: &Moment<'_>, out: &mut Samples, number: fn(&ListenerCounts) -> u64) {
    for (name, listener) in &moment.snapshot.listeners {
        out.level(&[name.as_str()], level(listener.front.counts.sum(number)));
    }
}

/// Goes through the routes of each listener; those of one name count together.
fn each_route(moment: &Moment<'_>, mut each: impl FnMut(&str, &str, &Sharded<RouteCounts>)) {
    for (name, listener) in &moment.snapshot.listeners {
        for (route, counts) in routes(listener) {
            each(name.as_str(), route, counts);
        }
    }
}

fn routes(listener: &Listener) -> BTreeMap<&str, &Sharded<RouteCounts>> {
    let routes = listener.routes.iter();
    routes
        .map(|route| (route.spec.name.as_str(), route.counts.as_ref()))
        .collect()
}
