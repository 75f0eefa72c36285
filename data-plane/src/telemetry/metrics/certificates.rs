//! What is known of certificates.

use std::collections::BTreeMap;

use super::{Kind, Metric, level};

/// In the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "evenkeel_certificate_expiry_seconds",
        kind: Kind::Gauge,
        labels: &["secret"],
        help: "When a certificate in use ends, or the last of those trusted, in seconds since 1970; by name of the secret or file",
        read: |moment, out| {
            let shown = moment.sources.secrets.shown();
            let mut soonest: BTreeMap<&str, i64> = BTreeMap::new();
            for place in &shown.places {
                if let Some(end) = place.not_after() {
                    // One chain may have been named with two keys.
                    let known = soonest.entry(place.place.label()).or_insert(end);
                    *known = end.min(*known);
                }
            }
            for (label, end) in soonest {
                out.level(&[label], level(u64::try_from(end).unwrap_or_default()));
            }
        },
    },
    Metric {
        name: "evenkeel_certificates_refused",
        kind: Kind::Gauge,
        labels: &[],
        help: "Secrets and files of certificates that are missing, or of which the newest cannot be used",
        read: |moment, out| {
            let shown = moment.sources.secrets.shown();
            let refused = shown.places.iter().filter(|place| place.error.is_some());
            out.level(&[], level(refused.count() as u64));
        },
    },
];
