//! What settings must be to one another, beyond what each may be for itself.

use std::time::Duration;

use evenkeel_shared::error::Faults;
use evenkeel_shared::proto::v1;
use evenkeel_shared::units::format_duration;

/// Pairs of values, both given, that cannot both be meant.
pub(in crate::model) fn contradictions(layer: &v1::Policy, faults: &mut Faults) {
    if let Some(timeouts) = &layer.timeouts {
        let per_try = seconds(timeouts.per_try).filter(|value| !value.is_zero());
        let request = seconds(timeouts.request).filter(|value| !value.is_zero());
        above(
            per_try,
            request,
            "timeouts.perTry",
            "timeouts.request",
            faults,
        );
    }
    if let Some(backoff) = layer
        .retry
        .as_ref()
        .and_then(|retry| retry.backoff.as_ref())
    {
        let (base, max) = (seconds(backoff.base), seconds(backoff.max));
        above(base, max, "retry.backoff.base", "retry.backoff.max", faults);
    }
    if let Some(outlier) = &layer.outlier_detection {
        above(
            seconds(outlier.base_ejection_time),
            seconds(outlier.max_ejection_time),
            "outlierDetection.baseEjectionTime",
            "outlierDetection.maxEjectionTime",
            faults,
        );
    }
}

/// Notes that a lesser value is above the greater one.
fn above(
    lesser: Option<Duration>,
    greater: Option<Duration>,
    path: &str,
    greater_path: &str,
    faults: &mut Faults,
) {
    if let (Some(lesser), Some(greater)) = (lesser, greater)
        && lesser > greater
    {
        let (lesser, greater) = (format_duration(lesser), format_duration(greater));
        faults.add(
            path,
            format!("invalid value {lesser}: must be at most `{greater_path}`, which is {greater}"),
        );
    }
}

/// Values that another value needs.
pub(super) fn gaps(complete: &v1::Policy, faults: &mut Faults) {
    if complete
        .rate_limit
        .as_ref()
        .is_some_and(|limit| limit.tokens == 0)
    {
        faults.add("rateLimit.tokens", "required: must be at least 1");
    }
    let Some(retry) = &complete.retry else { return };
    let asked = retry.on.iter().any(|on| on == "retriable-status-codes");
    if asked && retry.status_codes.is_empty() {
        faults.add(
            "retry.statusCodes",
            "required, because `retry.on` names `retriable-status-codes`",
        );
    }
    if !asked && !retry.status_codes.is_empty() {
        faults.add(
            "retry.statusCodes",
            "has no effect unless `retry.on` names `retriable-status-codes`",
        );
    }
}

/// A duration that was checked before.
fn seconds(value: Option<prost_types::Duration>) -> Option<Duration> {
    Duration::try_from(value?).ok()
}
