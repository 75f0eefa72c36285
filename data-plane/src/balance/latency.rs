//! What a request to a host costs in time, as it was seen lately.
//!
//! A moving average that is weighted by time, not by number: it follows a rise at
//! once and a fall slowly (peak EWMA). What nobody asks for is forgotten in the
//! same way, so that a host that was slow is tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_shared::ir;

use crate::tick::Tick;

/// The clock counts in steps of 2^20 nanoseconds, about a millisecond; 32 bits of
/// them go round in 52 days.
const STEP_BITS: u32 = 20;
/// What a host of which nothing is known is taken to cost while it is asked for
/// the first time.
const UNKNOWN: f64 = 1e9;

/// The cost of one host, shared by all who ask it.
#[derive(Debug, Default)]
pub struct Latency(AtomicU64);

impl Latency {
    /// An attempt took so long until its answer began, or until it failed. A
    /// failure costs `failure_penalty` besides, or answering quickly with errors
    /// would be the way to get more requests.
    pub fn observe(&self, took: Duration, failed: bool, now: Tick, settings: &ir::PeakEwma) {
        let seen = |word| Some(Known::from(word).and(took, failed, now, settings).into());
        // It never refuses.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, seen);
    }

    /// What was known when it was last observed, if ever.
    pub fn known(&self) -> Option<Duration> {
        let known = Known::from(self.0.load(Ordering::Relaxed));
        let seconds = f64::from(known.cost) / 1e9;
        (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
    }

    /// Nanoseconds that a request costs at a host with so many in progress.
    pub(super) fn cost(&self, active: u32, now: Tick, decay: Duration) -> f64 {
        let known = Known::from(self.0.load(Ordering::Relaxed));
        match (known.cost > 0.0, active) {
            (false, 0) => 0.0,
            (false, _) => UNKNOWN,
            // Only while nobody asks: an answer that is overdue is no good sign.
            (true, 0) => f64::from(known.cost) * known.kept(now, decay),
            (true, _) => f64::from(known.cost),
        }
    }
}

/// What is known of a host: a cost in nanoseconds, 0 if none, and since when.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    step: u32,
    cost: f32,
}

impl From<u64> for Known {
    fn from(word: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        Self {
            step: half(word >> 32),
            cost: f32::from_bits(half(word)),
        }
    }
}

impl From<Known> for u64 {
    fn from(known: Known) -> Self {
        Self::from(known.step) << 32 | Self::from(known.cost.to_bits())
    }
}

impl Known {
    fn and(self, took: Duration, failed: bool, now: Tick, settings: &ir::PeakEwma) -> Self {
        let took = nanos(took).max(1.0);
        let penalty = if failed {
            nanos(settings.failure_penalty)
        } else {
            0.0
        };
        let (before, kept) = (f64::from(self.cost), self.kept(now, settings.decay));
        let blended = |sample: f64| before * kept + sample * (1.0 - kept);
        let cost = if self.cost == 0.0 {
            took + penalty
        } else if took > before {
            took.max(blended(took + penalty))
        } else {
            blended(took + penalty)
        };
        Self {
            step: self.step.wrapping_add(self.age(now)),
            cost: narrow(cost),
        }
    }

    /// Steps since then; none for a clock that is behind that of another worker.
    fn age(self, now: Tick) -> u32 {
        let steps = (now.0 >> STEP_BITS) & u64::from(u32::MAX);
        let age = u32::try_from(steps)
            .unwrap_or_default()
            .wrapping_sub(self.step);
        if age > u32::MAX / 2 { 0 } else { age }
    }

    /// How much of it still counts.
    fn kept(self, now: Tick, decay: Duration) -> f64 {
        let age = Duration::from_nanos(u64::from(self.age(now)) << STEP_BITS);
        (-nanos(age) / nanos(decay).max(1.0)).exp()
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

#[expect(clippy::cast_possible_truncation, reason = "24 bits of it are enough")]
fn narrow(cost: f64) -> f32 {
    cost as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ir::PeakEwma = ir::PeakEwma {
        decay: Duration::from_secs(10),
        failure_penalty: Duration::from_secs(5),
    };

    fn at(seconds: f64) -> Tick {
        Tick(0).plus(Duration::from_secs_f64(seconds))
    }

    fn millis(latency: &Latency, active: u32, seconds: f64) -> f64 {
        latency.cost(active, at(seconds), SETTINGS.decay) / 1e6
    }

    fn seen(latency: &Latency, took: u64, failed: bool, seconds: f64) {
        let took = Duration::from_millis(took);
        latency.observe(took, failed, at(seconds), &SETTINGS);
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < wanted / 100.0
    }

    #[test]
    fn a_rise_counts_at_once_and_a_fall_with_time() {
        let latency = Latency::default();
        seen(&latency, 10, false, 1.0);
        seen(&latency, 100, false, 1.0);
        assert!(near(millis(&latency, 1, 1.0), 100.0));
        seen(&latency, 10, false, 1.0);
        assert!(near(millis(&latency, 1, 1.0), 100.0), "no time has passed");
        seen(&latency, 10, false, 11.0);
        let fallen = 10.0 + 90.0 / std::f64::consts::E;
        assert!(near(millis(&latency, 1, 11.0), fallen));
    }

    /// A tenth of the requests fails, so a tenth of the penalty is added, however
    /// many requests there are.
    #[test]
    fn failures_cost_by_their_share_of_the_requests() {
        for per_second in [20_u32, 200] {
            let latency = Latency::default();
            for request in 0..per_second * 100 {
                let now = f64::from(request) / f64::from(per_second);
                seen(&latency, 2, request % 10 == 9, now);
            }
            let cost = millis(&latency, 1, 100.0);
            assert!((400.0..600.0).contains(&cost), "{per_second}: {cost}");
        }
    }

    #[test]
    fn a_host_that_fails_from_the_start_costs_the_penalty() {
        let latency = Latency::default();
        seen(&latency, 1, true, 1.0);
        assert!(near(millis(&latency, 1, 1.0), 5_001.0));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let latency = Latency::default();
        seen(&latency, 1_000, false, 1.0);
        assert!(near(
            millis(&latency, 0, 11.0),
            1_000.0 / std::f64::consts::E
        ));
        assert!(near(millis(&latency, 1, 11.0), 1_000.0));
    }

    #[test]
    fn an_unknown_host_is_asked_once() {
        let latency = Latency::default();
        assert!(millis(&latency, 0, 1.0) < 1e-9);
        assert!(near(millis(&latency, 1, 1.0), 1_000.0));
    }

    #[test]
    fn a_clock_that_is_behind_forgets_nothing() {
        let latency = Latency::default();
        seen(&latency, 100, false, 50.0);
        seen(&latency, 1, false, 49.0);
        assert!(near(millis(&latency, 1, 50.0), 100.0));
    }

    #[test]
    fn the_clock_of_steps_may_go_round() {
        let latency = Latency::default();
        let round = Tick(u64::from(u32::MAX) << STEP_BITS);
        let took = Duration::from_millis(100);
        latency.observe(took, false, round, &SETTINGS);
        let later = round.plus(Duration::from_secs(10));
        let cost = latency.cost(0, later, SETTINGS.decay) / 1e6;
        assert!(near(cost, 100.0 / std::f64::consts::E), "{cost}");
    }
}
