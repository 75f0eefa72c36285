//! Limits the rate of requests.

use std::net::IpAddr;
use std::time::Duration;

use evenkeel_shared::ir;

use crate::head::Head;
use crate::tick::Tick;

pub mod fields;

/// What a limiter says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on; a token is taken if so.
    pub allowed: bool,
    /// Requests in each window, as [`fields::policy`] tells it.
    pub limit: u32,
    /// Whole tokens left.
    pub remaining: u32,
    /// Until the bucket is full.
    pub reset: Duration,
    /// Until there is a token; zero if there is one.
    pub retry_after: Duration,
}

/// The buckets of a rate limit.
#[derive(Debug)]
pub struct Limiter {
    limit: ir::RateLimit,
}

impl Limiter {
    /// Buckets that begin full; `seed` keeps clients from finding keys that
    /// collide.
    pub fn new(limit: &ir::RateLimit, _seed: u64) -> Self {
        Self {
            limit: limit.clone(),
        }
    }

    /// Takes a token, if there is one.
    pub fn take(&self, _head: &(impl Head + ?Sized), _client: IpAddr, _now: Tick) -> Verdict {
        Verdict {
            allowed: true,
            limit: self.limit.tokens,
            remaining: self.limit.burst,
            reset: Duration::ZERO,
            retry_after: Duration::ZERO,
        }
    }

    /// Keys that lost tokens they owed because the table was full.
    pub fn evictions(&self) -> u64 {
        0
    }
}
