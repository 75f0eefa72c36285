//! What workers count of themselves.

use super::{Kind, Metric, Moment, Samples, level, read};
use crate::worker::WorkerCounts;

/// In the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "evenkeel_accept_errors",
        kind: Kind::Counter,
        labels: &[],
        help: "Times that a connection could not be accepted, for example for want of file descriptors",
        read: |moment, out| count(moment, out, |counts| read(&counts.accept_errors)),
    },
    Metric {
        name: "evenkeel_panics",
        kind: Kind::Counter,
        labels: &[],
        help: "Panics, each of which ended a connection or a request",
        read: |moment, out| count(moment, out, |counts| read(&counts.panics)),
    },
    Metric {
        name: "evenkeel_upgrades",
        kind: Kind::Counter,
        labels: &[],
        help: "Connections turned into tunnels, for example by WebSocket",
        read: |moment, out| count(moment, out, |counts| read(&counts.upgrades)),
    },
    Metric {
        name: "evenkeel_tunnels_open",
        kind: Kind::Gauge,
        labels: &[],
        help: "Tunnels open now",
        read: |moment, out| {
            let open = moment
                .sources
                .workers
                .sum(|counts| read(&counts.tunnels_open));
            out.level(&[], level(open));
        },
    },
    Metric {
        name: "evenkeel_broken_responses",
        kind: Kind::Counter,
        labels: &[],
        help: "Answers that a host broke off after their head had gone to the client",
        read: |moment, out| count(moment, out, |counts| read(&counts.broken_responses)),
    },
    Metric {
        name: "evenkeel_triggers_dropped",
        kind: Kind::Counter,
        labels: &[],
        help: "Signs of a failing host that were lost because the health task was behind",
        read: |moment, out| count(moment, out, |counts| read(&counts.triggers_dropped)),
    },
];

fn count(moment: &Moment<'_>, out: &mut Samples, number: fn(&WorkerCounts) -> u64) {
    out.count(&[], moment.sources.workers.sum(number));
}
