//! When the next request is due.

use std::time::Duration;

use anyhow::ensure;

/// How many requests there are, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    limit: Option<u64>,
    time: Duration,
    /// Between two requests; none if each begins when one before it ends.
    between: Option<Duration>,
    begun: u64,
}

impl Pace {
    /// As fast as answers come, up to `limit` requests and `time`.
    pub(super) fn closed(limit: Option<u64>, time: Duration) -> Self {
        Self {
            limit,
            time,
            between: None,
            begun: 0,
        }
    }

    /// `rate` requests a second for `time`, evenly.
    ///
    /// # Errors
    /// If the rate is no number of requests.
    pub(super) fn at_rate(rate: f64, time: Duration) -> anyhow::Result<Self> {
        ensure!(
            rate.is_finite() && (0.1..=1e6).contains(&rate),
            "rate {rate}: must be 0.1 to 1000000 requests a second"
        );
        Ok(Self {
            limit: None,
            time,
            between: Some(Duration::from_secs_f64(1.0 / rate)),
            begun: 0,
        })
    }

    /// Whether requests are due at certain times.
    pub(super) fn is_timed(&self) -> bool {
        self.between.is_some()
    }

    /// If a request is due `elapsed` after the start, since when; counts it.
    pub(super) fn take(&mut self, elapsed: Duration) -> Option<Duration> {
        let due = self.next_due(elapsed)?;
        if due > elapsed {
            return None;
        }
        self.begun += 1;
        Some(due)
    }

    /// When the next request is due, if there is one.
    pub(super) fn next_due(&self, elapsed: Duration) -> Option<Duration> {
        if self.limit.is_some_and(|limit| self.begun >= limit) {
            return None;
        }
        let due = match self.between {
            Some(between) => between.mul_f64(Self::count(self.begun)),
            None => elapsed,
        };
        (due < self.time).then_some(due)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no run has 2^52 requests; up to there it is exact"
    )]
    fn count(begun: u64) -> f64 {
        begun as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_does_not_wait_for_answers() {
        let mut pace = Pace::at_rate(1_000.0, Duration::from_millis(10)).unwrap();
        let late = Duration::from_millis(3);
        let due: Vec<u128> = std::iter::from_fn(|| pace.take(late))
            .map(|due| due.as_micros())
            .collect();
        assert_eq!(due, [0, 1_000, 2_000, 3_000]);
        assert_eq!(pace.next_due(late), Some(Duration::from_millis(4)));
        let end = Duration::from_secs(1);
        assert_eq!(std::iter::from_fn(|| pace.take(end)).count(), 6);
        assert_eq!(pace.next_due(end), None);
    }

    #[test]
    fn a_limit_ends_a_closed_loop() {
        let mut pace = Pace::closed(Some(2), Duration::from_secs(1));
        let now = Duration::from_millis(5);
        assert_eq!(pace.take(now), Some(now));
        assert_eq!(pace.take(now), Some(now));
        assert_eq!(pace.take(now), None);
        let mut pace = Pace::closed(None, Duration::from_secs(1));
        assert_eq!(pace.take(Duration::from_secs(1)), None);
    }

    #[test]
    fn a_rate_is_a_number() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(
                Pace::at_rate(rate, Duration::from_secs(1)).is_err(),
                "{rate}"
            );
        }
    }
}
