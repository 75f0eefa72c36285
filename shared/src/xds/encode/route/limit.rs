//! A route's rate limit as Envoy's own filter applies it.

use std::collections::HashMap;
use std::time::Duration;

use envoy_types::util::pack_any;

use crate::ir;
use crate::xds::encode::values::{always, duration, number};
use crate::xds::wire::{MIN_FILL_INTERVAL_MILLIS, RATE_LIMIT_FILTER, local_ratelimit, pb, units};

/// The configuration of the filter for one route. Envoy's bucket has no key, so
/// a keyed limit is left to our own proxies.
pub(super) fn per_filter_config(limit: Option<&ir::RateLimit>) -> HashMap<String, pb::Any> {
    let Some(limit) = limit.filter(|limit| limit.key.is_none()) else {
        return HashMap::new();
    };
    let (tokens, interval) = coarse(limit.tokens, limit.per);
    let config = local_ratelimit::LocalRateLimit {
        stat_prefix: "rate_limit".to_owned(),
        token_bucket: Some(units::TokenBucket {
            max_tokens: limit.burst,
            tokens_per_fill: number(tokens),
            fill_interval: duration(interval),
        }),
        filter_enabled: always(),
        filter_enforced: always(),
        ..local_ratelimit::LocalRateLimit::default()
    };
    HashMap::from([(RATE_LIMIT_FILTER.to_owned(), pack_any(config))])
}

/// The same rate with refills as far apart as Envoy demands.
fn coarse(tokens: u32, per: Duration) -> (u32, Duration) {
    let least = Duration::from_millis(MIN_FILL_INTERVAL_MILLIS);
    if per >= least || per.is_zero() {
        return (tokens, per.max(least));
    }
    let times = least.as_nanos().div_ceil(per.as_nanos());
    let times = u32::try_from(times).unwrap_or(u32::MAX);
    (tokens.saturating_mul(times), per.saturating_mul(times))
}
