//! Random numbers that are the same in every run with the same seed.

use std::f64::consts::TAU;
use std::time::Duration;

/// What comes out of a distribution is cut off here.
const LONGEST: Duration = Duration::from_hours(1);

/// What random numbers are for. Each use has a stream of its own, so that two
/// policies meet the same clients.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    /// When requests come, and what they are.
    Clients = 1,
    /// What endpoints make of them.
    Endpoints = 2,
    /// What proxies draw.
    Proxies = 3,
}

/// A stream of numbers (`SplitMix64`, Steele, Lea and Flood, OOPSLA 2014), our
/// own so that it stays the same whatever a library does.
#[derive(Debug)]
pub(super) struct Entropy {
    state: u64,
}

impl Entropy {
    /// One of the streams of a seed.
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        let mut start = Self { state: seed };
        for _ in 0..stream as u8 {
            start.state = start.next();
        }
        start
    }

    /// Any number.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let scaled = u128::from(self.next()) * (bound as u128);
        usize::try_from(scaled >> 64).unwrap_or_default()
    }

    /// Whether something happens that does with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A time between events that come at random, this long on average.
    pub(super) fn gap(&mut self, mean: Duration) -> Duration {
        seconds(-self.unit().ln() * mean.as_secs_f64())
    }

    /// Between 0 and 1, and never either of them.
    fn unit(&mut self) -> f64 {
        let word = self.next();
        let high = u32::try_from(word >> 38).unwrap_or_default();
        let low = u32::try_from((word >> 11) & 0x7FF_FFFF).unwrap_or_default();
        (f64::from(high) * 134_217_728.0 + f64::from(low) + 0.5) / 9_007_199_254_740_992.0
    }

    /// Around 0 with a deviation of 1 (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Times {
    /// Always the same.
    Constant(Duration),
    /// Exponential, with this mean.
    Exponential(Duration),
    /// Log-normal.
    Lognormal {
        /// Mean of the logarithm of the seconds.
        mu: f64,
        /// Deviation of that logarithm.
        sigma: f64,
    },
}

impl Times {
    /// The 99th percentile of the normal distribution.
    const Z99: f64 = 2.326_347_874_040_841;

    /// Log-normal with this mean and this 99th percentile; `None` if there is
    /// none: the percentile must be above the mean and below 14 times of it.
    pub(super) fn lognormal(mean: Duration, p99: Duration) -> Option<Self> {
        let spread = (p99.as_secs_f64() / mean.as_secs_f64()).ln();
        let root = Self::Z99 * Self::Z99 - 2.0 * spread;
        if !(spread > 0.0 && root > 0.0) {
            return None;
        }
        let sigma = Self::Z99 - root.sqrt();
        Some(Self::Lognormal {
            mu: mean.as_secs_f64().ln() - sigma * sigma / 2.0,
            sigma,
        })
    }

    /// A time, `factor` times as long as usual.
    pub(super) fn draw(self, entropy: &mut Entropy, factor: f64) -> Duration {
        let usual = match self {
            Self::Constant(time) => time.as_secs_f64(),
            Self::Exponential(mean) => entropy.gap(mean).as_secs_f64(),
            Self::Lognormal { mu, sigma } => (mu + sigma * entropy.normal()).exp(),
        };
        seconds(usual * factor)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).map_or(LONGEST, |time| time.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(times: Times) -> Vec<Duration> {
        let mut entropy = Entropy::new(7, Stream::Endpoints);
        let mut drawn: Vec<Duration> = (0..100_000)
            .map(|_| times.draw(&mut entropy, 1.0))
            .collect();
        drawn.sort_unstable();
        drawn
    }

    fn mean(drawn: &[Duration]) -> f64 {
        drawn.iter().map(Duration::as_secs_f64).sum::<f64>() / 100_000.0
    }

    #[test]
    fn a_lognormal_time_has_the_mean_and_the_percentile_that_were_asked_for() {
        let (ten, forty) = (Duration::from_millis(10), Duration::from_millis(40));
        let drawn = sorted(Times::lognormal(ten, forty).unwrap());
        assert!((mean(&drawn) - 0.010).abs() < 0.000_2, "{}", mean(&drawn));
        let p99 = drawn[99_000].as_secs_f64();
        assert!((p99 - 0.040).abs() < 0.002, "{p99}");
        assert_eq!(Times::lognormal(forty, ten), None);
        assert_eq!(Times::lognormal(ten, Duration::from_secs(1)), None);
    }

    #[test]
    fn an_exponential_time_has_its_mean_and_its_median() {
        let drawn = sorted(Times::Exponential(Duration::from_millis(10)));
        assert!((mean(&drawn) - 0.010).abs() < 0.000_2, "{}", mean(&drawn));
        let median = drawn[50_000].as_secs_f64();
        assert!((median - 0.006_93).abs() < 0.000_2, "{median}");
    }

    #[test]
    fn streams_of_a_seed_differ_and_repeat() {
        let first = |seed, stream| Entropy::new(seed, stream).next();
        assert_eq!(first(1, Stream::Clients), first(1, Stream::Clients));
        assert_ne!(first(1, Stream::Clients), first(1, Stream::Proxies));
        assert_ne!(first(1, Stream::Clients), first(2, Stream::Clients));
    }
}
