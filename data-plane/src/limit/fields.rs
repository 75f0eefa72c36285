//! Header fields that tell a client of its rate limit.
//!
//! `RateLimit-Policy` and `RateLimit` as in
//! draft-ietf-httpapi-ratelimit-headers-11 (the syntax of -08 to -11), and
//! `Retry-After` as in RFC 9110, section 10.2.3.

use std::time::Duration;

use evenkeel_shared::ir;

use crate::limit::Verdict;

/// Value of `RateLimit-Policy`: the quota of a window. The same for all
/// requests, so it can be kept.
pub fn policy(limit: &ir::RateLimit) -> String {
    let (quota, window) = quota(limit);
    format!("\"default\";q={quota};w={window}")
}

/// Value of `RateLimit`: what is left, and for how long it must do.
pub fn rate_limit(verdict: &Verdict) -> String {
    let window = whole_seconds(verdict.reset);
    format!("\"default\";r={};t={window}", verdict.remaining)
}

/// Value of `Retry-After` for a wait: whole seconds, rounded up, at least 1.
pub fn retry_after(wait: Duration) -> u64 {
    whole_seconds(wait).max(1)
}

/// Requests and seconds of a window. Windows are whole seconds on the wire, so a
/// limit for another time is told for the next whole second; its quota is at
/// least 1.
pub(super) fn quota(limit: &ir::RateLimit) -> (u32, u64) {
    let window = whole_seconds(limit.per).max(1);
    let tokens = u128::from(limit.tokens) * u128::from(window) * 1_000_000_000;
    let quota = tokens / limit.per.as_nanos().max(1);
    (u32::try_from(quota).unwrap_or(u32::MAX).max(1), window)
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(tokens: u32, millis: u64) -> ir::RateLimit {
        ir::RateLimit {
            tokens,
            per: Duration::from_millis(millis),
            burst: 5,
            key: None,
        }
    }

    #[test]
    fn a_policy_is_told_in_whole_seconds() {
        assert_eq!(policy(&limit(100, 1_000)), r#""default";q=100;w=1"#);
        assert_eq!(policy(&limit(60, 60_000)), r#""default";q=60;w=60"#);
        assert_eq!(policy(&limit(5, 100)), r#""default";q=50;w=1"#);
        assert_eq!(policy(&limit(3, 1_500)), r#""default";q=4;w=2"#);
        assert_eq!(policy(&limit(u32::MAX, 1)), r#""default";q=4294967295;w=1"#);
    }

    #[test]
    fn what_is_left_is_told_with_its_time() {
        let verdict = Verdict {
            allowed: true,
            limit: 100,
            remaining: 50,
            reset: Duration::from_millis(29_100),
            retry_after: Duration::ZERO,
        };
        assert_eq!(rate_limit(&verdict), r#""default";r=50;t=30"#);
    }

    #[test]
    fn clients_wait_whole_seconds_and_at_least_one() {
        assert_eq!(retry_after(Duration::ZERO), 1);
        assert_eq!(retry_after(Duration::from_millis(10)), 1);
        assert_eq!(retry_after(Duration::from_secs(2)), 2);
        assert_eq!(retry_after(Duration::from_millis(2_001)), 3);
    }
}
