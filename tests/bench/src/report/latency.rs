//! Time to the answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cpu::{Spread, Turn, shown};
use crate::peer::Peer;

/// All proxies at one rate.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) rows: Vec<Delays>,
}

/// One proxy; times in microseconds, over its turns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delays {
    pub(crate) peer: Peer,
    p50: Option<Spread>,
    p99: Option<Spread>,
    p999: Option<Spread>,
    /// Processor time for each request.
    cpu: Option<Spread>,
    errors: u64,
}

impl Delays {
    pub(crate) fn new(peer: Peer, turns: &[Turn]) -> Self {
        let spread = |of: fn(&Turn) -> f64| Spread::of(turns.iter().map(of));
        Self {
            peer,
            p50: spread(|turn| turn.p50),
            p99: spread(|turn| turn.p99),
            p999: spread(|turn| turn.p999),
            cpu: spread(|turn| turn.cpu),
            errors: turns.iter().map(|turn| turn.errors).sum(),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>22} {:>22} {:>22} {:>22} {:>7}",
            format!("{:.0} requests/s", self.rate),
            "p50 us",
            "p99 us",
            "p99.9 us",
            "CPU us/request",
            "errors"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "  {:<16} {:>22} {:>22} {:>22} {:>22} {:>7}",
                row.peer.name(),
                shown(row.p50, 0),
                shown(row.p99, 0),
                shown(row.p999, 0),
                shown(row.cpu, 1),
                row.errors
            )?;
        }
        Ok(())
    }
}
