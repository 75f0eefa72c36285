//! When an endpoint is taken out.

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;

use crate::model::fields::{self, within};

/// Fewer endpoints than this have no middle from which one could be far.
const LEAST_COMPARED: u32 = 3;

/// What becomes of the settings; `None` if every detector is off.
pub(super) fn detection(
    outlier: &v1::OutlierDetection,
    faults: &mut Faults,
) -> Option<ir::Outlier> {
    let v1::OutlierDetection {
        consecutive_5xx,
        consecutive_gateway_failure,
        consecutive_local_origin_failure,
        interval,
        base_ejection_time,
        max_ejection_time,
        max_ejection_percent,
        success_rate,
        failure_percentage,
        latency,
        return_when_healthy,
    } = outlier;
    let percent = max_ejection_percent.unwrap_or_default();
    let read = ir::Outlier {
        consecutive_5xx: consecutive_5xx.unwrap_or_default(),
        consecutive_gateway_failure: consecutive_gateway_failure.unwrap_or_default(),
        consecutive_local_origin_failure: consecutive_local_origin_failure.unwrap_or_default(),
        split_local_origin: true,
        interval: fields::positive(*interval, "interval", faults),
        base_ejection_time: fields::positive(*base_ejection_time, "baseEjectionTime", faults),
        max_ejection_time: fields::positive(*max_ejection_time, "maxEjectionTime", faults),
        max_ejection_percent: fields::range(percent, 0..=100, "maxEjectionPercent", faults),
        always_eject_one: true,
        success_rate: success_rate
            .as_ref()
            .map(|rate| within(faults, "successRate", |faults| compared(rate, faults))),
        failure_percentage: failure_percentage
            .as_ref()
            .map(|share| within(faults, "failurePercentage", |faults| judged(share, faults))),
        latency: latency
            .as_ref()
            .map(|latency| within(faults, "latency", |faults| timed(latency, faults))),
        return_when_healthy: return_when_healthy.unwrap_or(true),
    };
    let counts = read.consecutive_5xx > 0
        || read.consecutive_gateway_failure > 0
        || read.consecutive_local_origin_failure > 0;
    (counts || read.compares()).then_some(read)
}

fn compared(rate: &v1::SuccessRateOutlier, faults: &mut Faults) -> ir::SuccessRate {
    let v1::SuccessRateOutlier {
        minimum_hosts,
        request_volume,
        stdev_factor,
        enforcing,
    } = rate;
    let enforcing = share(*enforcing, "enforcing", 0, faults);
    ir::SuccessRate {
        minimum_hosts: fields::at_least(*minimum_hosts, 2, "minimumHosts", faults),
        request_volume: fields::at_least(*request_volume, 1, "requestVolume", faults),
        stdev_factor: fields::at_least(*stdev_factor, 1, "stdevFactor", faults),
        enforcing,
        enforcing_local_origin: enforcing,
    }
}

fn judged(of: &v1::FailurePercentageOutlier, faults: &mut Faults) -> ir::FailurePercentage {
    let v1::FailurePercentageOutlier {
        threshold,
        minimum_hosts,
        request_volume,
        enforcing,
    } = of;
    let enforcing = share(*enforcing, "enforcing", 0, faults);
    ir::FailurePercentage {
        threshold: share(*threshold, "threshold", 1, faults),
        minimum_hosts: fields::at_least(*minimum_hosts, 1, "minimumHosts", faults),
        request_volume: fields::at_least(*request_volume, 1, "requestVolume", faults),
        enforcing,
        enforcing_local_origin: enforcing,
    }
}

fn timed(latency: &v1::LatencyOutlier, faults: &mut Faults) -> ir::LatencyOutlier {
    let v1::LatencyOutlier {
        minimum_hosts,
        request_volume,
        mad_factor,
        minimum_difference,
        enforcing,
    } = latency;
    ir::LatencyOutlier {
        minimum_hosts: fields::at_least(*minimum_hosts, LEAST_COMPARED, "minimumHosts", faults),
        request_volume: fields::at_least(*request_volume, 1, "requestVolume", faults),
        mad_factor: fields::at_least(*mad_factor, 1, "madFactor", faults),
        minimum_difference: fields::positive(*minimum_difference, "minimumDifference", faults),
        enforcing: share(*enforcing, "enforcing", 0, faults),
    }
}

/// A whole percentage of at least `least`, if it is set.
fn share(value: Option<u32>, path: &str, least: u32, faults: &mut Faults) -> u32 {
    value.map_or(0, |value| fields::range(value, least..=100, path, faults))
}
