//! Limits the rate of requests with token buckets.
//!
//! Owns the buckets of one rate limit in this process: a single one, or one for
//! each value of a key. Nothing here waits, locks or grows. What a refused
//! client is told in header fields is in [`fields`]; answering is done
//! elsewhere.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use evenkeel_shared::ir;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::head::Head;
use crate::tick::Tick;

mod bucket;
pub mod fields;
mod table;

#[cfg(test)]
mod tests;

use bucket::Rate;
use table::Table;

/// Sets of eight buckets for each keyed limit: 65,536 buckets in one MiB.
const SETS: usize = 8_192;

/// What a limiter says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on; a token was taken if so.
    pub allowed: bool,
    /// Requests in each window, as [`fields::policy`] tells it.
    pub limit: u32,
    /// Whole tokens left.
    pub remaining: u32,
    /// Until the bucket is full or, if it is empty, until the next token.
    pub reset: Duration,
    /// Until there is a token; zero if there is one.
    pub retry_after: Duration,
}

/// The buckets of a rate limit; shared by all workers.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    limit: u32,
    buckets: Buckets,
}

#[derive(Debug)]
enum Buckets {
    One(Box<Line>),
    Keyed(Box<Keyed>),
}

/// One number that all workers write, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

#[derive(Debug)]
struct Keyed {
    by: ir::RateLimitKey,
    secrets: RapidSecrets,
    table: Table,
}

impl Limiter {
    /// Buckets that begin full. `seed` is to be a secret, lest clients choose
    /// keys that push each other out of the table.
    pub fn new(limit: &ir::RateLimit, seed: u64) -> Self {
        let buckets = match &limit.key {
            None => Buckets::One(Box::default()),
            Some(by) => Buckets::Keyed(Box::new(Keyed {
                by: by.clone(),
                secrets: RapidSecrets::seed(seed),
                table: Table::new(SETS),
            })),
        };
        Self {
            rate: Rate::new(limit),
            limit: fields::quota(limit).0,
            buckets,
        }
    }

    /// Takes a token for a request of `client`, if there is one.
    ///
    /// In any time, a key gets no more than what flows in plus one burst. Two
    /// things can grant it more, both bounded and rare: a bucket that is not
    /// full is taken from it because its set is full of such buckets, which
    /// [`Limiter::evictions`] counts; and at the moment it enters the table,
    /// each worker may grant one request besides.
    pub fn take(&self, head: &(impl Head + ?Sized), client: IpAddr, now: Tick) -> Verdict {
        let bucket = match &self.buckets {
            Buckets::One(line) => &line.0,
            Buckets::Keyed(keyed) => {
                let now = bucket::Moment::from(now);
                keyed.table.bucket(keyed.key(head, client), now)
            }
        };
        let taken = self.rate.take(bucket, now);
        let until_token = self.rate.until_token(taken);
        let remaining = self.rate.remaining(taken);
        Verdict {
            allowed: taken.allowed,
            limit: self.limit,
            remaining,
            reset: if remaining == 0 {
                until_token
            } else {
                taken.until_full()
            },
            retry_after: until_token,
        }
    }

    /// Buckets that were not full when another key needed their place.
    pub fn evictions(&self) -> u64 {
        match &self.buckets {
            Buckets::One(_) => 0,
            Buckets::Keyed(keyed) => keyed.table.evictions(),
        }
    }
}

impl Keyed {
    /// Hash of what tells this client from others. A request without the field
    /// shares a bucket with all that lack it, and with those that send it empty.
    fn key(&self, head: &(impl Head + ?Sized), client: IpAddr) -> u64 {
        match &self.by {
            ir::RateLimitKey::ClientAddress => self.hash(&octets(client)),
            ir::RateLimitKey::Header(name) => self.hash(head.first_value(name).unwrap_or_default()),
        }
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        rapidhash_v3_seeded(bytes, &self.secrets)
    }
}

/// The address in its IPv6 form, so that `::ffff:192.0.2.1` is `192.0.2.1`.
fn octets(address: IpAddr) -> [u8; Ipv6Addr::BITS as usize / 8] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
