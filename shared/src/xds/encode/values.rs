//! Wrappers, durations and the other small messages.
#![expect(
    clippy::unnecessary_wraps,
    reason = "every field that holds one of these messages is optional"
)]

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::util::pack_any;
use prost::{Message, Name};

use crate::ir;
use crate::units::Percent;
use crate::xds::wire::{MAX_DURATION_SECONDS, core, matcher, pb, units};

pub(super) fn yes() -> Option<pb::BoolValue> {
    boolean(true)
}

pub(super) fn boolean(value: bool) -> Option<pb::BoolValue> {
    Some(pb::BoolValue { value })
}

pub(super) fn number(value: u32) -> Option<pb::UInt32Value> {
    Some(pb::UInt32Value { value })
}

pub(super) fn large_number(value: u32) -> Option<pb::UInt64Value> {
    Some(pb::UInt64Value {
        value: value.into(),
    })
}

/// What is longer than Envoy can hold becomes the longest that it can.
pub(super) fn duration(value: Duration) -> Option<pb::Duration> {
    let seconds = i64::try_from(value.as_secs()).unwrap_or(i64::MAX);
    Some(if seconds > MAX_DURATION_SECONDS {
        pb::Duration {
            seconds: MAX_DURATION_SECONDS,
            nanos: 0,
        }
    } else {
        pb::Duration {
            seconds,
            nanos: i32::try_from(value.subsec_nanos()).unwrap_or(0),
        }
    })
}

/// For fields where Envoy takes zero as "never" and absence as its default.
pub(super) fn duration_or_zero(value: Option<Duration>) -> Option<pb::Duration> {
    duration(value.unwrap_or_default())
}

pub(super) fn percent(value: Percent) -> Option<units::Percent> {
    Some(units::Percent {
        value: value.as_percent(),
    })
}

pub(super) fn always() -> Option<core::RuntimeFractionalPercent> {
    Some(core::RuntimeFractionalPercent {
        default_value: Some(units::FractionalPercent {
            numerator: 100,
            denominator: units::fractional_percent::DenominatorType::Hundred.into(),
        }),
        runtime_key: String::new(),
    })
}

pub(super) fn address(value: SocketAddr) -> Option<core::Address> {
    let socket = core::SocketAddress {
        protocol: core::socket_address::Protocol::Tcp.into(),
        address: value.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(
            value.port().into(),
        )),
        ..core::SocketAddress::default()
    };
    Some(core::Address {
        address: Some(core::address::Address::SocketAddress(socket)),
    })
}

/// "On the stream that this came on."
pub(super) fn from_ads() -> Option<core::ConfigSource> {
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..core::ConfigSource::default()
    })
}

pub(super) fn extension<T: Name + Message>(name: &str, config: T) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(pack_any(config)),
    }
}

pub(super) fn regex(pattern: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher {
        regex: pattern.to_owned(),
        engine_type: None,
    }
}

pub(super) fn string_match(from: &ir::StringMatch) -> matcher::StringMatcher {
    use matcher::string_matcher::MatchPattern;

    let pattern = match from {
        ir::StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        ir::StringMatch::Prefix(text) => MatchPattern::Prefix(text.clone()),
        ir::StringMatch::Suffix(text) => MatchPattern::Suffix(text.clone()),
        ir::StringMatch::Contains(text) => MatchPattern::Contains(text.clone()),
        ir::StringMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern)),
    };
    matcher::StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    }
}
