//! What looking up the names of clusters counts.

use evenkeel_shared::ir;

use super::{Kind, Metric, Moment, Samples, level};
use crate::dns::shown::Seen;

/// In the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "evenkeel_dns_failures",
        kind: Kind::Counter,
        labels: &["cluster"],
        help: "Lookups of the cluster's name that failed or found nothing",
        read: |moment, out| {
            each(moment, out, |out, name, seen| {
                out.count(&[name], seen.failures);
            });
        },
    },
    Metric {
        name: "evenkeel_dns_answer_age_seconds",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Time since the last good answer for the cluster's name; absent before the first",
        read: |moment, out| {
            let now = moment.sources.clock.now();
            each(moment, out, |out, name, seen| {
                if let Some(answered) = seen.answered {
                    out.level(&[name], now.since(answered).as_secs_f64());
                }
            });
        },
    },
    Metric {
        name: "evenkeel_dns_addresses_left_out",
        kind: Kind::Gauge,
        labels: &["cluster"],
        help: "Addresses of the cluster's name beyond the first thousand, which get no requests",
        read: |moment, out| {
            each(moment, out, |out, name, seen| {
                out.level(&[name], level(seen.left_out as u64));
            });
        },
    },
];

/// Goes through the clusters that have a name, those that wait for it included.
fn each(moment: &Moment<'_>, out: &mut Samples, read: impl Fn(&mut Samples, &str, &Seen)) {
    let names = moment.sources.status.names.load();
    for spec in moment.config.held.clusters() {
        if let ir::Discovery::Dns(target) = &spec.discovery
            && let Some(seen) = names.get(target)
        {
            read(out, spec.name.as_str(), seen);
        }
    }
}
