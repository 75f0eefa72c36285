//! Bounds the retries of a cluster so that they cannot keep an outage alive.
//!
//! Two gates, and a retry must pass both. The first bounds how many are in
//! progress, as Envoy does. But when failures are fast, few in progress can be
//! many per second; so the second bounds their number by the number of requests.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_shared::ir;
use evenkeel_shared::units::Percent;

use crate::tick::Tick;

/// One retry in the units of the bucket: what a request deposits is then the
/// share itself.
const RETRY: u64 = 1_000_000;

/// The bucket holds what flows in by itself in this time.
const RESERVE_SECONDS: u64 = 10;

/// The bucket holds at least this many retries.
const MIN_RESERVE: u64 = 10;

/// The time that has passed is turned into retries in steps no smaller than
/// this, so that most requests only read.
const REFILL_STEP: Duration = Duration::from_millis(10);

/// Bounds the retries of a cluster; shared by all workers, without a lock.
#[derive(Debug)]
pub struct Budget {
    limits: ir::RetryBudget,
    /// Retries in progress or waiting.
    active: AtomicU32,
    /// Millionths of a retry that may begin.
    saved: AtomicU64,
    /// Up to when the passing of time has been counted, in nanoseconds.
    refilled: AtomicU64,
}

impl Budget {
    /// Begins with nothing in progress and a full reserve.
    pub fn new(limits: ir::RetryBudget) -> Self {
        let saved = AtomicU64::new(capacity(limits.min_per_second.unwrap_or_default()));
        Self {
            limits,
            active: AtomicU32::new(0),
            saved,
            refilled: AtomicU64::new(0),
        }
    }

    /// A request (not a retry) begins.
    pub fn on_request(&self, now: Tick) {
        let Some(per_second) = self.limits.min_per_second else {
            return;
        };
        self.refill(per_second, now);
        self.save(per_second, u64::from(self.limits.share.millionths()));
    }

    /// A retry that [`Plan::next`](super::Plan::next) granted has ended.
    pub fn end_retry(&self) {
        let ended = self
            .active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |active| {
                active.checked_sub(1)
            });
        debug_assert!(ended.is_ok(), "a retry ended that had not begun");
    }

    /// Retries in progress or waiting.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Begins a retry if both gates are open; `requests` are in progress.
    pub(super) fn begin_retry(&self, requests: u32, now: Tick) -> bool {
        let limit = concurrency(&self.limits, requests);
        let entered = self
            .active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |active| {
                (active < limit).then(|| active + 1)
            });
        if entered.is_err() {
            return false;
        }
        if !self.spend(now) {
            self.end_retry();
            return false;
        }
        true
    }

    /// Takes one retry out of the bucket.
    fn spend(&self, now: Tick) -> bool {
        let Some(per_second) = self.limits.min_per_second else {
            return true;
        };
        self.refill(per_second, now);
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
                saved.checked_sub(RETRY)
            })
            .is_ok()
    }

    /// Puts in what the time since the last step is worth. Whoever moves the
    /// mark puts it in, so no time counts twice.
    fn refill(&self, per_second: u32, now: Tick) {
        let from = self.refilled.load(Ordering::Relaxed);
        let passed = now.since(Tick(from));
        if passed < REFILL_STEP {
            return;
        }
        let moved =
            self.refilled
                .compare_exchange(from, now.0, Ordering::Relaxed, Ordering::Relaxed);
        if moved.is_ok() {
            let worth = passed.as_micros() * u128::from(per_second);
            self.save(per_second, u64::try_from(worth).unwrap_or(u64::MAX));
        }
    }

    fn save(&self, per_second: u32, amount: u64) {
        let capacity = capacity(per_second);
        // Fails, and so writes nothing, while the bucket is full: the common case.
        let _full = self
            .saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
                (saved < capacity).then(|| saved.saturating_add(amount).min(capacity))
            });
    }
}

/// How much the bucket holds.
fn capacity(per_second: u32) -> u64 {
    (u64::from(per_second) * RESERVE_SECONDS).max(MIN_RESERVE) * RETRY
}

/// How many retries may be in progress.
fn concurrency(limits: &ir::RetryBudget, requests: u32) -> u32 {
    let share = u64::from(limits.share.millionths()) * u64::from(requests);
    let share = share / u64::from(Percent::HUNDRED.millionths());
    u32::try_from(share)
        .unwrap_or(u32::MAX)
        .max(limits.min_concurrency)
}
