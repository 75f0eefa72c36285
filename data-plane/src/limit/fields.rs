//! Header fields that tell a client of its rate limit.

use std::time::Duration;

use evenkeel_shared::ir;

use crate::limit::Verdict;

/// Value of `RateLimit-Policy`.
pub fn policy(limit: &ir::RateLimit) -> String {
    format!("\"default\";q={};w={}", limit.tokens, limit.per.as_secs())
}

/// Value of `RateLimit`.
pub fn rate_limit(verdict: &Verdict) -> String {
    format!(
        "\"default\";r={};t={}",
        verdict.remaining,
        verdict.reset.as_secs()
    )
}

/// Value of `Retry-After`: whole seconds, rounded up, at least 1.
pub fn retry_after(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}
