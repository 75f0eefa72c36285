//! What was measured, and how it reads.

use std::fmt;

use serde::Serialize;

use super::each;
use crate::report::Machine;
use crate::statistics::{float, quantile};

/// One change of one endpoint. Times are from when it was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// When the user had the answer: it is durable then.
    pub(super) answered_ms: f64,
    /// When the first proxy sent its ACK.
    pub(super) first_ms: f64,
    /// When the last proxy did.
    pub(super) last_ms: f64,
    /// When the control plane told the user that all proxies have it.
    pub(super) waited_ms: Option<f64>,
    /// Processor time of the control plane, the commit and all ACKs included.
    pub(super) server_us: f64,
}

/// One run.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) proxies: u16,
    pub(super) clusters: u16,
    pub(super) endpoints: u16,
    /// Whether the control plane had one processor to itself, and the proxies
    /// another.
    pub(super) pinned: bool,
    /// How long it took until all proxies had their first configuration.
    pub(super) connected_after_ms: f64,
    /// Memory of the control plane without proxies.
    pub(super) memory_alone_kib: u64,
    /// And with all of them.
    pub(super) memory_kib: u64,
    /// Changes while no proxy was there.
    pub(super) alone: Vec<Change>,
    pub(super) changes: Vec<Change>,
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            proxies,
            clusters,
            endpoints,
            ..
        } = self;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "{proxies} proxies, {clusters} clusters of {endpoints} endpoints; {} changes of one endpoint; {}",
            self.changes.len(),
            if self.pinned {
                "control plane on processor 0, all proxies in one process on processor 1"
            } else {
                "control plane and all proxies share the processors"
            }
        )?;
        self.times(f)?;
        self.processor(f)?;
        let more = self.memory_kib.saturating_sub(self.memory_alone_kib);
        write!(
            f,
            "memory of the control plane, KiB (PSS): {} without proxies, {} with them: {:.1} for each\n\
             the fleet had its first configuration after {:.0} ms",
            self.memory_alone_kib,
            self.memory_kib,
            each(float(usize::try_from(more).unwrap_or(usize::MAX)), *proxies),
            self.connected_after_ms
        )
    }
}

impl Results {
    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from the request for a change     p50       worst")?;
        self.row(f, "until it is durable, ms", |of| Some(of.answered_ms))?;
        self.row(f, "until the first ACK, ms", |of| Some(of.first_ms))?;
        self.row(f, "until the last ACK, ms", |of| Some(of.last_ms))?;
        self.row(f, "until the user knows, ms", |of| of.waited_ms)?;
        self.row(f, "first to last ACK, ms", |of| {
            Some(of.last_ms - of.first_ms)
        })
    }

    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        value: impl Fn(&Change) -> Option<f64>,
    ) -> fmt::Result {
        let values = sorted(self.changes.iter().filter_map(value));
        if values.is_empty() {
            return Ok(());
        }
        let (middle, worst) = (quantile(&values, 0.5), quantile(&values, 1.0));
        writeln!(f, "  {name:<26} {middle:>9.1} {worst:>9.1}")
    }

    fn processor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = |changes: &[Change]| sorted(changes.iter().map(|change| change.server_us));
        let alone = quantile(&used(&self.alone), 0.5);
        let with = used(&self.changes);
        let (middle, worst) = (quantile(&with, 0.5), quantile(&with, 1.0));
        let each = |total| each(total, self.proxies);
        writeln!(
            f,
            "processor time of the control plane for a change, commit and ACKs included\n\
             \x20 without proxies, us        {alone:>9.0}\n\
             \x20 with all of them, us       {middle:>9.0} {worst:>9.0}\n\
             \x20 for each proxy, us         {:>9.1} {:>9.1}\n\
             \x20 the same, commit aside, us {:>9.1}",
            each(middle),
            each(worst),
            each((middle - alone).max(0.0)),
        )
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
