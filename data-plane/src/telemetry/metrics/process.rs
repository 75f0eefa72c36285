//! What the process and its configuration side count.

use evenkeel_shared::xds::ResourceType;

use super::{Kind, Metric, level, read};
use crate::tick::Tick;

/// In the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "evenkeel_config_revision",
        kind: Kind::Gauge,
        labels: &[],
        help: "Newest revision the control plane has sent; absent if it does not number them",
        read: |moment, out| {
            if let Ok(revision) = moment.config.version.parse::<u64>() {
                out.level(&[], level(revision));
            }
        },
    },
    Metric {
        name: "evenkeel_config_age_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the configuration last changed; absent before the first",
        read: |moment, out| {
            if let Some(changed) = moment.config.changed {
                let age = moment.sources.clock.now().since(changed);
                out.level(&[], age.as_secs_f64());
            }
        },
    },
    Metric {
        name: "evenkeel_config_resources",
        kind: Kind::Gauge,
        labels: &["type"],
        help: "Resources accepted",
        read: |moment, out| {
            for kind in ResourceType::ALL {
                let count = moment.config.held.of(kind).count();
                out.level(&[kind.label()], level(count as u64));
            }
        },
    },
    Metric {
        name: "evenkeel_config_rejected",
        kind: Kind::Gauge,
        labels: &[],
        help: "Resources refused, of which the last good version is in force",
        read: |moment, out| out.level(&[], level(moment.config.rejected.len() as u64)),
    },
    Metric {
        name: "evenkeel_config_waiting",
        kind: Kind::Gauge,
        labels: &[],
        help: "Clusters and listeners that wait for endpoints, routes or secrets",
        read: |moment, out| out.level(&[], level(moment.config.waiting.len() as u64)),
    },
    Metric {
        name: "evenkeel_config_held",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while a push is held back because it would remove too much",
        read: |moment, out| {
            out.level(&[], level(u64::from(moment.config.mass_removal.is_some())));
        },
    },
    Metric {
        name: "evenkeel_xds_connected",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while there is a stream to a control plane",
        read: |moment, out| {
            let connected = moment.sources.status.line.lock().endpoint.is_some();
            out.level(&[], level(u64::from(connected)));
        },
    },
    Metric {
        name: "evenkeel_xds_last_response_age_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the control plane last said something; absent before the first time",
        read: |moment, out| {
            let last: Option<Tick> = moment.sources.status.line.lock().last_response;
            if let Some(last) = last {
                let age = moment.sources.clock.now().since(last);
                out.level(&[], age.as_secs_f64());
            }
        },
    },
    Metric {
        name: "evenkeel_xds_nacks",
        kind: Kind::Counter,
        labels: &["type"],
        help: "Responses answered with a NACK",
        read: |moment, out| {
            for (kind, count) in moment.sources.status.nacks() {
                out.count(&[kind], count);
            }
        },
    },
    Metric {
        name: "evenkeel_last_known_good_age_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the last-known-good file was written or loaded; absent without one",
        read: |moment, out| {
            let saved = read(&moment.sources.status.saved_at);
            let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
            if saved != 0 {
                out.level(&[], level(now.saturating_sub(saved)));
            }
        },
    },
    Metric {
        name: "evenkeel_log_dropped",
        kind: Kind::Counter,
        labels: &[],
        help: "Lines missing in the access log: the queue was full, or writing failed",
        read: |moment, out| {
            let sink = &moment.sources.sink;
            let full = sink.counts.sum(|counts| read(&counts.log_dropped));
            out.count(&[], full + read(&moment.sources.log_lost));
        },
    },
    Metric {
        name: "evenkeel_spans_dropped",
        kind: Kind::Counter,
        labels: &[],
        help: "Requests missing in traces: the queue was full, or the collector was away",
        read: |moment, out| {
            let sink = &moment.sources.sink;
            let full = sink.counts.sum(|counts| read(&counts.spans_dropped));
            out.count(&[], full + read(&moment.sources.spans_lost));
        },
    },
    Metric {
        name: "evenkeel_ready",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 once there was a first good configuration, with the secrets of its listeners",
        read: |moment, out| {
            let ready = moment.sources.status.is_configured();
            out.level(&[], level(u64::from(ready)));
        },
    },
    Metric {
        name: "evenkeel_uptime_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the start",
        read: |moment, out| {
            let uptime = moment.sources.clock.now().since(Tick::default());
            out.level(&[], uptime.as_secs_f64());
        },
    },
    Metric {
        name: "evenkeel_build",
        kind: Kind::Gauge,
        labels: &["version"],
        help: "Always 1; says which version runs",
        read: |_, out| out.level(&[env!("CARGO_PKG_VERSION")], 1.0),
    },
];
