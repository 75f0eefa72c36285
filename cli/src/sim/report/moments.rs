//! A run in its windows: what is asked of it over time.

use std::time::Duration;

use evenkeel_data_plane::tick::Tick;

use super::{Moment, Sums};
use crate::sim::books::{Books, Fate, WINDOW, window};
use crate::sim::scenario::{Scenario, Timeline};

/// All is as usual if it is so for this long.
const CALM: Duration = Duration::from_secs(2);
/// Windows in a row in which an endpoint must be shunned.
const SHUNNED: usize = 2;

/// The windows of a run.
#[derive(Debug)]
pub(super) struct Moments {
    windows: Vec<Window>,
    /// Whether something happens to some endpoints and not to all; then their
    /// part of all.
    fair: Option<f64>,
}

/// What came in one window.
#[derive(Debug, Clone, Default)]
struct Window {
    requests: usize,
    good: usize,
    failed: usize,
    /// Latencies of requests that were answered well, in microseconds.
    micros: Vec<u32>,
    attempts: usize,
    /// Attempts at endpoints that something happens to.
    singled_out: usize,
}

impl Moments {
    pub(super) fn new(scenario: &Scenario, timeline: &Timeline, books: &Books) -> Self {
        let slo = scenario.clients.slo.as_micros();
        let mut windows: Vec<Window> = Vec::new();
        let count = books
            .windows
            .len()
            .max(window(Tick(0).plus(scenario.duration)) + 1);
        windows.resize(count, Window::default());
        for entry in &books.entries {
            let Some(window) = windows.get_mut(window(entry.arrived)) else {
                continue;
            };
            window.requests += 1;
            if entry.fate == Fate::Answered {
                window.micros.push(entry.micros);
                window.good += usize::from(u128::from(entry.micros) <= slo);
            } else {
                window.failed += 1;
            }
        }
        let singled_out = timeline.singled_out();
        for (window, counts) in windows.iter_mut().zip(&books.windows) {
            let count = |count: &u32| usize::try_from(*count).unwrap_or(usize::MAX);
            window.attempts = counts.iter().map(count).sum();
            let places = singled_out.iter().filter_map(|place| counts.get(*place));
            window.singled_out = places.map(count).sum();
        }
        let some = (1..scenario.endpoints.count).contains(&singled_out.len());
        let fair = share(singled_out.len(), scenario.endpoints.count);
        Self {
            windows,
            fair: some.then_some(fair),
        }
    }

    /// Attempts of the whole run.
    pub(super) fn attempts(&self) -> u64 {
        let attempts: usize = self.windows.iter().map(|window| window.attempts).sum();
        u64::try_from(attempts).unwrap_or(u64::MAX)
    }

    /// What became of the requests that came between two moments.
    pub(super) fn sums(&self, from: Duration, until: Duration) -> Sums {
        sums(self.between(from, until))
    }

    /// Second by second.
    pub(super) fn seconds(&self, from: Duration, until: Duration) -> Vec<Moment> {
        let mut moments = Vec::new();
        let mut at = from;
        while at < until {
            let next = at + Duration::from_secs(1);
            let windows = self.between(at, next);
            moments.push(Moment {
                at_seconds: at.as_secs_f64(),
                sums: sums(windows),
                share: self.share(windows),
            });
            at = next;
        }
        moments
    }

    /// How long nothing at all would have worked to lose as much as was lost.
    pub(super) fn outage(&self, usual: Option<&Sums>, (from, until): (Duration, Duration)) -> f64 {
        let usual = usual.map_or(1.0, |usual| usual.goodput);
        if usual <= 0.0 {
            return 0.0;
        }
        let windows = self.between(from, until).iter();
        let lost = windows.filter(|window| window.requests > 0).map(|window| {
            let goodput = share(window.good, window.requests);
            (1.0 - goodput / usual).max(0.0)
        });
        rounded(lost.sum::<f64>() * WINDOW.as_secs_f64(), 3)
    }

    /// Time until endpoints that something happens to have less than a fifth of
    /// their share.
    pub(super) fn until_shunned(&self, from: Tick) -> Option<f64> {
        let start = window(from);
        let later = self.windows.get(start..)?;
        let at = later.windows(SHUNNED).position(|windows| {
            let shunned = |window| self.share(std::slice::from_ref(window));
            windows
                .iter()
                .all(|window| window.attempts > 0 && shunned(window).is_some_and(|s| s < 0.2))
        })?;
        let at = u32::try_from(start + at + 1).ok()?;
        let at = Tick(0).plus(WINDOW.saturating_mul(at));
        Some(rounded(at.since(from).as_secs_f64(), 3))
    }

    /// Time until all is as usual: goodput within a tenth, the 99th percentile
    /// within a quarter, and every endpoint with four fifths of its share.
    pub(super) fn until_usual(&self, from: Tick, usual: &Sums, end: Duration) -> Option<f64> {
        let mut at = WINDOW * u32::try_from(window(from)).ok()?;
        while at + CALM <= end {
            let windows = self.between(at, at + CALM);
            let now = sums(windows);
            let is_fast = match (now.p99_millis, usual.p99_millis) {
                (Some(now), Some(usual)) => now <= usual * 1.25,
                (now, _) => now.is_some(),
            };
            let has_share = self.share(windows).is_none_or(|share| share >= 0.8);
            if now.goodput >= usual.goodput * 0.9 && is_fast && has_share {
                let at = Tick(0).plus(at);
                return Some(rounded(at.since(from).as_secs_f64(), 3));
            }
            at += WINDOW;
        }
        None
    }

    /// What those that something happens to get, as a multiple of their share.
    fn share(&self, windows: &[Window]) -> Option<f64> {
        let attempts: usize = windows.iter().map(|window| window.attempts).sum();
        let singled_out = windows.iter().map(|window| window.singled_out).sum();
        let fair = self.fair.filter(|_| attempts > 0)?;
        Some(rounded(share(singled_out, attempts) / fair, 3))
    }

    /// The windows that begin between two moments.
    fn between(&self, from: Duration, until: Duration) -> &[Window] {
        let place = |at: Duration| {
            let windows = at.as_nanos().div_ceil(WINDOW.as_nanos());
            usize::try_from(windows)
                .unwrap_or(usize::MAX)
                .min(self.windows.len())
        };
        self.windows
            .get(place(from)..place(until))
            .unwrap_or_default()
    }
}

fn sums(windows: &[Window]) -> Sums {
    let sum = |part: fn(&Window) -> usize| windows.iter().map(part).sum::<usize>();
    let requests = sum(|window| window.requests);
    let all = windows.iter().flat_map(|window| &window.micros);
    let mut micros: Vec<u32> = all.copied().collect();
    micros.sort_unstable();
    Sums {
        requests,
        goodput: rounded(share(sum(|window| window.good), requests), 6),
        errors: rounded(share(sum(|window| window.failed), requests), 6),
        p50_millis: percentile(&micros, 500),
        p99_millis: percentile(&micros, 990),
        p999_millis: percentile(&micros, 999),
        load: rounded(share(sum(|window| window.attempts), requests), 3),
    }
}

/// The value below which so many of a thousand lie.
fn percentile(sorted: &[u32], permille: usize) -> Option<f64> {
    let place = (sorted.len() * permille / 1000).min(sorted.len().checked_sub(1)?);
    let micros = sorted.get(place)?;
    Some(f64::from(*micros) / 1000.0)
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 {
        return 0.0;
    }
    number(part) / number(whole)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let micros: Vec<u32> = (1..=1000).map(|millis| millis * 1000).collect();
        assert_eq!(percentile(&micros, 500), Some(501.0));
        assert_eq!(percentile(&micros, 999), Some(1000.0));
        assert_eq!(percentile(&[7_000], 990), Some(7.0));
        assert_eq!(percentile(&[], 500), None);
    }

    /// Ten endpoints of which one is shunned from the third window to the tenth,
    /// and a tenth of the requests that is lost from the fifth to the eighth.
    fn moments() -> Moments {
        let window = |place: usize| Window {
            requests: 100,
            good: if (4..8).contains(&place) { 90 } else { 100 },
            failed: if (4..8).contains(&place) { 10 } else { 0 },
            micros: vec![10_000; 90],
            attempts: 100,
            singled_out: if (2..10).contains(&place) { 1 } else { 10 },
        };
        Moments {
            windows: (0..40).map(window).collect(),
            fair: Some(0.1),
        }
    }

    #[test]
    fn what_is_lost_is_told_as_the_time_of_an_outage() {
        let (moments, all) = (moments(), (Duration::ZERO, Duration::from_secs(10)));
        let usual = moments.sums(Duration::ZERO, Duration::from_secs(1));
        assert!((moments.outage(Some(&usual), all) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn an_endpoint_is_shunned_and_has_its_share_again() {
        let moments = moments();
        let usual = moments.sums(Duration::ZERO, Duration::from_secs(1));
        let at = |millis| Tick(0).plus(Duration::from_millis(millis));
        // From the third window, which ends at 750 ms.
        assert_eq!(moments.until_shunned(at(250)), Some(0.5));
        // From the eleventh window, which begins at 2.5 s, or a window before,
        // which is one of eight.
        let end = Duration::from_secs(10);
        assert_eq!(moments.until_usual(at(2_000), &usual, end), Some(0.25));
        assert_eq!(moments.until_shunned(at(3_000)), None);
    }
}
