//! When an endpoint is taken out.

use super::super::values::{boolean, duration, duration_or_zero, number};
use crate::ir;
use crate::xds::wire::cluster;

/// Writes all of it, because Envoy's own defaults eject nobody from a small
/// cluster and judge by success rates.
pub(super) fn outlier(from: &ir::Outlier) -> cluster::OutlierDetection {
    let enforced = |threshold: u32| number(if threshold == 0 { 0 } else { 100 });
    let rate = from.success_rate;
    let share = from.failure_percentage;
    cluster::OutlierDetection {
        consecutive_5xx: number(from.consecutive_5xx),
        enforcing_consecutive_5xx: enforced(from.consecutive_5xx),
        consecutive_gateway_failure: number(from.consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure: enforced(from.consecutive_gateway_failure),
        consecutive_local_origin_failure: number(from.consecutive_local_origin_failure),
        enforcing_consecutive_local_origin_failure: enforced(from.consecutive_local_origin_failure),
        split_external_local_origin_errors: from.split_local_origin,
        interval: duration(from.interval),
        base_ejection_time: duration(from.base_ejection_time),
        max_ejection_time: duration(from.max_ejection_time),
        max_ejection_time_jitter: duration_or_zero(None),
        max_ejection_percent: number(from.max_ejection_percent),
        always_eject_one_host: boolean(from.always_eject_one),
        success_rate_minimum_hosts: rate.and_then(|rate| number(rate.minimum_hosts)),
        success_rate_request_volume: rate.and_then(|rate| number(rate.request_volume)),
        success_rate_stdev_factor: rate.and_then(|rate| number(rate.stdev_factor)),
        enforcing_success_rate: number(rate.map_or(0, |rate| rate.enforcing)),
        enforcing_local_origin_success_rate: number(
            rate.map_or(0, |rate| rate.enforcing_local_origin),
        ),
        failure_percentage_threshold: share.and_then(|share| number(share.threshold)),
        failure_percentage_minimum_hosts: share.and_then(|share| number(share.minimum_hosts)),
        failure_percentage_request_volume: share.and_then(|share| number(share.request_volume)),
        enforcing_failure_percentage: number(share.map_or(0, |share| share.enforcing)),
        enforcing_failure_percentage_local_origin: number(
            share.map_or(0, |share| share.enforcing_local_origin),
        ),
        successful_active_health_check_uneject_host: boolean(from.return_when_healthy),
        ..cluster::OutlierDetection::default()
    }
}
