//! Wrappers, durations, percentages, packed messages and sources.

use std::time::Duration;

use prost::{Message, Name};

use super::findings::{Findings, Read, set};
use crate::units::Percent;
use crate::xds::wire::{MAX_DURATION_SECONDS, core, pb, units};

/// The number of the API before v3.
const WITHDRAWN_API: i32 = 1;

/// Whether a switch is on; off is its default.
pub(super) fn is_true(field: Option<&pb::BoolValue>) -> bool {
    field.is_some_and(|field| field.value)
}

/// Whether a switch whose default is on was turned off.
pub(super) fn is_false(field: Option<&pb::BoolValue>) -> bool {
    field.is_some_and(|field| !field.value)
}

/// A number, or what stands for it when it is absent.
pub(super) fn number_or(field: Option<pb::UInt32Value>, default: u32) -> u32 {
    field.map_or(default, |field| field.value)
}

/// A duration of zero or more; `Some(None)` when it is absent.
pub(super) fn duration(
    from: Option<pb::Duration>,
    field: &str,
    found: &mut Findings,
) -> Read<Option<Duration>> {
    let Some(pb::Duration { seconds, nanos }) = from else {
        return Some(None);
    };
    if seconds < 0 || nanos < 0 {
        return found.fault(field, "must not be negative");
    }
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(whole), Ok(part)) if part < 1_000_000_000 && seconds <= MAX_DURATION_SECONDS => {
            Some(Some(Duration::new(whole, part)))
        }
        _ => found.fault(field, "must be a duration of at most 292 years"),
    }
}

/// A duration, or what stands for it when it is absent.
pub(super) fn duration_or(
    from: Option<pb::Duration>,
    field: &str,
    default: Duration,
    found: &mut Findings,
) -> Option<Duration> {
    Some(duration(from, field, found)?.unwrap_or(default))
}

/// A duration of more than zero, or what stands for it when it is absent.
pub(super) fn positive_duration_or(
    from: Option<pb::Duration>,
    field: &str,
    default: Duration,
    found: &mut Findings,
) -> Option<Duration> {
    let value = duration_or(from, field, default, found)?;
    if value.is_zero() {
        return found.fault(field, "must be longer than zero");
    }
    Some(value)
}

/// A timeout that zero switches off, with what stands for it when it is absent.
pub(super) fn timeout(
    from: Option<pb::Duration>,
    field: &str,
    default: Duration,
    found: &mut Findings,
) -> Read<Option<Duration>> {
    let value = duration_or(from, field, default, found)?;
    Some((!value.is_zero()).then_some(value))
}

/// A percentage, or what stands for it when it is absent.
pub(super) fn percent_or(
    from: Option<units::Percent>,
    field: &str,
    default: Percent,
    found: &mut Findings,
) -> Option<Percent> {
    let Some(units::Percent { value }) = from else {
        return Some(default);
    };
    Percent::from_percent(value)
        .or_else(|| found.invalid(field, value, "must be between 0 and 100"))
}

/// A fraction with a denominator, which Envoy caps at the whole; zero when it is
/// absent.
pub(super) fn fraction(
    from: Option<&core::RuntimeFractionalPercent>,
    field: &str,
    found: &mut Findings,
) -> Option<Percent> {
    use units::fractional_percent::DenominatorType;

    let Some(from) = from else {
        return Some(Percent::ZERO);
    };
    found.ignore_if([(&format!("{field}.runtime_key"), set(&from.runtime_key))]);
    let Some(value) = from.default_value else {
        return found.fault(field, "must have a default_value");
    };
    let scale = match value.denominator() {
        DenominatorType::Hundred => 10_000,
        DenominatorType::TenThousand => 100,
        DenominatorType::Million => 1,
    };
    let millionths = value.numerator.saturating_mul(scale);
    Some(Percent::from_millionths(millionths).unwrap_or(Percent::HUNDRED))
}

/// Whether a packed message is of this type.
pub(super) fn holds<M: Name>(any: &pb::Any) -> bool {
    type_name(any) == M::full_name()
}

/// The full name of a packed message.
pub(super) fn type_name(any: &pb::Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Opens a packed message of a known type.
pub(super) fn unpack<M: Message + Name + Default>(
    any: &pb::Any,
    found: &mut Findings,
) -> Option<M> {
    if !holds::<M>(any) {
        let rule = format!("must be a {}", M::full_name());
        return found.invalid("", &any.type_url, &rule);
    }
    match M::decode(any.value.as_slice()) {
        Ok(message) => Some(message),
        Err(error) => found.fault("", format!("cannot be read: {error}")),
    }
}

/// Checks that a resource is to be asked for on the stream that named it.
pub(super) fn own_stream(
    from: Option<core::ConfigSource>,
    field: &str,
    found: &mut Findings,
) -> Option<()> {
    use core::config_source::ConfigSourceSpecifier;

    let Some(from) = from else {
        return found.fault(field, "is missing");
    };
    found.at(field, |found| {
        let core::ConfigSource {
            authorities,
            initial_fetch_timeout,
            resource_api_version,
            config_source_specifier,
        } = from;
        found.ignore_if([("initial_fetch_timeout", set(&initial_fetch_timeout))]);
        found.unsupported_if([
            ("authorities", set(&authorities)),
            (
                "resource_api_version",
                resource_api_version == WITHDRAWN_API,
            ),
        ]);
        match config_source_specifier {
            Some(ConfigSourceSpecifier::Ads(_) | ConfigSourceSpecifier::Self_(_)) => Some(()),
            Some(_) => found.fault("", "not supported by evenkeel: must be ads or self"),
            None => found.fault("", "must be ads or self"),
        }
    })
}
