//! Takes hosts out of their cluster that fail again and again.
//!
//! Detectors of two kinds. [`Counters`] stand at each host and are told of every
//! attempt by all workers; when one fires, the control thread is told. A
//! [`Tally`] stands at each host for each worker, if a detector that compares
//! hosts is on; the control thread reads them at every sweep, and [`findings`]
//! says which hosts stand out. Whatever fires, [`Ejections`] decides, one value
//! for each cluster, whether the host goes out and for how long. The rules are
//! those of Envoy's `outlier_detection`, and a detector for latency that Envoy
//! has not. What an ejection does to balancing is decided elsewhere.
//!
//! ```text
//!            detector fires, share allows
//!       in -------------------------------> out
//!        ^                                   |
//!        +---- first sweep after its time ---+
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_shared::ir;

use crate::tick::Tick;

mod compare;
mod counters;
mod tally;
mod window;

#[cfg(test)]
mod tests;

pub use compare::{Finding, findings};
pub use counters::Counters;
pub use tally::{Tally, Totals};
pub use window::Windows;

/// Which detector fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Responses with 5xx in a row.
    Consecutive5xx,
    /// Responses with 502, 503 or 504 in a row.
    ConsecutiveGatewayFailure,
    /// Connect failures, resets and timeouts in a row.
    ConsecutiveLocalOriginFailure,
    /// Far fewer successes than the others.
    SuccessRate,
    /// The same, of connect failures, resets and timeouts.
    LocalOriginSuccessRate,
    /// Too large a share of failures.
    FailurePercentage,
    /// The same, of connect failures, resets and timeouts.
    LocalOriginFailurePercentage,
    /// Far slower than the others.
    Latency,
}

/// What became of a host whose detector fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is out.
    Ejected {
        /// It comes back with the first sweep from then on.
        until: Tick,
    },
    /// It stays, because too many are out.
    Overflow,
    /// It was out already.
    AlreadyOut,
}

/// A host that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Why.
    pub cause: Cause,
    /// It comes back with the first sweep from then on.
    pub until: Tick,
}

/// The ejected hosts of one cluster, and how often each was ejected of late.
#[derive(Debug, Clone, Default)]
pub struct Ejections {
    /// Hosts that are out, or were not long ago; a host without a past is not
    /// kept.
    hosts: BTreeMap<u64, Past>,
}

#[derive(Debug, Clone, Copy)]
struct Past {
    /// Present if the host is out.
    ejection: Option<Ejection>,
    /// How many times `base_ejection_time` the last ejection lasted, less what
    /// good conduct took off.
    multiplier: u32,
    /// While the host is in: up to when its good conduct has been counted.
    good_until: Tick,
}

impl Ejections {
    /// A detector of a host fired, in a cluster of so many hosts, in or out.
    ///
    /// The host goes out if at most `max_ejection_percent` of the hosts are out
    /// then, or if none is and `always_eject_one` allows the first; the last
    /// host of a cluster is never the one.
    #[expect(
        clippy::too_many_arguments,
        reason = "one event: who, why, among how many, when, by which rules"
    )]
    pub fn on_trigger(
        &mut self,
        host: u64,
        cause: Cause,
        hosts: usize,
        now: Tick,
        settings: &ir::Outlier,
    ) -> Verdict {
        if self.get(host).is_some() {
            return Verdict::AlreadyOut;
        }
        if !allows_another(self.count(), hosts, settings) {
            return Verdict::Overflow;
        }
        let past = self.hosts.entry(host).or_insert(Past {
            ejection: None,
            multiplier: 0,
            good_until: now,
        });
        past.multiplier = grown(past.multiplier, settings);
        let time = settings.base_ejection_time.saturating_mul(past.multiplier);
        let until = now.plus(time.min(settings.max_ejection_time));
        past.ejection = Some(Ejection { cause, until });
        Verdict::Ejected { until }
    }

    /// Takes back the hosts whose time is over and gives them, in order; their
    /// [`Counters`] are to be reset. To be called each `interval`; each that a
    /// host was in takes one off its multiplier.
    pub fn sweep(&mut self, now: Tick, settings: &ir::Outlier) -> Vec<u64> {
        let mut returned = Vec::new();
        for (host, past) in &mut self.hosts {
            match past.ejection {
                Some(ejection) if ejection.until <= now => {
                    past.ejection = None;
                    past.good_until = now;
                    returned.push(*host);
                }
                Some(_) => {}
                None => past.forgive(now, settings.interval),
            }
        }
        self.hosts
            .retain(|_, past| past.ejection.is_some() || past.multiplier > 0);
        returned
    }

    /// Ends the ejection of a host before its time. Whether it was out; its past
    /// is kept.
    pub fn end(&mut self, host: u64, now: Tick) -> bool {
        let past = self.hosts.get_mut(&host);
        past.is_some_and(|past| {
            past.good_until = now;
            past.ejection.take().is_some()
        })
    }

    /// The host has left the cluster, and its past with it.
    pub fn forget(&mut self, host: u64) {
        self.hosts.remove(&host);
    }

    /// The ejection of a host, if it is out.
    pub fn get(&self, host: u64) -> Option<Ejection> {
        self.hosts.get(&host)?.ejection
    }

    /// How many hosts are out.
    pub fn count(&self) -> usize {
        let out = self.hosts.values().filter(|past| past.ejection.is_some());
        out.count()
    }

    /// When the next host may come back, if any is out.
    pub fn next_due(&self) -> Option<Tick> {
        let out = self.hosts.values().filter_map(|past| past.ejection);
        out.map(|ejection| ejection.until).min()
    }
}

impl Past {
    /// Takes one off the multiplier for each whole interval of good conduct.
    fn forgive(&mut self, now: Tick, interval: Duration) {
        let interval = interval.max(Duration::from_nanos(1));
        let intervals = now.since(self.good_until).as_nanos() / interval.as_nanos();
        let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.multiplier = self.multiplier.saturating_sub(intervals);
        self.good_until = self.good_until.plus(interval.saturating_mul(intervals));
    }
}

fn allows_another(out: usize, hosts: usize, settings: &ir::Outlier) -> bool {
    let share_holds =
        100 * (out as u128 + 1) <= u128::from(settings.max_ejection_percent) * hosts as u128;
    let one_is_left = out + 1 < hosts;
    one_is_left && (share_holds || (settings.always_eject_one && out == 0))
}

/// One more, until the time it stands for has passed the maximum.
fn grown(multiplier: u32, settings: &ir::Outlier) -> u32 {
    let time = settings.base_ejection_time.saturating_mul(multiplier);
    let bound = settings
        .max_ejection_time
        .saturating_add(settings.base_ejection_time);
    if time < bound {
        multiplier.saturating_add(1)
    } else {
        multiplier
    }
}
