//! Counts what the attempts at one host came to and how long they took, for the
//! detectors that compare hosts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counters::as_status;
use crate::outcome::Outcome;
use crate::telemetry::counters::add_one;

/// Times below it are one bucket.
const FINEST: Duration = Duration::from_micros(64);
/// Buckets to each doubling of the time.
const STEPS: usize = 4;
/// Doublings that are told apart, up to about a minute.
const DOUBLINGS: usize = 20;
const BUCKETS: usize = 1 + STEPS * DOUBLINGS;

/// What one worker counts of a host. Only that worker writes.
#[derive(Debug)]
pub struct Tally {
    answers: AtomicU64,
    server_errors: AtomicU64,
    local_failures: AtomicU64,
    times: [AtomicU64; BUCKETS],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            answers: AtomicU64::default(),
            server_errors: AtomicU64::default(),
            local_failures: AtomicU64::default(),
            times: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Tally {
    /// Counts an attempt. Its time counts if the host used it up: an answer, or
    /// none in time. A connection that is refused at once says nothing of speed.
    pub fn observe(&self, outcome: Outcome, took: Duration) {
        if outcome.is_local_origin() {
            add_one(&self.local_failures);
        } else {
            add_one(&self.answers);
            if as_status(outcome) >= 500 {
                add_one(&self.server_errors);
            }
        }
        if matches!(outcome, Outcome::Response { .. } | Outcome::PerTryTimeout)
            && let Some(count) = self.times.get(bucket(took))
        {
            add_one(count);
        }
    }
}

/// What all workers counted of a host, since the beginning or in an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Responses.
    pub answers: u64,
    /// Those with 5xx.
    pub server_errors: u64,
    /// Attempts that came to no response.
    pub local_failures: u64,
    pub(super) times: [u64; BUCKETS],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            answers: 0,
            server_errors: 0,
            local_failures: 0,
            times: [0; BUCKETS],
        }
    }
}

impl Totals {
    /// Adds what one worker counted.
    pub fn add(&mut self, tally: &Tally) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        self.answers += read(&tally.answers);
        self.server_errors += read(&tally.server_errors);
        self.local_failures += read(&tally.local_failures);
        for (sum, count) in self.times.iter_mut().zip(&tally.times) {
            *sum += read(count);
        }
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut times = self.times;
        for (count, before) in times.iter_mut().zip(&earlier.times) {
            *count = count.saturating_sub(*before);
        }
        Self {
            answers: self.answers.saturating_sub(earlier.answers),
            server_errors: self.server_errors.saturating_sub(earlier.server_errors),
            local_failures: self.local_failures.saturating_sub(earlier.local_failures),
            times,
        }
    }

    /// How many attempts have a time.
    pub fn timed(&self) -> u64 {
        self.times.iter().sum()
    }

    /// The time that half of the attempts stayed below, evenly spread within its
    /// bucket; `None` without a time.
    pub fn median(&self) -> Option<Duration> {
        let half = self.timed().div_ceil(2);
        let mut below = 0;
        for (index, count) in self.times.iter().enumerate() {
            if *count > 0 && below + count >= half {
                let (low, high) = (lower(index), lower(index + 1));
                let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let width = high.saturating_sub(low);
                let inside = width.saturating_mul(part(half - below)) / part(*count);
                return Some(low + inside.min(width));
            }
            below += count;
        }
        None
    }
}

/// The bucket of a time.
fn bucket(time: Duration) -> usize {
    let unit = FINEST.as_micros() / STEPS as u128;
    let units = time.as_micros() / unit;
    let Some(doublings) = units.checked_ilog2().and_then(|log| log.checked_sub(2)) else {
        return 0;
    };
    let step = usize::try_from((units >> doublings) & 3).unwrap_or(0);
    let doublings = usize::try_from(doublings).unwrap_or(usize::MAX);
    doublings
        .saturating_mul(STEPS)
        .saturating_add(step + 1)
        .min(BUCKETS - 1)
}

/// The shortest time in a bucket.
fn lower(bucket: usize) -> Duration {
    let Some(index) = bucket.checked_sub(1) else {
        return Duration::ZERO;
    };
    let steps = STEPS + index % STEPS;
    let unit = FINEST / 4;
    let doublings = u32::try_from(index / STEPS).unwrap_or(u32::MAX);
    let factor = u32::try_from(steps)
        .unwrap_or(u32::MAX)
        .checked_shl(doublings)
        .unwrap_or(u32::MAX);
    unit.saturating_mul(factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answered(times: &[Duration]) -> Totals {
        let tally = Tally::default();
        for time in times {
            let outcome = Outcome::Response {
                status: 200,
                grpc_status: None,
            };
            tally.observe(outcome, *time);
        }
        let mut totals = Totals::default();
        totals.add(&tally);
        totals
    }

    #[test]
    fn every_time_lies_in_its_bucket() {
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::from_micros(63)), 0);
        assert_eq!(bucket(FINEST), 1);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        for index in 0..BUCKETS {
            assert_eq!(bucket(lower(index)), index);
        }
    }

    #[test]
    fn what_is_counted_tells_answers_from_local_failures() {
        let tally = Tally::default();
        let status = |status| Outcome::Response {
            status,
            grpc_status: None,
        };
        let millis = Duration::from_millis;
        for outcome in [status(200), status(404), status(503)] {
            tally.observe(outcome, millis(1));
        }
        tally.observe(Outcome::ConnectFailure, millis(1));
        tally.observe(Outcome::PerTryTimeout, millis(900));
        let mut totals = Totals::default();
        totals.add(&tally);
        assert_eq!((totals.answers, totals.server_errors), (3, 1));
        assert_eq!((totals.local_failures, totals.timed()), (2, 4));
        let rest = totals.since(&totals.clone());
        assert_eq!(rest, Totals::default());
        assert_eq!(rest.median(), None);
    }

    proptest! {
        #[test]
        fn the_median_is_as_near_as_the_buckets_allow(
            micros in prop::collection::vec(0_u64..60_000_000, 1..200),
        ) {
            let mut times: Vec<Duration> =
                micros.into_iter().map(Duration::from_micros).collect();
            let seen = answered(&times).median().unwrap();
            times.sort();
            let exact = times[times.len().div_ceil(2) - 1];
            let place = bucket(exact);
            prop_assert!(seen >= lower(place), "{seen:?} for {exact:?}");
            prop_assert!(seen <= lower(place + 1), "{seen:?} for {exact:?}");
        }
    }
}
