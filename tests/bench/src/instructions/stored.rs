//! Counts that a build is compared with.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use crate::peer::Peer;
use crate::workload::Workload;

/// Share that is more than chance: counts of one build differ by less than 1 %.
const TOLERANCE: f64 = 0.03;

/// Instructions per request, by workload and proxy.
#[derive(Debug, Default)]
pub(super) struct Stored {
    counts: BTreeMap<Workload, BTreeMap<Peer, f64>>,
}

impl Stored {
    /// Reads the file; there may be none yet.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            text => text.with_context(|| path.display().to_string())?,
        };
        let counts = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self { counts })
    }

    pub(super) fn get(&self, workload: Workload, peer: Peer) -> Option<f64> {
        self.counts.get(&workload)?.get(&peer).copied()
    }

    pub(super) fn set(&mut self, workload: Workload, peer: Peer, count: f64) {
        let counts = self.counts.entry(workload).or_default();
        counts.insert(peer, count.round());
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self.counts)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }
}

/// How a count compares with the one before.
pub(super) fn compared(count: f64, before: f64) -> String {
    let change = (count / before - 1.0) * 100.0;
    format!(", {change:+.1} % against the stored {before:.0}")
}

/// What is wrong with a count, if anything is.
pub(super) fn fault(workload: &str, peer: &str, count: f64, before: Option<f64>) -> Option<String> {
    let Some(before) = before else {
        return Some(format!(
            "{workload}, {peer}: nothing is stored to compare with"
        ));
    };
    (count > before * (1.0 + TOLERANCE)).then(|| {
        format!(
            "{workload}, {peer}: {count:.0} instructions per request are more than 3 % above the \
             stored {before:.0}; find out why, or store the new count with --store"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn three_percent_more_is_a_fault() {
        assert_eq!(fault("small-get", "evenkeel", 1_030.0, Some(1_000.0)), None);
        assert_eq!(fault("small-get", "evenkeel", 500.0, Some(1_000.0)), None);
        let found = fault("small-get", "evenkeel", 1_031.0, Some(1_000.0)).unwrap();
        assert!(found.contains("1031"), "{found}");
        assert!(fault("small-get", "evenkeel", 1.0, None).is_some());
    }
}
