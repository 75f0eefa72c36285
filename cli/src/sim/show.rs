//! A report as people read it.

use std::fmt::Write;

use super::report::{Phase, Report, Sums};
use crate::render::table::Columns;
use crate::render::{BOLD, styled};

/// What was simulated, its phases, and what is told of all of it.
pub(super) fn table(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", styled(BOLD, &report.scenario), report.about);
    let _ = writeln!(
        text,
        "seed {}, {} requests, {} attempts\n",
        report.seed, report.requests, report.attempts
    );
    let mut header = vec!["PHASE", "FROM", "TO"];
    header.extend(SUMS);
    let mut phases = Columns::new(&header);
    for phase in &report.phases {
        phases.row(row(phase));
    }
    text.push_str(&phases.render(true));
    text.push('\n');
    for (name, value) in facts(report) {
        let _ = writeln!(text, "{name:<18}{value}");
    }
    text
}

/// Second by second.
pub(super) fn timeline(report: &Report) -> String {
    let mut header = vec!["SECOND"];
    header.extend(SUMS);
    header.push("SHARE");
    let mut columns = Columns::new(&header);
    for moment in &report.timeline {
        let mut cells = vec![format!("{:.0}", moment.at_seconds)];
        cells.extend(sums(&moment.sums));
        cells.push(
            moment
                .share
                .map_or_else(String::new, |share| format!("{share:.2}")),
        );
        columns.row(cells);
    }
    columns.render(true)
}

/// Names of the columns of [`sums`].
const SUMS: [&str; 7] = [
    "REQUESTS", "GOODPUT", "ERRORS", "P50", "P99", "P99.9", "LOAD",
];

fn row(phase: &Phase) -> Vec<String> {
    let mut cells = vec![
        phase.name.to_owned(),
        seconds(phase.from_seconds),
        seconds(phase.until_seconds),
    ];
    cells.extend(sums(&phase.sums));
    cells
}

fn sums(sums: &Sums) -> [String; 7] {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let millis =
        |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1} ms"));
    [
        sums.requests.to_string(),
        percent(sums.goodput),
        percent(sums.errors),
        millis(sums.p50_millis),
        millis(sums.p99_millis),
        millis(sums.p999_millis),
        format!("{:.2}", sums.load),
    ]
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![("outage", seconds(report.outage_seconds))];
    if report.phases.len() > 1 {
        let time = |time: Option<f64>| time.map_or_else(|| "not seen".to_owned(), seconds);
        facts.push(("time to eject", time(report.time_to_eject_seconds)));
        facts.push(("time to recover", time(report.time_to_recover_seconds)));
    }
    facts.push((
        "peak load",
        format!("{:.2} attempts per request", report.peak_load),
    ));
    facts.push((
        "ejections",
        format!(
            "{}, {} brought back, {} not made because too many were out",
            report.ejections, report.returned, report.ejections_spared
        ),
    ));
    facts.push((
        "retries",
        format!(
            "{}, {} forbidden by the budget",
            report.retries, report.retries_denied
        ),
    ));
    if report.rate_limited + report.overflows + report.no_host > 0 {
        facts.push((
            "refused",
            format!(
                "{} by the rate limit, {} because too many were in progress, {} without a host",
                report.rate_limited, report.overflows, report.no_host
            ),
        ));
    }
    facts
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}
