//! The settings that a policy can carry: what each may be, and what they become
//! once all layers are merged.

mod balancing;
mod consistency;
mod outlier;

use std::collections::BTreeSet;
use std::time::Duration;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::units::format_duration;

pub(super) use consistency::contradictions;

use self::consistency::gaps;
use super::fields::{self, within};
use super::{defaults, merge};

/// The conditions of `retry.on`.
const CONDITIONS: [(&str, ir::RetryCondition); 12] = [
    ("5xx", ir::RetryCondition::FiveXx),
    ("gateway-error", ir::RetryCondition::GatewayError),
    ("reset", ir::RetryCondition::Reset),
    ("connect-failure", ir::RetryCondition::ConnectFailure),
    ("refused-stream", ir::RetryCondition::RefusedStream),
    ("retriable-4xx", ir::RetryCondition::Retriable4xx),
    ("retriable-status-codes", ir::RetryCondition::StatusCodes),
    ("cancelled", ir::RetryCondition::GrpcCancelled),
    (
        "deadline-exceeded",
        ir::RetryCondition::GrpcDeadlineExceeded,
    ),
    ("internal", ir::RetryCondition::GrpcInternal),
    (
        "resource-exhausted",
        ir::RetryCondition::GrpcResourceExhausted,
    ),
    ("unavailable", ir::RetryCondition::GrpcUnavailable),
];
/// More attempts than this are a loop, not a retry.
const MOST_RETRIES: u32 = 100;

/// What a rule takes from its layers.
#[derive(Debug)]
pub(super) struct RuleSettings {
    pub(super) timeout: Option<Duration>,
    pub(super) per_try_timeout: Option<Duration>,
    pub(super) retry: Option<ir::RetryPolicy>,
    pub(super) rate_limit: Option<ir::RateLimit>,
}

/// What a cluster takes from its layers.
#[derive(Debug)]
pub(super) struct ClusterSettings {
    pub(super) load_balancing: ir::LoadBalancing,
    pub(super) breakers: ir::Breakers,
    pub(super) outlier: Option<ir::Outlier>,
    pub(super) connection: ir::Connection,
}

/// The policy that a rule or cluster names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named<'a> {
    /// It names none.
    Nothing,
    /// This one.
    Known(&'a v1::Policy),
    /// One that is not at hand, or wrong in itself: what depends on it cannot
    /// be judged.
    Unknown,
}

/// Checks the values of one layer, each for itself.
pub(super) fn check(layer: &v1::Policy, faults: &mut Faults) {
    rule_settings(layer, faults);
    cluster_settings(layer, faults);
}

/// All layers of settings as one, after checking the nearest layer, and that
/// the layers do not contradict each other.
pub(super) fn layered(near: &v1::Policy, named: Named<'_>, faults: &mut Faults) -> v1::Policy {
    let mut own = Faults::new();
    check(near, &mut own);
    let sound = own.is_empty();
    faults.extend_under("", own.into_vec());
    let explicit = match named {
        Named::Known(policy) => merge::policy(near, policy),
        Named::Nothing | Named::Unknown => near.clone(),
    };
    let complete = merge::policy(&explicit, &defaults::policy(&explicit));
    match named {
        Named::Unknown if sound => contradictions(near, faults),
        Named::Nothing | Named::Known(_) if sound => {
            contradictions(&complete, faults);
            gaps(&complete, faults);
        }
        _ => {}
    }
    complete
}

/// What the layers say to a rule.
pub(super) fn rule_settings(layers: &v1::Policy, faults: &mut Faults) -> RuleSettings {
    let timeouts = layers.timeouts.unwrap_or_default();
    let retry = layers
        .retry
        .as_ref()
        .map(|retry| within(faults, "retry", |faults| retry_policy(retry, faults)));
    RuleSettings {
        timeout: fields::timeout(timeouts.request, "timeouts.request", faults),
        per_try_timeout: fields::timeout(timeouts.per_try, "timeouts.perTry", faults),
        retry: retry.filter(|retry| retry.retries > 0),
        rate_limit: layers
            .rate_limit
            .as_ref()
            .map(|limit| within(faults, "rateLimit", |faults| rate_limit(limit, faults))),
    }
}

/// What the layers say to a cluster.
pub(super) fn cluster_settings(layers: &v1::Policy, faults: &mut Faults) -> ClusterSettings {
    let outlier = layers.outlier_detection.unwrap_or_default();
    let outlier = within(faults, "outlierDetection", |faults| {
        outlier::detection(&outlier, faults)
    });
    let breakers = layers.circuit_breakers.unwrap_or_default();
    let balancer = layers.load_balancer.unwrap_or_default();
    let connections = layers.connection.unwrap_or_default();
    ClusterSettings {
        load_balancing: within(faults, "loadBalancer", |faults| {
            balancing::load_balancing(&balancer, faults)
        }),
        breakers: within(faults, "circuitBreakers", |faults| {
            circuit_breakers(&breakers, faults)
        }),
        outlier,
        connection: within(faults, "connection", |faults| {
            connection(&connections, faults)
        }),
    }
}

fn retry_policy(retry: &v1::Retry, faults: &mut Faults) -> ir::RetryPolicy {
    let v1::Retry {
        on,
        retries,
        status_codes,
        backoff,
    } = retry;
    let mut conditions = BTreeSet::new();
    for (index, name) in on.iter().enumerate() {
        match CONDITIONS.iter().find(|(known, _)| known == name) {
            Some((_, condition)) => {
                conditions.insert(*condition);
            }
            None => faults.add(format!("on[{index}]"), unknown_condition(name)),
        }
    }
    let mut codes = BTreeSet::new();
    for (index, code) in status_codes.iter().enumerate() {
        let path = format!("statusCodes[{index}]");
        let code = fields::range(*code, 200..=599, &path, faults);
        codes.extend(u16::try_from(code).ok());
    }
    let backoff = backoff.unwrap_or_default();
    ir::RetryPolicy {
        on: conditions,
        status_codes: codes,
        retries: fields::range(
            retries.unwrap_or_default(),
            0..=MOST_RETRIES,
            "retries",
            faults,
        ),
        backoff: ir::Backoff {
            base: fields::positive(backoff.base, "backoff.base", faults),
            max: fields::positive(backoff.max, "backoff.max", faults),
        },
        avoid_previous_hosts: true,
    }
}

fn unknown_condition(name: &str) -> String {
    let known = CONDITIONS.map(|(known, _)| known);
    let hint = fields::suggestion(name, known);
    format!(
        "invalid value {name:?}: must be one of {}{hint}",
        known.join(", ")
    )
}

fn rate_limit(limit: &v1::RateLimit, faults: &mut Faults) -> ir::RateLimit {
    let v1::RateLimit {
        tokens,
        per,
        burst,
        key,
    } = limit;
    let per = fields::positive(*per, "per", faults);
    if !per.is_zero() && per < Duration::from_millis(50) {
        let given = format_duration(per);
        faults.add(
            "per",
            format!("invalid value {given}: must be at least 50ms"),
        );
    }
    let key = key.as_ref().map(|key| match &key.key {
        Some(v1::rate_limit_key::Key::ClientAddress(v1::ClientAddressKey {})) => {
            ir::RateLimitKey::ClientAddress
        }
        Some(v1::rate_limit_key::Key::Header(header)) => {
            ir::RateLimitKey::Header(fields::header_name(&header.name, "key.header.name", faults))
        }
        None => {
            faults.add("key", "required: one of `clientAddress` and `header`");
            ir::RateLimitKey::ClientAddress
        }
    });
    if *burst == Some(0) && *tokens > 0 {
        faults.add("burst", "invalid value 0: must be at least 1");
    }
    ir::RateLimit {
        tokens: *tokens,
        per,
        burst: burst.unwrap_or(*tokens),
        key,
    }
}

fn circuit_breakers(breakers: &v1::CircuitBreakers, faults: &mut Faults) -> ir::Breakers {
    let v1::CircuitBreakers {
        connections,
        pending_requests,
        requests,
        retry_budget,
    } = breakers;
    let budget = retry_budget.unwrap_or_default();
    ir::Breakers {
        connections: fields::at_least(*connections, 1, "connections", faults),
        pending: fields::at_least(*pending_requests, 1, "pendingRequests", faults),
        requests: fields::at_least(*requests, 1, "requests", faults),
        retries: ir::RetryBudget {
            share: fields::percent(budget.percent, "retryBudget.percent", faults),
            min_concurrency: budget.min_concurrency.unwrap_or_default(),
            min_per_second: budget.min_per_second,
        },
    }
}

fn connection(connection: &v1::Connection, faults: &mut Faults) -> ir::Connection {
    let v1::Connection {
        max,
        connect_timeout,
        idle_timeout,
        max_requests,
    } = connection;
    fields::at_least(*max, 1, "max", faults);
    ir::Connection {
        max: *max,
        connect_timeout: fields::positive(*connect_timeout, "connectTimeout", faults),
        idle_timeout: fields::timeout(*idle_timeout, "idleTimeout", faults),
        max_requests: max_requests.filter(|requests| *requests > 0),
    }
}
