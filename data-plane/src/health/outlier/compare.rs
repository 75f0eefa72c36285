//! Compares what the hosts of a cluster did in one interval.

use std::time::Duration;

use evenkeel_shared::ir;

use super::Cause;
use super::tally::Totals;

/// A host that stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub host: u64,
    /// Which detector says so.
    pub cause: Cause,
    /// How often that is to be obeyed, in percent.
    pub enforcing: u32,
}

impl Finding {
    /// Whether it is obeyed, as a random number has it.
    pub fn is_enforced(&self, entropy: u64) -> bool {
        entropy % 100 < u64::from(self.enforcing)
    }
}

/// Which hosts stand out, the worst of each detector first: there may not be
/// room for all of them outside.
pub fn findings(hosts: &[(u64, Totals)], settings: &ir::Outlier) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(rate) = &settings.success_rate {
        let causes = [Cause::SuccessRate, Cause::LocalOriginSuccessRate];
        let enforcing = [rate.enforcing, rate.enforcing_local_origin];
        for (series, cause, enforcing) in series(settings, causes, enforcing) {
            let rates = rates(hosts, series, rate.request_volume);
            let least = least_success(&rates, rate);
            let below = rates.iter().filter(|(_, rate)| *rate < least);
            found.extend(below.map(|(host, _)| Finding {
                host: *host,
                cause,
                enforcing,
            }));
        }
    }
    if let Some(share) = &settings.failure_percentage {
        let causes = [
            Cause::FailurePercentage,
            Cause::LocalOriginFailurePercentage,
        ];
        let enforcing = [share.enforcing, share.enforcing_local_origin];
        for (series, cause, enforcing) in series(settings, causes, enforcing) {
            let mut rates = rates(hosts, series, share.request_volume);
            if !enough(rates.len(), share.minimum_hosts) {
                continue;
            }
            rates.retain(|(_, rate)| 100.0 - rate >= f64::from(share.threshold));
            found.extend(rates.into_iter().map(|(host, _)| Finding {
                host,
                cause,
                enforcing,
            }));
        }
    }
    if let Some(latency) = &settings.latency {
        found.extend(slow(hosts, latency));
    }
    found
}

/// What a detector looks at: all failures, or responses and local failures each
/// by themselves.
fn series(
    settings: &ir::Outlier,
    causes: [Cause; 2],
    enforcing: [u32; 2],
) -> impl Iterator<Item = (Series, Cause, u32)> {
    let split = settings.split_local_origin;
    let main = if split {
        Series::Responses
    } else {
        Series::All
    };
    [
        (main, causes[0], enforcing[0]),
        (Series::Local, causes[1], enforcing[1]),
    ]
    .into_iter()
    .take(if split { 2 } else { 1 })
}

/// What counts as a failure.
#[derive(Debug, Clone, Copy)]
enum Series {
    /// Every failed attempt.
    All,
    /// Responses with 5xx, among responses.
    Responses,
    /// Attempts without a response, among attempts.
    Local,
}

impl Series {
    /// Attempts, and how many of them failed.
    fn of(self, totals: &Totals) -> (u64, u64) {
        let attempts = totals.answers.saturating_add(totals.local_failures);
        match self {
            Self::All => (
                attempts,
                totals.server_errors.saturating_add(totals.local_failures),
            ),
            Self::Responses => (totals.answers, totals.server_errors),
            Self::Local => (attempts, totals.local_failures),
        }
    }
}

/// The percentages of success of the hosts with enough requests, ascending.
fn rates(hosts: &[(u64, Totals)], series: Series, volume: u32) -> Vec<(u64, f64)> {
    let rate = |(host, totals): &(u64, Totals)| {
        let (attempts, failures) = series.of(totals);
        let enough = attempts >= u64::from(volume.max(1));
        let good = attempts.saturating_sub(failures);
        enough.then(|| (*host, 100.0 * number(good) / number(attempts)))
    };
    let mut rates: Vec<(u64, f64)> = hosts.iter().filter_map(rate).collect();
    rates.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    rates
}

/// The lowest rate that is not an outlier; below every rate if there are too few
/// to compare.
fn least_success(rates: &[(u64, f64)], settings: &ir::SuccessRate) -> f64 {
    if !enough(rates.len(), settings.minimum_hosts) {
        return f64::NEG_INFINITY;
    }
    let count = number(rates.len() as u64);
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let squares = rates.iter().map(|(_, rate)| (rate - mean).powi(2));
    let deviation = (squares.sum::<f64>() / count).sqrt();
    mean - deviation * f64::from(settings.stdev_factor) / 1000.0
}

/// The hosts that are far slower than the middle one, the slowest first.
fn slow(hosts: &[(u64, Totals)], settings: &ir::LatencyOutlier) -> Vec<Finding> {
    let enough_timed =
        |totals: &Totals| totals.timed() >= u64::from(settings.request_volume.max(1));
    let mut times: Vec<(u64, Duration)> = hosts
        .iter()
        .filter(|(_, totals)| enough_timed(totals))
        .filter_map(|(host, totals)| Some((*host, totals.median()?)))
        .collect();
    if !enough(times.len(), settings.minimum_hosts) {
        return Vec::new();
    }
    times.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    let middle = median(times.iter().map(|(_, time)| *time));
    let spread = median(times.iter().map(|(_, time)| time.abs_diff(middle)));
    let by_spread = spread.saturating_mul(settings.mad_factor) / 1000;
    let most = middle.saturating_add(by_spread.max(settings.minimum_difference));
    let outliers = times.iter().filter(|(_, time)| *time > most);
    outliers
        .map(|(host, _)| Finding {
            host: *host,
            cause: Cause::Latency,
            enforcing: settings.enforcing,
        })
        .collect()
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    let half = times.len() / 2;
    if times.len().is_multiple_of(2) {
        at(half.saturating_sub(1)).saturating_add(at(half)) / 2
    } else {
        at(half)
    }
}

fn enough(hosts: usize, minimum: u32) -> bool {
    hosts > 0 && hosts as u64 >= u64::from(minimum)
}

/// A count as a number that can be divided; no interval holds more.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
