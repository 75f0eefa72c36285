//! When an endpoint is taken out.

use std::time::Duration;

use crate::ir::{FailurePercentage, Outlier, SuccessRate};
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::values::{is_false, is_true, number_or, positive_duration_or};
use crate::xds::wire::{cluster, pb};

/// Envoy's threshold of all three detectors that count in a row.
const DEFAULT_THRESHOLD: u32 = 5;
/// Envoy's interval between sweeps.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// Envoy's time of a first ejection.
const DEFAULT_BASE: Duration = Duration::from_secs(30);
/// Envoy's longest ejection, unless the first is longer.
const DEFAULT_MAX: Duration = Duration::from_mins(5);
/// Envoy's share of endpoints that may be out.
const DEFAULT_MAX_PERCENT: u32 = 10;

/// Reads the detectors that Envoy has.
#[expect(
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(super) fn outlier(from: cluster::OutlierDetection, found: &mut Findings) -> Option<Outlier> {
    let cluster::OutlierDetection {
        consecutive_5xx,
        interval,
        base_ejection_time,
        max_ejection_percent,
        enforcing_consecutive_5xx,
        enforcing_success_rate,
        success_rate_minimum_hosts,
        success_rate_request_volume,
        success_rate_stdev_factor,
        consecutive_gateway_failure,
        enforcing_consecutive_gateway_failure,
        split_external_local_origin_errors,
        consecutive_local_origin_failure,
        enforcing_consecutive_local_origin_failure,
        enforcing_local_origin_success_rate,
        failure_percentage_threshold,
        enforcing_failure_percentage,
        enforcing_failure_percentage_local_origin,
        failure_percentage_minimum_hosts,
        failure_percentage_request_volume,
        max_ejection_time,
        max_ejection_time_jitter,
        successful_active_health_check_uneject_host,
        monitors,
        always_eject_one_host,
        detect_degraded_hosts,
    } = from;
    found.ignore_if([
        (
            "max_ejection_time_jitter",
            max_ejection_time_jitter.is_some_and(|jitter| set(&jitter)),
        ),
        ("monitors", set(&monitors)),
        (
            "detect_degraded_hosts",
            is_true(detect_degraded_hosts.as_ref()),
        ),
    ]);
    let consecutive_5xx = Detector("consecutive_5xx", 100).threshold(
        consecutive_5xx,
        enforcing_consecutive_5xx,
        found,
    );
    let consecutive_gateway_failure = Detector("consecutive_gateway_failure", 0).threshold(
        consecutive_gateway_failure,
        enforcing_consecutive_gateway_failure,
        found,
    );
    let consecutive_local_origin_failure = Detector("consecutive_local_origin_failure", 100)
        .threshold(
            consecutive_local_origin_failure,
            enforcing_consecutive_local_origin_failure,
            found,
        );
    let success_rate = rate_detector(
        [
            "enforcing_success_rate",
            "enforcing_local_origin_success_rate",
        ],
        (enforcing_success_rate, enforcing_local_origin_success_rate),
        100,
        [
            (success_rate_minimum_hosts, 5),
            (success_rate_request_volume, 100),
            (success_rate_stdev_factor, 1900),
        ],
        found,
    );
    let failure_percentage = rate_detector(
        [
            "enforcing_failure_percentage",
            "enforcing_failure_percentage_local_origin",
        ],
        (
            enforcing_failure_percentage,
            enforcing_failure_percentage_local_origin,
        ),
        0,
        [
            (failure_percentage_minimum_hosts, 5),
            (failure_percentage_request_volume, 50),
            (failure_percentage_threshold, 85),
        ],
        found,
    );
    let interval = positive_duration_or(interval, "interval", DEFAULT_INTERVAL, found);
    let times = ejection_times(base_ejection_time, max_ejection_time, found);
    let max_ejection_percent = share(
        max_ejection_percent,
        "max_ejection_percent",
        DEFAULT_MAX_PERCENT,
        found,
    );
    let (base_ejection_time, max_ejection_time) = times?;
    Some(Outlier {
        consecutive_5xx: consecutive_5xx?,
        consecutive_gateway_failure: consecutive_gateway_failure?,
        consecutive_local_origin_failure: consecutive_local_origin_failure?,
        split_local_origin: split_external_local_origin_errors,
        interval: interval?,
        base_ejection_time,
        max_ejection_time,
        max_ejection_percent: max_ejection_percent?,
        always_eject_one: is_true(always_eject_one_host.as_ref()),
        success_rate: success_rate?.map(|read| SuccessRate {
            minimum_hosts: read.settings[0],
            request_volume: read.settings[1],
            stdev_factor: read.settings[2],
            enforcing: read.enforcing,
            enforcing_local_origin: read.enforcing_local_origin,
        }),
        failure_percentage: match failure_percentage? {
            Some(read) => Some(failure_share(&read, found)?),
            None => None,
        },
        latency: None,
        return_when_healthy: !is_false(successful_active_health_check_uneject_host.as_ref()),
    })
}

/// A detector that compares: its numbers, and how often it is enforced.
struct Rates {
    settings: [u32; 3],
    enforcing: u32,
    enforcing_local_origin: u32,
}

/// A detector that compares; absent if nothing is said of it and it is not
/// enforced. `default` is how often Envoy enforces it unless told otherwise.
fn rate_detector(
    fields: [&str; 2],
    (enforcing, local): (Option<pb::UInt32Value>, Option<pb::UInt32Value>),
    default: u32,
    settings: [(Option<pb::UInt32Value>, u32); 3],
    found: &mut Findings,
) -> Read<Option<Rates>> {
    let enforcing = share(enforcing, fields[0], default, found)?;
    let enforcing_local_origin = share(local, fields[1], default, found)?;
    let silent = settings.iter().all(|(value, _)| value.is_none());
    if silent && enforcing == 0 && enforcing_local_origin == 0 {
        return Some(None);
    }
    Some(Some(Rates {
        settings: settings.map(|(value, default)| number_or(value, default)),
        enforcing,
        enforcing_local_origin,
    }))
}

fn failure_share(read: &Rates, found: &mut Findings) -> Option<FailurePercentage> {
    let [minimum_hosts, request_volume, threshold] = read.settings;
    if threshold > 100 {
        let field = "failure_percentage_threshold";
        return found.invalid(field, threshold, "must be at most 100");
    }
    Some(FailurePercentage {
        threshold,
        minimum_hosts,
        request_volume,
        enforcing: read.enforcing,
        enforcing_local_origin: read.enforcing_local_origin,
    })
}

/// A detector that counts in a row: its field, and how often Envoy enforces it
/// unless told otherwise, in percent.
struct Detector(&'static str, u32);

impl Detector {
    /// Its threshold, 0 when it is not enforced.
    fn threshold(
        &self,
        threshold: Option<pb::UInt32Value>,
        enforcing: Option<pb::UInt32Value>,
        found: &mut Findings,
    ) -> Option<u32> {
        let Self(field, default) = self;
        match number_or(enforcing, *default) {
            0 => Some(0),
            100 => Some(number_or(threshold, DEFAULT_THRESHOLD)),
            other => {
                let field = format!("enforcing_{field}");
                found.invalid(&field, other, "not supported by evenkeel: must be 0 or 100")
            }
        }
    }
}

fn ejection_times(
    base: Option<pb::Duration>,
    max: Option<pb::Duration>,
    found: &mut Findings,
) -> Option<(Duration, Duration)> {
    let base = positive_duration_or(base, "base_ejection_time", DEFAULT_BASE, found);
    let longest = base.unwrap_or_default().max(DEFAULT_MAX);
    let max = positive_duration_or(max, "max_ejection_time", longest, found);
    let (base, max) = (base?, max?);
    if max < base {
        return found.fault("max_ejection_time", "must not be below base_ejection_time");
    }
    Some((base, max))
}

fn share(
    from: Option<pb::UInt32Value>,
    field: &str,
    default: u32,
    found: &mut Findings,
) -> Option<u32> {
    let value = number_or(from, default);
    if value > 100 {
        return found.invalid(field, value, "must be at most 100");
    }
    Some(value)
}
