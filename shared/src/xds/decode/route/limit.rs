//! Rate limits of routes.

use std::collections::HashMap;

use super::sorted;
use crate::ir::RateLimit;
use crate::units::Percent;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::text;
use crate::xds::decode::values::{
    fraction, holds, is_false, number_or, positive_duration_or, unpack,
};
use crate::xds::wire::{local_ratelimit, pb, route, units};

/// Status of a request that is turned away, the only one there is.
const TOO_MANY_REQUESTS: i32 = 429;

/// Checks that no filter is configured where none can be: at a virtual host or
/// a table.
pub(super) fn none_here(from: HashMap<String, pb::Any>, found: &mut Findings) {
    for (name, config) in sorted(from) {
        let field = format!("typed_per_filter_config[{name:?}]");
        found.at(&field, |found| match opened(config, found) {
            Some(Some(_)) => found.unsupported(""),
            other => other.map(|_| ()),
        });
    }
}

/// The configuration of the one filter that a route may configure.
pub(super) fn per_route(
    from: HashMap<String, pb::Any>,
    found: &mut Findings,
) -> Read<Option<RateLimit>> {
    let mut limit = None;
    let mut faulty = false;
    for (name, config) in sorted(from) {
        let field = format!("typed_per_filter_config[{name:?}]");
        let read = found.at(&field, |found| {
            let Some(config) = opened(config, found)? else {
                return Some(None);
            };
            if holds::<local_ratelimit::LocalRateLimit>(&config) {
                is_enforced(unpack(&config, found)?, found)
            } else {
                found.unsupported("")
            }
        });
        match read {
            Some(Some(read)) => limit = Some(read),
            Some(None) => {}
            None => faulty = true,
        }
    }
    (!faulty).then_some(limit)
}

/// The configuration inside the wrapper that says whether it counts;
/// `Some(None)` if it does not.
fn opened(config: pb::Any, found: &mut Findings) -> Read<Option<pb::Any>> {
    if !holds::<route::FilterConfig>(&config) {
        return Some(Some(config));
    }
    let route::FilterConfig {
        config,
        is_optional,
        disabled,
    } = unpack(&config, found)?;
    let known = |config: &pb::Any| holds::<local_ratelimit::LocalRateLimit>(config);
    match config {
        _ if disabled => Some(None),
        Some(config) if known(&config) || !is_optional => Some(Some(config)),
        Some(_) => {
            found.ignore("");
            Some(None)
        }
        None => Some(None),
    }
}

/// The limit of a filter; `Some(None)` if it turns nobody away.
#[expect(
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(in crate::xds::decode) fn is_enforced(
    from: local_ratelimit::LocalRateLimit,
    found: &mut Findings,
) -> Read<Option<RateLimit>> {
    let local_ratelimit::LocalRateLimit {
        stat_prefix: _,
        status,
        token_bucket,
        filter_enabled,
        filter_enforced,
        request_headers_to_add_when_not_enforced,
        response_headers_to_add,
        descriptors,
        stage,
        local_rate_limit_per_downstream_connection,
        local_cluster_rate_limit,
        enable_x_ratelimit_headers,
        vh_rate_limits,
        always_consume_default_token_bucket,
        rate_limited_as_resource_exhausted,
        rate_limits,
        max_dynamic_descriptors,
        enable_retry_after_header,
    } = from;
    let enabled = fraction(filter_enabled.as_ref(), "filter_enabled", found)?;
    let enforced = fraction(filter_enforced.as_ref(), "filter_enforced", found)?;
    if enabled == Percent::ZERO || enforced == Percent::ZERO {
        found.ignore_if([("token_bucket", set(&token_bucket))]);
        return Some(None);
    }
    // Envoy answers 429 for what is not an error.
    let status = status.map_or(TOO_MANY_REQUESTS, |status| status.code.max(0));
    found.unsupported_if([
        ("filter_enabled", enabled != Percent::HUNDRED),
        ("filter_enforced", enforced != Percent::HUNDRED),
        ("status", status >= 400 && status != TOO_MANY_REQUESTS),
        ("descriptors", set(&descriptors)),
        (
            "local_rate_limit_per_downstream_connection",
            local_rate_limit_per_downstream_connection,
        ),
        ("local_cluster_rate_limit", set(&local_cluster_rate_limit)),
        (
            "always_consume_default_token_bucket",
            is_false(always_consume_default_token_bucket.as_ref()),
        ),
    ]);
    found.ignore_if([
        (
            "request_headers_to_add_when_not_enforced",
            set(&request_headers_to_add_when_not_enforced),
        ),
        ("response_headers_to_add", set(&response_headers_to_add)),
        ("stage", set(&stage)),
        (
            "enable_x_ratelimit_headers",
            set(&enable_x_ratelimit_headers),
        ),
        ("vh_rate_limits", set(&vh_rate_limits)),
        (
            "rate_limited_as_resource_exhausted",
            rate_limited_as_resource_exhausted,
        ),
        ("rate_limits", set(&rate_limits)),
        ("max_dynamic_descriptors", set(&max_dynamic_descriptors)),
        ("enable_retry_after_header", enable_retry_after_header),
    ]);
    let Some(bucket) = token_bucket else {
        return found.fault("token_bucket", "is missing");
    };
    found
        .at("token_bucket", |found| token_bucket_limit(bucket, found))
        .map(Some)
}

fn token_bucket_limit(from: units::TokenBucket, found: &mut Findings) -> Option<RateLimit> {
    let units::TokenBucket {
        max_tokens,
        tokens_per_fill,
        fill_interval,
    } = from;
    if fill_interval.is_none() {
        found.fault::<()>("fill_interval", "is missing");
    }
    let per = positive_duration_or(
        fill_interval,
        "fill_interval",
        std::time::Duration::from_secs(1),
        found,
    );
    let limit = RateLimit {
        tokens: number_or(tokens_per_fill, 1),
        per: per?,
        burst: max_tokens,
        key: None,
    };
    if limit.burst == 0 {
        return found.invalid("max_tokens", 0, "must be at least 1");
    }
    if limit.tokens == 0 {
        return found.invalid("tokens_per_fill", 0, "must be at least 1");
    }
    Some(limit)
}

/// Checks a limit that came as our own metadata.
pub(super) fn checked(mut limit: RateLimit, found: &mut Findings) -> Option<RateLimit> {
    use crate::ir::RateLimitKey;

    if limit.tokens == 0 || limit.burst == 0 || limit.per.is_zero() {
        let reason = "rate_limit: tokens, per and burst must be more than zero";
        return found.fault("", reason);
    }
    if let Some(RateLimitKey::Header(name)) = &limit.key {
        limit.key = Some(RateLimitKey::Header(text::field_name(
            name,
            "rate_limit.key",
            found,
        )?));
    }
    Some(limit)
}
