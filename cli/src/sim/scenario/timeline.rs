//! What holds when: the faults and surges of a scenario, spread out in time.

use std::time::Duration;

use evenkeel_data_plane::tick::Tick;

use super::{Scenario, What};
use crate::sim::backend::Condition;

/// The end of what never ends.
const NEVER: Tick = Tick(u64::MAX);

/// What holds when.
#[derive(Debug)]
pub(crate) struct Timeline {
    faults: Vec<Span<(What, Vec<usize>)>>,
    surges: Vec<Span<f64>>,
    end: Tick,
}

#[derive(Debug)]
struct Span<T> {
    from: Tick,
    until: Tick,
    what: T,
}

impl<T> Span<T> {
    fn new(at: Duration, lasts: Option<Duration>, what: T) -> Self {
        let from = Tick(0).plus(at);
        Self {
            from,
            until: lasts.map_or(NEVER, |lasts| from.plus(lasts)),
            what,
        }
    }

    fn holds(&self, now: Tick) -> bool {
        (self.from..self.until).contains(&now)
    }
}

impl Timeline {
    /// Of a scenario that was checked.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut faults = Vec::new();
        for fault in &scenario.faults {
            let all = || (1..=scenario.endpoints.count).collect();
            let numbers = Some(fault.endpoints.clone()).filter(|list| !list.is_empty());
            let places: Vec<usize> = numbers
                .unwrap_or_else(all)
                .into_iter()
                .map(|number| number.saturating_sub(1))
                .collect();
            let every = fault.every.unwrap_or_default();
            for turn in 0..fault.repeat.unwrap_or(1) {
                let at = fault.at.saturating_add(every.saturating_mul(turn));
                faults.push(Span::new(at, fault.lasts, (fault.what, places.clone())));
            }
        }
        let surges = scenario.clients.surges.iter();
        Self {
            faults,
            surges: surges
                .map(|surge| Span::new(surge.at, Some(surge.lasts), surge.times))
                .collect(),
            end: Tick(0).plus(scenario.duration),
        }
    }

    /// Moments at which something else begins to be wrong, in order.
    pub(crate) fn turns(&self) -> Vec<Tick> {
        let faults = self.faults.iter().flat_map(|span| [span.from, span.until]);
        let mut turns: Vec<Tick> = faults.collect();
        turns.retain(|turn| *turn < NEVER);
        turns.sort_unstable();
        turns.dedup();
        turns
    }

    /// What is wrong with an endpoint; the worst of each kind.
    pub(crate) fn condition(&self, endpoint: usize, now: Tick) -> Condition {
        let mut condition = Condition::WELL;
        for what in self.holding(endpoint, now) {
            condition.door = condition.door.max(what.door().unwrap_or(condition.door));
            match what {
                What::Slow { times, percent } if times > condition.slow.0 => {
                    condition.slow = (times, percent / 100.0);
                }
                What::Fail {
                    percent,
                    status,
                    after,
                } if condition.fail.is_none_or(|fail| fail.0 < percent / 100.0) => {
                    condition.fail = Some((percent / 100.0, status, after));
                }
                What::Limit { rate } => {
                    let least = condition.limit.map_or(rate, |limit| limit.min(rate));
                    condition.limit = Some(least);
                }
                _ => {}
            }
        }
        condition
    }

    /// Whether the control plane does not name an endpoint.
    pub(crate) fn is_absent(&self, endpoint: usize, now: Tick) -> bool {
        self.holding(endpoint, now).any(|what| what == What::Absent)
    }

    /// How many times the usual rate requests come.
    pub(crate) fn load(&self, now: Tick) -> f64 {
        let surges = self.surges.iter().filter(|surge| surge.holds(now));
        surges.map(|surge| surge.what).product()
    }

    /// When the rate changes next.
    pub(crate) fn next_load(&self, now: Tick) -> Tick {
        let bounds = self
            .surges
            .iter()
            .flat_map(|surge| [surge.from, surge.until]);
        bounds.filter(|bound| *bound > now).min().unwrap_or(NEVER)
    }

    /// From the beginning of the first trouble to the end of the last. An endpoint
    /// that is not there yet is no trouble.
    pub(crate) fn trouble(&self) -> Option<(Tick, Tick)> {
        let faults = self.faults.iter();
        let faults = faults.filter(|span| span.what.0 != What::Absent || span.from > Tick(0));
        let faults = faults.map(|span| (span.from, span.until));
        let surges = self.surges.iter().map(|span| (span.from, span.until));
        let all = faults.chain(surges);
        let whole = all.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        whole.map(|(from, until)| (from, until.min(self.end)))
    }

    /// The endpoints that something happens to, unless it happens to all.
    pub(crate) fn singled_out(&self) -> Vec<usize> {
        let faults = self
            .faults
            .iter()
            .filter(|span| span.what.0 != What::Absent);
        let mut places: Vec<usize> = faults
            .flat_map(|span| span.what.1.iter().copied())
            .collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    fn holding(&self, endpoint: usize, now: Tick) -> impl Iterator<Item = What> {
        let holding = self.faults.iter().filter(move |span| span.holds(now));
        holding
            .filter(move |span| span.what.1.contains(&endpoint))
            .map(|span| span.what.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::backend::Door;

    fn timeline(text: &str) -> Timeline {
        let text = format!("{{name: x, about: x, duration: 60s, {text}}}");
        let scenario: Scenario = serde_saphyr::from_str(&text).unwrap();
        scenario.check().unwrap();
        Timeline::new(&scenario)
    }

    fn at(seconds: u64) -> Tick {
        Tick(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_fault_comes_again_and_only_where_it_should() {
        let timeline = timeline(
            "clients: {rate: 1}, faults: [{at: 10s, for: 2s, every: 10s, repeat: 3, \
               endpoints: [2], what: crash}]",
        );
        let crashed: Vec<u64> = (0..60)
            .filter(|second| timeline.condition(1, at(*second)).door == Door::Crashed)
            .collect();
        assert_eq!(crashed, [10, 11, 20, 21, 30, 31]);
        assert_eq!(timeline.condition(0, at(10)), Condition::WELL);
        assert_eq!(timeline.trouble(), Some((at(10), at(32))));
        assert_eq!(timeline.turns().len(), 6);
        assert_eq!(timeline.singled_out(), [1]);
    }

    #[test]
    fn of_several_faults_the_worst_holds() {
        let timeline = timeline(
            "clients: {rate: 1}, faults: [\
               {at: 1s, what: {slow: {times: 2}}}, {at: 1s, what: {slow: {times: 9}}}, \
               {at: 1s, what: refuse}, {at: 1s, what: hang}, \
               {at: 1s, what: {limit: {rate: 7}}}, {at: 1s, what: {limit: {rate: 5}}}]",
        );
        let condition = timeline.condition(3, at(59));
        assert_eq!(condition.slow, (9.0, 1.0));
        assert_eq!((condition.door, condition.limit), (Door::Hanging, Some(5)));
        assert_eq!(timeline.trouble(), Some((at(1), at(60))));
    }

    #[test]
    fn an_endpoint_that_is_not_there_yet_is_no_trouble() {
        let timeline = timeline(
            "clients: {rate: 1, surges: [{at: 30s, for: 5s, times: 3}]}, \
             faults: [{at: 0s, for: 15s, endpoints: [10], what: absent}]",
        );
        assert!(timeline.is_absent(9, at(14)) && !timeline.is_absent(9, at(15)));
        assert_eq!(timeline.trouble(), Some((at(30), at(35))));
        let load: Vec<f64> = [29, 30, 35].map(|s| timeline.load(at(s))).to_vec();
        assert_eq!(load, [1.0, 3.0, 1.0]);
        assert_eq!(timeline.next_load(at(30)), at(35));
    }
}
