//! What clusters and hosts count.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Kind, Metric, Moment, Samples, level, read};
use crate::outcome::TlsFailure;
use crate::runtime::membership::cause_label;
use crate::upstream::cluster::{Cluster, ClusterCounts};
use crate::upstream::host::Host;

/// Hosts that have series of their own; with six series each, this bounds what
/// a scrape costs.
const SHOWN_HOSTS: usize = 1_000;

/// In the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "evenkeel_cluster_requests",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Requests that chose the cluster",
        read: |moment, out| counters(moment, out, |counts| read(&counts.requests)),
    },
    Metric {
        name: "evenkeel_cluster_retries",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Attempts after the first",
        read: |moment, out| counters(moment, out, |counts| read(&counts.retries)),
    },
    Metric {
        name: "evenkeel_cluster_retries_denied",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Retries that the retry budget forbade",
        read: |moment, out| counters(moment, out, |counts| read(&counts.retries_denied)),
    },
    Metric {
        name: "evenkeel_cluster_overflows",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Requests refused by a circuit breaker",
        read: |moment, out| counters(moment, out, |counts| read(&counts.overflows)),
    },
    Metric {
        name: "evenkeel_cluster_no_host",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Requests for which there was no host",
        read: |moment, out| counters(moment, out, |counts| read(&counts.no_host)),
    },
    Metric {
        name: "evenkeel_cluster_per_try_timeouts",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Attempts that took too long",
        read: |moment, out| counters(moment, out, |counts| read(&counts.per_try_timeouts)),
    },
    Metric {
        name: "evenkeel_upstream_tls_failures",
        kind: Kind::Counter,
        labels: &["cluster", "reason"],
        help: "Connections to the cluster's hosts on which TLS did not come about",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                for failure in TlsFailure::all() {
                    let place = failure.place();
                    let count = cluster.counts.sum(|c| read(&c.tls_failures[place]));
                    if count > 0 {
                        out.count(&[name, failure.label()], count);
                    }
                }
            });
        },
    },
    Metric {
        name: "evenkeel_cluster_requests_open",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Requests in progress to the cluster",
        read: |moment, out| gauges(moment, out, |cluster| &cluster.gauges.requests),
    },
    Metric {
        name: "evenkeel_cluster_pending",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Requests that wait for a connection to the cluster",
        read: |moment, out| gauges(moment, out, |cluster| &cluster.gauges.pending),
    },
    Metric {
        name: "evenkeel_cluster_connections_open",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Connections open to the cluster",
        read: |moment, out| gauges(moment, out, |cluster| &cluster.gauges.connections),
    },
    Metric {
        name: "evenkeel_cluster_hosts",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Hosts of the cluster",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                out.level(&[name], level(cluster.hosts.load().members.len() as u64));
            });
        },
    },
    Metric {
        name: "evenkeel_cluster_hosts_ejected",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Hosts that outlier detection has taken out",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                let ejected = cluster.membership.lock().ejected();
                out.level(&[name], level(ejected as u64));
            });
        },
    },
    Metric {
        name: "evenkeel_cluster_hosts_failing_checks",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Hosts that health checks keep out, those that wait for their first included",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                let failing = cluster.membership.lock().failing_checks();
                out.level(&[name], level(failing as u64));
            });
        },
    },
    Metric {
        name: "evenkeel_health_checks",
        kind: Kind::Counter,
        labels: &["cluster", "result"],
        help: "Health checks of the cluster's hosts, by result: success or failure",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                let [good, bad] = cluster.membership.lock().checks_total;
                if good + bad > 0 {
                    out.count(&[name, "success"], good);
                    out.count(&[name, "failure"], bad);
                }
            });
        },
    },
    Metric {
        name: "evenkeel_cluster_panic",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "1 while health is ignored because too few hosts are healthy",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                let panic = u64::from(cluster.hosts.load().panic);
                out.level(&[name], level(panic));
            });
        },
    },
    Metric {
        name: "evenkeel_ejections",
        kind: Kind::Counter,
        labels: &["cluster", "cause"],
        help: "Hosts taken out, by detector",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                for (cause, count) in &cluster.membership.lock().ejected_total {
                    out.count(&[name, cause_label(*cause)], *count);
                }
            });
        },
    },
    Metric {
        name: "evenkeel_ejections_overflow",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Times that a failing host stayed because too many were out",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                let count = cluster.membership.lock().overflow_total;
                out.count(&[name], count);
            });
        },
    },
    Metric {
        name: "evenkeel_ejections_spared",
        kind: Kind::Counter,
        labels: &["cluster", "cause"],
        help: "Times that a host stood out and stayed because its detector is not always enforced",
        read: |moment, out| {
            each_cluster(moment, |name, cluster| {
                for (cause, count) in &cluster.membership.lock().spared_total {
                    out.count(&[name, cause_label(*cause)], *count);
                }
            });
        },
    },
    Metric {
        name: "evenkeel_host_requests",
        kind: Kind::Counter,
        labels: &["cluster", "host"],
        help: "Attempts sent to a host",
        read: |moment, out| {
            host_counters(moment, out, |host| host.counts.sum(|c| read(&c.requests)));
        },
    },
    Metric {
        name: "evenkeel_host_failures",
        kind: Kind::Counter,
        labels: &["cluster", "host"],
        help: "Attempts at a host that failed",
        read: |moment, out| {
            host_counters(moment, out, |host| host.counts.sum(|c| read(&c.failures)));
        },
    },
    Metric {
        name: "evenkeel_host_connect_failures",
        kind: Kind::Counter,
        labels: &["cluster", "host"],
        help: "Connections to a host that did not come about",
        read: |moment, out| {
            host_counters(moment, out, |host| {
                host.counts.sum(|c| read(&c.connect_failures))
            });
        },
    },
    Metric {
        name: "evenkeel_host_in_flight",
        kind: Kind::Gauge,
        labels: &["cluster", "host"],
        help: "Requests in progress at a host",
        read: |moment, out| {
            each_host(moment, |cluster, address, host| {
                let number = host.shared.in_flight.load(Ordering::Relaxed);
                out.level(&[cluster, address], f64::from(number));
            });
        },
    },
    Metric {
        name: "evenkeel_host_latency_seconds",
        kind: Kind::Gauge,
        labels: &["cluster", "host"],
        help: "What an attempt at a host is taken to cost, where that decides who is asked",
        read: |moment, out| {
            each_host(moment, |cluster, address, host| {
                if let Some(latency) = host.shared.latency.known() {
                    out.level(&[cluster, address], latency.as_secs_f64());
                }
            });
        },
    },
    Metric {
        name: "evenkeel_host_connections",
        kind: Kind::Gauge,
        labels: &["cluster", "host"],
        help: "Connections open to a host",
        read: |moment, out| {
            each_host(moment, |cluster, address, host| {
                let number = host.shared.connections.load(Ordering::Relaxed);
                out.level(&[cluster, address], f64::from(number));
            });
        },
    },
    Metric {
        name: "evenkeel_hosts_without_series",
        kind: Kind::Gauge,
        labels: &[],
        help: "Hosts beyond the first thousand, which have no series of their own",
        read: |moment, out| {
            let hosts: usize = moment
                .snapshot
                .clusters
                .values()
                .map(|cluster| cluster.hosts.load().members.len())
                .sum();
            out.level(&[], level(hosts.saturating_sub(SHOWN_HOSTS) as u64));
        },
    },
];

fn counters(moment: &Moment<'_>, out: &mut Samples, number: fn(&ClusterCounts) -> u64) {
    each_cluster(moment, |name, cluster| {
        out.count(&[name], cluster.counts.sum(number));
    });
}

fn gauges(moment: &Moment<'_>, out: &mut Samples, number: fn(&Cluster) -> &AtomicU32) {
    each_cluster(moment, |name, cluster| {
        let open = number(cluster).load(Ordering::Relaxed);
        out.level(&[name], f64::from(open));
    });
}

fn host_counters(moment: &Moment<'_>, out: &mut Samples, number: impl Fn(&Host) -> u64) {
    each_host(moment, |cluster, address, host| {
        out.count(&[cluster, address], number(host));
    });
}

fn each_cluster(moment: &Moment<'_>, mut each: impl FnMut(&str, &Cluster)) {
    for (name, cluster) in &moment.snapshot.clusters {
        each(name.as_str(), cluster);
    }
}

/// Goes through the hosts that have series of their own.
fn each_host(moment: &Moment<'_>, mut each: impl FnMut(&str, &str, &Host)) {
    let mut room = SHOWN_HOSTS;
    for (name, cluster) in &moment.snapshot.clusters {
        let hosts = cluster.hosts.load();
        for member in hosts.members.iter().take(room) {
            each(
                name.as_str(),
                &member.host.address.to_string(),
                &member.host,
            );
        }
        room = room.saturating_sub(hosts.members.len());
    }
}
