//! Upper bounds on what is open at once.

use crate::ir::{Breakers, RetryBudget};
use crate::units::Percent;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::values::{number_or, percent_or};
use crate::xds::wire::{cluster, core};
use cluster::circuit_breakers::{Thresholds, thresholds};

/// Envoy's bound on connections, waiting and running requests.
const DEFAULT_MAX: u32 = 1024;
/// Envoy's bound on retries, with and without a budget.
const DEFAULT_RETRIES: u32 = 3;
/// Envoy's share of a budget that names none.
const DEFAULT_SHARE: Percent = Percent::whole(20);

/// Reads the bounds of the cluster and that on the connections to one endpoint.
/// Of several thresholds of one priority the first holds, as in Envoy.
pub(super) fn breakers(
    from: cluster::CircuitBreakers,
    min_per_second: Option<u32>,
    found: &mut Findings,
) -> Option<(Breakers, Option<u32>)> {
    let cluster::CircuitBreakers {
        thresholds,
        per_host_thresholds,
    } = from;
    let whole = found.at("circuit_breakers.thresholds", |found| {
        default_priority(thresholds, found)
    });
    let breakers = found.at("circuit_breakers.thresholds", |found| {
        bounds(whole.unwrap_or_default(), min_per_second, found)
    });
    let per_host = found.at("circuit_breakers.per_host_thresholds", |found| {
        let first = default_priority(per_host_thresholds, found)?;
        let Thresholds {
            priority: _,
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries,
            retry_budget,
            track_remaining: _,
            max_connection_pools,
        } = first;
        found.unsupported_if([
            ("max_pending_requests", set(&max_pending_requests)),
            ("max_requests", set(&max_requests)),
            ("max_retries", set(&max_retries)),
            ("retry_budget", set(&retry_budget)),
            ("max_connection_pools", set(&max_connection_pools)),
        ]);
        max_connections.map(|max| max.value)
    });
    Some((breakers?, per_host))
}

/// The first of the default priority. Requests of high priority count as any
/// other.
fn default_priority(all: Vec<Thresholds>, found: &mut Findings) -> Option<Thresholds> {
    let mut first = None;
    for (index, thresholds) in all.into_iter().enumerate() {
        let default = thresholds.priority == i32::from(core::RoutingPriority::Default);
        if default && first.is_none() {
            first = Some(thresholds);
        } else {
            found.ignore(&format!("[{index}]"));
        }
    }
    first
}

fn bounds(from: Thresholds, min_per_second: Option<u32>, found: &mut Findings) -> Option<Breakers> {
    let Thresholds {
        priority: _,
        max_connections,
        max_pending_requests,
        max_requests,
        max_retries,
        retry_budget,
        track_remaining: _,
        max_connection_pools,
    } = from;
    found.ignore_if([("max_connection_pools", set(&max_connection_pools))]);
    let (share, min_concurrency) = match retry_budget {
        None => (Some(Percent::ZERO), number_or(max_retries, DEFAULT_RETRIES)),
        Some(from) => found.at("retry_budget", |found| {
            let thresholds::RetryBudget {
                budget_percent,
                budget_interval,
                min_retry_concurrency,
            } = from;
            found.ignore_if([("budget_interval", set(&budget_interval))]);
            (
                percent_or(budget_percent, "budget_percent", DEFAULT_SHARE, found),
                number_or(min_retry_concurrency, DEFAULT_RETRIES),
            )
        }),
    };
    Some(Breakers {
        connections: number_or(max_connections, DEFAULT_MAX),
        pending: number_or(max_pending_requests, DEFAULT_MAX),
        requests: number_or(max_requests, DEFAULT_MAX),
        retries: RetryBudget {
            share: share?,
            min_concurrency,
            min_per_second,
        },
    })
}
