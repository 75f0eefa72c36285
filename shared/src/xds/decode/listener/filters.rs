//! The chain of HTTP filters: a rate limit that waits for routes to use it, and
//! the router.

use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::route::limit;
use crate::xds::decode::values::{holds, unpack};
use crate::xds::wire::{hcm, local_ratelimit, pb, router};
use hcm::http_filter::ConfigType;

/// Checks that the chain does nothing that is not done.
pub(super) fn check(from: Vec<hcm::HttpFilter>, found: &mut Findings) {
    let last = from.len().saturating_sub(1);
    let mut routed = false;
    for (index, filter) in from.into_iter().enumerate() {
        let is_router = found.at(&format!("http_filters[{index}]"), |found| {
            http_filter(filter, found)
        });
        routed = is_router && index == last;
        if is_router && index != last {
            let reason = "the router must be the last filter";
            found.fault::<()>("http_filters", reason);
        }
    }
    if !routed {
        found.fault::<()>("http_filters", "must end with the router");
    }
}

/// Checks one filter, and says whether it is the router.
fn http_filter(from: hcm::HttpFilter, found: &mut Findings) -> bool {
    let hcm::HttpFilter {
        name,
        is_optional,
        disabled,
        config_type,
    } = from;
    let config = match config_type {
        Some(ConfigType::TypedConfig(config)) => config,
        Some(ConfigType::ConfigDiscovery(_)) if is_optional || disabled => {
            found.ignore("");
            return false;
        }
        Some(ConfigType::ConfigDiscovery(_)) => {
            found.unsupported::<()>("config_discovery");
            return false;
        }
        None => {
            found.fault::<()>("typed_config", "is missing");
            return false;
        }
    };
    if holds::<router::Router>(&config) {
        found.at("typed_config", |found| check_router(&config, found));
        return !disabled;
    }
    if holds::<local_ratelimit::LocalRateLimit>(&config) {
        // Disabled is not off: a route may switch it on, which is refused there.
        found.at("typed_config", |found| {
            check_idle_limit(&config, disabled, found)
        });
    } else if is_optional || disabled {
        found.ignore("");
    } else {
        found.invalid::<()>("name", name, "not supported by evenkeel");
    }
    false
}

#[expect(deprecated, reason = "names every field of the message once")]
fn check_router(config: &pb::Any, found: &mut Findings) -> Option<()> {
    let router::Router {
        dynamic_stats,
        start_child_span,
        upstream_log,
        upstream_log_options,
        suppress_envoy_headers,
        strict_check_headers,
        respect_expected_rq_timeout,
        suppress_grpc_request_failure_code_stats,
        upstream_http_filters,
        reject_connect_request_early_data,
    } = unpack(config, found)?;
    found.unsupported_if([("upstream_http_filters", set(&upstream_http_filters))]);
    found.ignore_if([
        ("dynamic_stats", set(&dynamic_stats)),
        ("start_child_span", start_child_span),
        ("upstream_log", set(&upstream_log)),
        ("upstream_log_options", set(&upstream_log_options)),
        ("suppress_envoy_headers", suppress_envoy_headers),
        ("strict_check_headers", set(&strict_check_headers)),
        ("respect_expected_rq_timeout", respect_expected_rq_timeout),
        (
            "suppress_grpc_request_failure_code_stats",
            suppress_grpc_request_failure_code_stats,
        ),
        (
            "reject_connect_request_early_data",
            set(&reject_connect_request_early_data),
        ),
    ]);
    Some(())
}

/// A limit on all requests of a listener cannot be expressed.
fn check_idle_limit(config: &pb::Any, disabled: bool, found: &mut Findings) -> Option<()> {
    let config = unpack(config, found)?;
    if limit::is_enforced(config, found)?.is_some() && !disabled {
        let reason = "not supported by evenkeel on a listener: must stand in a route";
        return found.fault("token_bucket", reason);
    }
    Some(())
}
