//! One token bucket in one number.
//!
//! The number is the moment at which the bucket will be full again (the
//! "theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371).
//! A token moves it on by the time in which one token flows in; it may never
//! lie further ahead than a whole bucket. So the bucket fills by itself, in
//! fractions, and a moment in the past means full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_shared::ir;

use crate::tick::Tick;

/// Units in a nanosecond: so fine that rounding costs fast rates nothing worth
/// naming, and coarse enough for 36 years.
const UNITS: u64 = 16;

/// Neither a token nor a bucket takes longer than nine years to fill, so that
/// sums cannot overflow.
const LONGEST: u64 = u64::MAX / 4;

/// A moment in the units of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl From<Tick> for Moment {
    fn from(tick: Tick) -> Self {
        Self(tick.0.saturating_mul(UNITS))
    }
}

/// How fast buckets fill, and how much they hold.
#[derive(Debug)]
pub(super) struct Rate {
    /// Time in which one token flows in, rounded up.
    token: u64,
    /// Time in which a bucket fills.
    bucket: u64,
}

/// A bucket after a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) allowed: bool,
    /// Time until the bucket is full.
    owed: u64,
}

impl Rate {
    pub(super) fn new(limit: &ir::RateLimit) -> Self {
        let per = limit.per.as_nanos().saturating_mul(u128::from(UNITS));
        let token = per.div_ceil(u128::from(limit.tokens.max(1)));
        let token = u64::try_from(token).unwrap_or(LONGEST).clamp(1, LONGEST);
        let bucket = token.saturating_mul(u64::from(limit.burst.max(1)));
        Self {
            token,
            bucket: bucket.min(LONGEST),
        }
    }

    /// Takes a token out of a bucket, if there is one.
    pub(super) fn take(&self, full_at: &AtomicU64, now: Tick) -> Taken {
        let Moment(now) = Moment::from(now);
        let latest = now.saturating_add(self.bucket);
        let spend = |full_at: u64| {
            let next = full_at.max(now).saturating_add(self.token);
            (next <= latest).then_some(next)
        };
        let (allowed, full_at) =
            match full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend) {
                Ok(before) => (true, before.max(now).saturating_add(self.token)),
                Err(before) => (false, before),
            };
        Taken {
            allowed,
            owed: full_at.saturating_sub(now),
        }
    }

    /// Whole tokens left in a bucket.
    pub(super) fn remaining(&self, taken: Taken) -> u32 {
        let tokens = self.bucket.saturating_sub(taken.owed) / self.token;
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// Until there is a whole token in a bucket; zero if there is.
    pub(super) fn until_token(&self, taken: Taken) -> Duration {
        let needed = taken.owed.saturating_add(self.token);
        duration(needed.saturating_sub(self.bucket))
    }
}

impl Taken {
    pub(super) fn until_full(self) -> Duration {
        duration(self.owed)
    }
}

fn duration(units: u64) -> Duration {
    Duration::from_nanos(units.div_ceil(UNITS))
}
