//! `RetryPolicy`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ir::{Backoff, RetryCondition, RetryPolicy};
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::values::{duration, number_or, positive_duration_or, type_name};
use crate::xds::wire::{
    HOST_SELECTION_ATTEMPTS, PREVIOUS_HOSTS, RETRY_TOKENS, previous_hosts, route,
};
use prost::Name as _;

/// Envoy's upper bound of a first wait.
const DEFAULT_BASE: Duration = Duration::from_millis(25);
/// Envoy's upper bound of all waits, in multiples of the first.
const MAX_BY_BASE: u32 = 10;

/// When another attempt is made, and how long one may take.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) per_try_timeout: Option<Duration>,
    pub(super) retry: Option<RetryPolicy>,
}

/// Reads a policy. One without a condition that is known never retries.
pub(super) fn attempts(from: route::RetryPolicy, found: &mut Findings) -> Option<Attempts> {
    let route::RetryPolicy {
        retry_on,
        num_retries,
        per_try_timeout,
        per_try_idle_timeout,
        retry_priority,
        retry_host_predicate,
        retry_options_predicates,
        host_selection_retry_max_attempts,
        retriable_status_codes,
        retry_back_off,
        rate_limited_retry_back_off,
        retriable_headers,
        retriable_request_headers,
        refresh_cluster_on_retry,
    } = from;
    let other_attempts = ![0, HOST_SELECTION_ATTEMPTS].contains(&host_selection_retry_max_attempts);
    found.unsupported_if([
        ("retriable_request_headers", set(&retriable_request_headers)),
        ("retry_options_predicates", set(&retry_options_predicates)),
    ]);
    found.ignore_if([
        ("per_try_idle_timeout", set(&per_try_idle_timeout)),
        ("retry_priority", set(&retry_priority)),
        ("host_selection_retry_max_attempts", other_attempts),
        (
            "rate_limited_retry_back_off",
            set(&rate_limited_retry_back_off),
        ),
        ("retriable_headers", set(&retriable_headers)),
        ("refresh_cluster_on_retry", set(&refresh_cluster_on_retry)),
    ]);
    let on = conditions(&retry_on, found);
    let per_try_timeout = duration(per_try_timeout, "per_try_timeout", found);
    let status_codes = found.each("retriable_status_codes", retriable_status_codes, status);
    let backoff = backoff(retry_back_off, found);
    let avoid_previous_hosts = avoids_previous_hosts(retry_host_predicate, found);
    let policy = RetryPolicy {
        on,
        status_codes: status_codes?.into_iter().collect(),
        retries: number_or(num_retries, 1),
        backoff: backoff?,
        avoid_previous_hosts,
    };
    Some(Attempts {
        per_try_timeout: per_try_timeout?.filter(|timeout| !timeout.is_zero()),
        retry: (!policy.on.is_empty()).then_some(policy),
    })
}

/// Envoy and gRPC leave out conditions that they do not know, and so do we.
fn conditions(from: &str, found: &mut Findings) -> BTreeSet<RetryCondition> {
    let mut on = BTreeSet::new();
    for token in from.split(',').map(str::trim).filter(|t| !t.is_empty()) {
        match RETRY_TOKENS.iter().find(|(_, name)| *name == token) {
            Some((condition, _)) => {
                on.insert(*condition);
            }
            None => found.ignore(&format!("retry_on[{token:?}]")),
        }
    }
    on
}

fn status(from: u32, found: &mut Findings) -> Option<u16> {
    u16::try_from(from)
        .ok()
        .filter(|status| (100..600).contains(status))
        .or_else(|| found.invalid("", from, "must be between 100 and 599"))
}

fn backoff(
    from: Option<route::retry_policy::RetryBackOff>,
    found: &mut Findings,
) -> Option<Backoff> {
    let Some(from) = from else {
        return Some(Backoff {
            base: DEFAULT_BASE,
            max: DEFAULT_BASE * MAX_BY_BASE,
        });
    };
    found.at("retry_back_off", |found| {
        let route::retry_policy::RetryBackOff {
            base_interval,
            max_interval,
        } = from;
        if base_interval.is_none() {
            found.fault::<()>("base_interval", "is missing");
        }
        let base = positive_duration_or(base_interval, "base_interval", DEFAULT_BASE, found)?;
        let longest = base.saturating_mul(MAX_BY_BASE);
        let max = positive_duration_or(max_interval, "max_interval", longest, found)?;
        if max < base {
            return found.fault("max_interval", "must not be below base_interval");
        }
        Some(Backoff { base, max })
    })
}

fn avoids_previous_hosts(
    from: Vec<route::retry_policy::RetryHostPredicate>,
    found: &mut Findings,
) -> bool {
    use route::retry_policy::retry_host_predicate::ConfigType;

    let mut avoids = false;
    for (index, predicate) in from.into_iter().enumerate() {
        let known = match &predicate.config_type {
            Some(ConfigType::TypedConfig(config)) => {
                type_name(config) == previous_hosts::PreviousHostsPredicate::full_name()
            }
            None => predicate.name == PREVIOUS_HOSTS,
        };
        if known {
            avoids = true;
        } else {
            found.ignore(&format!("retry_host_predicate[{index}]"));
        }
    }
    avoids
}
