//! Processor time for each request.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::peer::Peer;
use crate::statistics::quantile;
use crate::workload::Workload;

/// What one turn has shown.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// Processor time for each request, in microseconds.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Median of the time to the answer, in microseconds; 0 if nobody has looked.
    pub(crate) p50: f64,
    /// 99 of 100 were not slower.
    pub(crate) p99: f64,
    /// 999 of 1,000 were not slower.
    pub(crate) p999: f64,
    /// Requests that failed.
    pub(crate) errors: u64,
    /// TLS handshakes that were resumed.
    pub(crate) resumed: u64,
    /// Share of the proxy's processor that others used.
    pub(crate) foreign: f64,
    /// Share of the other processor that was used.
    pub(crate) other_core: f64,
}

/// All turns of one proxy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) peer: Peer,
    pub(crate) turns: Vec<Turn>,
}

/// Half of the values lie between the quarters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
    /// How many values there are.
    pub(crate) count: usize,
}

/// One proxy in a comparison.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) peer: Peer,
    /// Processor time for each request, in microseconds.
    pub(crate) cpu: Option<Spread>,
    /// The same of Evenkeel in the same round, divided by this.
    pub(crate) ours: Option<Spread>,
    /// Requests a second.
    pub(crate) rate: Option<Spread>,
    /// Share of the other processor that was used: near 1 the harness is the limit of
    /// the rate.
    pub(crate) other_core: Option<Spread>,
    /// Turns that do not count, because others used too much of the processor.
    pub(crate) dropped: usize,
    /// Requests that failed.
    pub(crate) errors: u64,
}

/// All proxies with one kind of traffic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) workload: Workload,
    pub(crate) summary: Vec<Summary>,
    /// Everything that was measured.
    pub(crate) rows: Vec<Row>,
}

impl Comparison {
    /// Compares; turns in which others used more than `foreign` do not count.
    pub(crate) fn new(workload: Workload, rows: Vec<Row>, foreign: f64) -> Self {
        let ours = rows.iter().find(|row| row.peer == Peer::Evenkeel);
        let ours: Vec<Turn> = ours.map(|row| row.turns.clone()).unwrap_or_default();
        let summary = rows.iter();
        let summary = summary
            .map(|row| Summary::new(row, &ours, foreign))
            .collect();
        Self {
            workload,
            summary,
            rows,
        }
    }

    /// Requests a second of the slowest proxy, noise or not.
    pub(crate) fn slowest(&self) -> f64 {
        let rates = self.rows.iter().filter_map(|row| {
            let rates = row.turns.iter().map(|turn| turn.rate);
            Some(Spread::of(rates)?.median)
        });
        rates.fold(f64::INFINITY, f64::min)
    }
}

impl Summary {
    fn new(row: &Row, ours: &[Turn], foreign: f64) -> Self {
        let counts = |turn: &&Turn| turn.foreign <= foreign;
        let clean = || row.turns.iter().filter(counts);
        let pairs = row.turns.iter().zip(ours);
        let pairs = pairs.filter(|(turn, ours)| counts(turn) && counts(ours));
        Self {
            peer: row.peer,
            cpu: Spread::of(clean().map(|turn| turn.cpu)),
            ours: Spread::of(pairs.map(|(turn, ours)| ours.cpu / turn.cpu)),
            rate: Spread::of(clean().map(|turn| turn.rate)),
            other_core: Spread::of(clean().map(|turn| turn.other_core)),
            dropped: row.turns.len() - clean().count(),
            errors: row.turns.iter().map(|turn| turn.errors).sum(),
        }
    }
}

impl Spread {
    /// Of some values; none if there are none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| Self {
            low: quantile(&values, 0.25),
            median: quantile(&values, 0.5),
            high: quantile(&values, 0.75),
            count: values.len(),
        })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} us/request, {:.0} requests/s, foreign {:.0} %, other core {:.0} %",
            self.cpu,
            self.rate,
            self.foreign * 100.0,
            self.other_core * 100.0
        )?;
        if self.errors > 0 {
            write!(f, ", {} errors", self.errors)?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>24} {:>24} {:>11} {:>11} {:>6} {:>8} {:>7}",
            self.workload.name(),
            "CPU us/request",
            "evenkeel / this",
            "requests/s",
            "other core",
            "turns",
            "dropped",
            "errors"
        )?;
        for row in &self.summary {
            let median = |spread: Option<Spread>| spread.map_or(f64::NAN, |spread| spread.median);
            writeln!(
                f,
                "  {:<16} {:>24} {:>24} {:>11.0} {:>10.0}% {:>6} {:>8} {:>7}",
                row.peer.name(),
                shown(row.cpu, 1),
                shown(row.ours, 2),
                median(row.rate),
                median(row.other_core) * 100.0,
                row.cpu.map_or(0, |spread| spread.count),
                row.dropped,
                row.errors
            )?;
        }
        Ok(())
    }
}

/// Median and quarters.
pub(super) fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "too noisy".to_owned(),
        |Spread {
             low, median, high, ..
         }| format!("{median:.digits$} [{low:.digits$}-{high:.digits$}]"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(cpu: f64, foreign: f64) -> Turn {
        Turn {
            cpu,
            rate: 1e6 / cpu,
            p50: 0.0,
            p99: 0.0,
            p999: 0.0,
            errors: 1,
            resumed: 0,
            foreign,
            other_core: 0.5,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ours = vec![turn(10.0, 0.0), turn(30.0, 0.0), turn(10.0, 0.5)];
        let theirs = vec![turn(20.0, 0.0), turn(60.0, 0.1), turn(1.0, 0.0)];
        let rows = vec![
            Row {
                peer: Peer::Evenkeel,
                turns: ours,
            },
            Row {
                peer: Peer::Nginx,
                turns: theirs,
            },
        ];
        let comparison = Comparison::new(Workload::SmallGet, rows, 0.15);
        let [ours, theirs] = &comparison.summary[..] else {
            panic!("two rows");
        };
        assert_eq!((ours.dropped, theirs.dropped), (1, 0));
        let ratio = theirs.ours.unwrap();
        assert_eq!(ratio.count, 2);
        assert!((ratio.median - 0.5).abs() < 1e-9);
        assert_eq!(theirs.errors, 3);
        assert!((comparison.slowest() - 50_000.0).abs() < 1e-6);
    }
}
