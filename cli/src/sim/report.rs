//! The numbers of a run.
//!
//! A request is good if it was answered well within the time that its client
//! calls good. Latencies are those of requests that were answered well, from the
//! moment when the client came.

use std::time::Duration;

use evenkeel_data_plane::tick::Tick;
use serde::Serialize;

use super::scenario::{Scenario, Timeline};
use super::world::Shown;

mod moments;

use moments::Moments;

/// The numbers of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Name of the scenario.
    pub(super) scenario: String,
    /// What it shows.
    pub(super) about: String,
    /// What random numbers began with.
    pub(super) seed: u64,
    /// Requests that came, warm-up included.
    pub(super) requests: u64,
    /// Attempts that came to endpoints, warm-up included.
    pub(super) attempts: u64,
    /// Before, during and after what goes wrong.
    pub(super) phases: Vec<Phase>,
    /// How long nothing at all would have worked to lose as much.
    pub(super) outage_seconds: f64,
    /// From the beginning of the first fault until the endpoints that it happens
    /// to have less than a fifth of their share.
    pub(super) time_to_eject_seconds: Option<f64>,
    /// From the end of the last fault until all is as it was before.
    pub(super) time_to_recover_seconds: Option<f64>,
    /// Most attempts for each request in any second.
    pub(super) peak_load: f64,
    /// Hosts that proxies took out.
    pub(super) ejections: usize,
    /// Hosts that were brought back.
    pub(super) returned: u64,
    /// Ejections not made, because too many hosts were out.
    pub(super) ejections_spared: u64,
    /// Retries by proxies.
    pub(super) retries: u64,
    /// Retries that a budget forbade.
    pub(super) retries_denied: u64,
    /// Requests refused by a limit on their rate.
    pub(super) rate_limited: u64,
    /// Requests refused by a proxy that had too many in progress.
    pub(super) overflows: u64,
    /// Requests for which a proxy had no host.
    pub(super) no_host: u64,
    /// All of it second by second.
    pub(super) timeline: Vec<Moment>,
}

/// A part of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Phase {
    /// `before`, `during` or `after`; `all` if nothing goes wrong.
    pub(super) name: &'static str,
    /// When it begins.
    pub(super) from_seconds: f64,
    /// When it ends.
    pub(super) until_seconds: f64,
    #[serde(flatten)]
    pub(super) sums: Sums,
}

/// What became of the requests that came in some time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sums {
    /// Requests.
    pub(super) requests: usize,
    /// Share of those that were good.
    pub(super) goodput: f64,
    /// Share of those that failed.
    pub(super) errors: f64,
    /// Latencies in milliseconds; none if nothing was answered well.
    pub(super) p50_millis: Option<f64>,
    /// The same.
    pub(super) p99_millis: Option<f64>,
    /// The same.
    pub(super) p999_millis: Option<f64>,
    /// Attempts that came to endpoints, for each request.
    pub(super) load: f64,
}

/// A second.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moment {
    /// When it begins.
    pub(super) at_seconds: f64,
    #[serde(flatten)]
    pub(super) sums: Sums,
    /// What the endpoints that something happens to get of all attempts, as a
    /// multiple of their fair share; none if it happens to all or to nobody.
    pub(super) share: Option<f64>,
}

impl Report {
    /// Of a run.
    pub(super) fn new(scenario: &Scenario, seed: u64, shown: &Shown) -> Self {
        let timeline = Timeline::new(scenario);
        let moments = Moments::new(scenario, &timeline, &shown.books);
        let phases = phases(scenario, &timeline, &moments);
        let (start, end) = (scenario.warm_up, scenario.duration);
        let trouble = timeline.trouble();
        let usual = phases.first().map(|phase| &phase.sums);
        let has_usual = phases.first().is_some_and(|phase| phase.name != "during");
        let usual = usual.filter(|_| has_usual);
        let seconds = moments.seconds(Duration::ZERO, end);
        let peak = seconds
            .iter()
            .filter(|moment| moment.at_seconds >= start.as_secs_f64());
        Self {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            seed,
            requests: shown.books.begun,
            attempts: moments.attempts(),
            outage_seconds: moments.outage(usual, (start, end)),
            time_to_eject_seconds: trouble.and_then(|(from, _)| moments.until_shunned(from)),
            time_to_recover_seconds: trouble
                .zip(usual)
                .and_then(|((_, until), usual)| moments.until_usual(until, usual, end)),
            phases,
            peak_load: peak.map(|moment| moment.sums.load).fold(0.0, f64::max),
            ejections: shown.books.ejections.len(),
            returned: shown.books.returned,
            ejections_spared: shown.counts.spared,
            retries: shown.counts.retries,
            retries_denied: shown.counts.denied,
            rate_limited: shown.counts.limited,
            overflows: shown.counts.overflows,
            no_host: shown.counts.no_host,
            timeline: seconds,
        }
    }
}

fn phases(scenario: &Scenario, timeline: &Timeline, moments: &Moments) -> Vec<Phase> {
    let (start, end) = (scenario.warm_up, scenario.duration);
    let since = |at: Tick| at.since(Tick(0));
    let bounds = match timeline.trouble() {
        None => vec![("all", start, end)],
        Some((from, until)) => {
            let from = since(from).max(start);
            let until = since(until).max(from);
            vec![
                ("before", start, from),
                ("during", from, until),
                ("after", until, end),
            ]
        }
    };
    let bounds = bounds.into_iter().filter(|(_, from, until)| from < until);
    bounds
        .map(|(name, from, until)| Phase {
            name,
            from_seconds: from.as_secs_f64(),
            until_seconds: until.as_secs_f64(),
            sums: moments.sums(from, until),
        })
        .collect()
}
