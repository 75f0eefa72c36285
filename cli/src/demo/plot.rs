//! The plot of the demo: warm up, crash, ejection, return, recovery. Decides
//! what happens next from what was seen, and judges it at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::shop::VICTIM;
use super::watcher::View;

/// Time of ordinary business at the beginning.
const WARM_UP: Duration = Duration::from_secs(3);
/// Time in which every proxy must have ejected the crashed instance.
const EJECTION_WITHIN: Duration = Duration::from_secs(8);
/// Time for which the instance is gone at least, so that it can be watched;
/// less than an ejection lasts.
const OUTAGE: Duration = Duration::from_millis(1500);
/// Time in which every proxy must use it again.
const RECOVERY_WITHIN: Duration = Duration::from_secs(12);
/// Time of ordinary business at the end.
const CALM: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// Crash the instance.
    Crash,
    /// Let it listen again.
    Restore,
    /// The plot is over.
    End,
}

/// Where the plot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Warming,
    Crashed,
    Returned,
    Calm,
    Over,
}

/// The plot so far. Times are counted from the beginning of the demo.
#[derive(Debug)]
pub(super) struct Plot {
    act: Act,
    since: Duration,
    proxies: usize,
    /// When each proxy was seen to have ejected the instance.
    ejected: BTreeMap<String, Duration>,
    /// When each proxy was seen to use it again.
    recovered: BTreeMap<String, Duration>,
    /// Attempts that had reached it when all proxies used it again.
    attempts: u64,
    /// Lines to be told.
    told: Vec<String>,
    faults: Vec<String>,
    ejection: Option<Duration>,
    recovery: Option<Duration>,
}

impl Plot {
    /// Begins at `now` with this many proxies.
    pub(super) fn new(now: Duration, proxies: usize) -> Self {
        Self {
            act: Act::Warming,
            since: now,
            proxies,
            ejected: BTreeMap::new(),
            recovered: BTreeMap::new(),
            attempts: 0,
            told: Vec::new(),
            faults: Vec::new(),
            ejection: None,
            recovery: None,
        }
    }

    /// Looks at the instance, and decides.
    pub(super) fn step(&mut self, now: Duration, views: &[View], attempts: u64) -> Option<Cue> {
        let passed = now.saturating_sub(self.since);
        match self.act {
            Act::Warming if passed >= WARM_UP => {
                self.tell(format!("{VICTIM} crashes: its port and connections close"));
                self.turn(Act::Crashed, now);
                Some(Cue::Crash)
            }
            Act::Crashed => self.watch_ejection(now, passed, views),
            Act::Returned => self.watch_recovery(now, passed, views, attempts),
            Act::Calm if passed >= CALM => {
                if attempts <= self.attempts {
                    self.faults
                        .push(format!("{VICTIM} got no request after it was back"));
                }
                self.turn(Act::Over, now);
                Some(Cue::End)
            }
            Act::Warming | Act::Calm | Act::Over => None,
        }
    }

    fn watch_ejection(&mut self, now: Duration, passed: Duration, views: &[View]) -> Option<Cue> {
        for view in views
            .iter()
            .filter(|view| view.reason.starts_with("ejected"))
        {
            if self.ejected.insert(view.proxy.clone(), now).is_none() {
                let (proxy, reason) = (&view.proxy, &view.reason);
                self.tell(format!(
                    "{proxy} sees {VICTIM} {reason}, {} after the crash",
                    short(passed)
                ));
            }
        }
        if self.ejection.is_none() && self.ejected.len() >= self.proxies {
            self.ejection = Some(passed);
        }
        if self.ejection.is_none() && passed >= EJECTION_WITHIN {
            self.fault(format!(
                "{} of {} proxies ejected {VICTIM} within {}",
                self.ejected.len(),
                self.proxies,
                short(EJECTION_WITHIN)
            ));
        } else if self.ejection.is_none() || passed < OUTAGE {
            return None;
        }
        self.tell(format!("{VICTIM} listens again on its port"));
        self.turn(Act::Returned, now);
        Some(Cue::Restore)
    }

    fn watch_recovery(
        &mut self,
        now: Duration,
        passed: Duration,
        views: &[View],
        attempts: u64,
    ) -> Option<Cue> {
        for view in views.iter().filter(|view| view.healthy) {
            if self.recovered.insert(view.proxy.clone(), now).is_none() {
                let proxy = &view.proxy;
                self.tell(format!(
                    "{proxy} uses {VICTIM} again, {} after its return",
                    short(passed)
                ));
            }
        }
        if self.recovered.len() >= self.proxies {
            self.recovery = Some(passed);
        } else if passed < RECOVERY_WITHIN {
            return None;
        } else {
            self.fault(format!(
                "{} of {} proxies use {VICTIM} again within {}",
                self.recovered.len(),
                self.proxies,
                short(RECOVERY_WITHIN)
            ));
        }
        self.attempts = attempts;
        self.turn(Act::Calm, now);
        None
    }

    fn turn(&mut self, act: Act, now: Duration) {
        self.act = act;
        self.since = now;
    }

    fn tell(&mut self, line: String) {
        self.told.push(line);
    }

    fn fault(&mut self, fault: String) {
        self.told.push(fault.clone());
        self.faults.push(fault);
    }

    /// What happened since it was asked last.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Where the plot is, in a few words.
    pub(super) fn title(&self) -> &'static str {
        match self.act {
            Act::Warming => "ordinary business",
            Act::Crashed => "catalogue-1 has crashed",
            Act::Returned => "catalogue-1 listens again, the proxies still wait",
            Act::Calm => "catalogue-1 is back",
            Act::Over => "ordinary business again; Ctrl-C ends the demo",
        }
    }

    /// Time from the crash until every proxy had ejected the instance.
    pub(super) fn ejection(&self) -> Option<Duration> {
        self.ejection
    }

    /// Time from the return until every proxy used the instance again.
    pub(super) fn recovery(&self) -> Option<Duration> {
        self.recovery
    }

    /// What did not go as it must; the plot being cut short is no fault.
    pub(super) fn faults(&self) -> &[String] {
        &self.faults
    }
}

/// A time to the tenth of a second.
pub(super) fn short(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn views(reasons: [&str; 2]) -> Vec<View> {
        let proxies = ["a", "b"].into_iter().zip(reasons);
        proxies
            .map(|(proxy, reason)| View {
                proxy: proxy.to_owned(),
                healthy: reason.is_empty(),
                reason: reason.to_owned(),
                back_in: None,
            })
            .collect()
    }

    const WELL: [&str; 2] = ["", ""];
    const OUT: [&str; 2] = ["ejected: consecutive_5xx"; 2];

    #[test]
    fn an_instance_crashes_is_ejected_returns_and_is_used_again() {
        let mut plot = Plot::new(at(0), 2);
        assert_eq!(plot.step(at(1), &views(WELL), 10), None);
        assert_eq!(plot.step(at(3), &views(WELL), 30), Some(Cue::Crash));
        assert_eq!(plot.step(at(4), &views([OUT[0], ""]), 40), None);
        assert_eq!(plot.step(at(5), &views(OUT), 40), Some(Cue::Restore));
        assert_eq!(plot.step(at(7), &views(["", OUT[1]]), 41), None);
        assert_eq!(plot.step(at(8), &views(WELL), 42), None);
        assert_eq!(plot.step(at(10), &views(WELL), 60), Some(Cue::End));
        assert_eq!(plot.ejection(), Some(at(2)));
        assert_eq!(plot.recovery(), Some(at(3)));
        assert!(plot.faults().is_empty());
        assert_eq!(plot.news().len(), 6);
    }

    #[test]
    fn an_ejection_that_does_not_come_is_a_fault_and_the_plot_goes_on() {
        let mut plot = Plot::new(at(0), 2);
        assert_eq!(plot.step(at(3), &views(WELL), 0), Some(Cue::Crash));
        assert_eq!(plot.step(at(11), &views(WELL), 0), Some(Cue::Restore));
        assert_eq!(plot.ejection(), None);
        assert_eq!(
            plot.faults(),
            ["0 of 2 proxies ejected catalogue-1 within 8.0 s"]
        );
    }

    #[test]
    fn a_recovery_without_requests_is_a_fault() {
        let mut plot = Plot::new(at(0), 2);
        plot.step(at(3), &views(WELL), 30);
        plot.step(at(5), &views(OUT), 30);
        plot.step(at(6), &views(WELL), 30);
        assert_eq!(plot.step(at(8), &views(WELL), 30), Some(Cue::End));
        assert_eq!(
            plot.faults(),
            ["catalogue-1 got no request after it was back"]
        );
    }
}
