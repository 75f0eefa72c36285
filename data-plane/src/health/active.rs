//! Which hosts answer when they are asked: one value for each cluster with
//! active checks. It says who is to be asked when, and takes the answers. Asking
//! is somebody else's work.
//!
//! ```text
//!              first success             failures, or a clear no
//! unknown ---------------------> well ---------------------------> failing
//!    |                            ^                                   ^ |
//!    |                            +------------ successes ------------|-+
//!    +--------------------------- first failure ----------------------+
//! ```
//! The rules are those of Envoy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel_shared::ir;

use crate::tick::Tick;

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect,
    /// No TLS on it.
    Tls,
    /// No answer in time.
    Timeout,
    /// What came was not an answer, or broke off.
    Protocol,
    /// Another status than those of a host that is well.
    Status(u16),
    /// The service says that it does not serve.
    NotServing,
}

impl Failure {
    /// Whether it is the host that says so. No threshold applies then.
    pub fn is_clear(self) -> bool {
        matches!(self, Self::Status(_) | Self::NotServing)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection"),
            Self::Tls => f.write_str("no TLS"),
            Self::Timeout => f.write_str("timeout"),
            Self::Protocol => f.write_str("no proper answer"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::NotServing => f.write_str("not serving"),
        }
    }
}

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not answered yet.
    Unknown,
    /// It may be used.
    Well,
    /// It failed.
    Failing(Failure),
}

#[derive(Debug, Clone, Copy)]
struct Checked {
    standing: Standing,
    /// Answers in a row that contradict the standing.
    against: u32,
    /// When it is asked next.
    due: Tick,
    /// Whether it is being asked.
    asked: bool,
}

/// The checked hosts of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    hosts: BTreeMap<u64, Checked>,
}

/// What is known when an answer comes.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: Tick,
    /// For the jitter.
    pub entropy: u64,
    /// Whether the cluster has had a request.
    pub used: bool,
}

impl Checks {
    /// For hosts that have been in use without checks: they are taken to be well
    /// until they fail.
    pub fn trusting(hosts: impl IntoIterator<Item = u64>) -> Self {
        let trusted = |host| (host, Checked::new(Standing::Well));
        Self {
            hosts: hosts.into_iter().map(trusted).collect(),
        }
    }

    /// These are the hosts. Those that are new are unknown and due at once.
    pub fn settle(&mut self, hosts: impl IntoIterator<Item = u64>) {
        let hosts: BTreeSet<u64> = hosts.into_iter().collect();
        self.hosts.retain(|host, _| hosts.contains(host));
        for host in hosts {
            self.hosts
                .entry(host)
                .or_insert(Checked::new(Standing::Unknown));
        }
    }

    /// The hosts that are to be asked now, at most so many. Each is asked until
    /// it was [`Self::heard`].
    pub fn ask(&mut self, room: usize, now: Tick) -> Vec<u64> {
        let mut ask = Vec::new();
        for (host, checked) in &mut self.hosts {
            if ask.len() >= room {
                break;
            }
            if !checked.asked && checked.due <= now {
                checked.asked = true;
                ask.push(*host);
            }
        }
        ask
    }

    /// A host has answered, or has not. What it counts as from now on, if that
    /// has changed.
    pub fn heard(
        &mut self,
        host: u64,
        answer: Result<(), Failure>,
        settings: &ir::HealthCheck,
        moment: Moment,
    ) -> Option<Standing> {
        let checked = self.hosts.get_mut(&host)?;
        checked.asked = false;
        checked.due = moment.now.plus(pause(settings, moment));
        let before = checked.standing;
        checked.standing = match (before, answer) {
            (Standing::Well, Err(failure)) => {
                let enough = checked.contradicted(settings.unhealthy_threshold);
                if enough || failure.is_clear() {
                    Standing::Failing(failure)
                } else {
                    Standing::Well
                }
            }
            (Standing::Failing(_), Ok(())) if checked.contradicted(settings.healthy_threshold) => {
                Standing::Well
            }
            (Standing::Failing(failure), Ok(())) => Standing::Failing(failure),
            (Standing::Unknown | Standing::Well, Ok(())) => {
                checked.against = 0;
                Standing::Well
            }
            (Standing::Unknown | Standing::Failing(_), Err(failure)) => {
                checked.against = 0;
                Standing::Failing(failure)
            }
        };
        if checked.standing != before {
            checked.against = 0;
        }
        (checked.standing != before).then_some(checked.standing)
    }

    /// What is known of a host. One that is not checked is well.
    pub fn standing(&self, host: u64) -> Standing {
        let checked = self.hosts.get(&host);
        checked.map_or(Standing::Well, |checked| checked.standing)
    }
}

impl Checked {
    fn new(standing: Standing) -> Self {
        Self {
            standing,
            against: 0,
            due: Tick::default(),
            asked: false,
        }
    }

    /// Counts an answer that contradicts the standing; whether it is the last
    /// one that is needed.
    fn contradicted(&mut self, threshold: u32) -> bool {
        self.against = self.against.saturating_add(1);
        self.against >= threshold
    }
}

/// The time until the next check.
fn pause(settings: &ir::HealthCheck, moment: Moment) -> Duration {
    let interval = if moment.used {
        settings.interval
    } else {
        settings.no_traffic_interval
    };
    // A thousandth of the jitter is fine enough.
    let part = u32::try_from(moment.entropy % 1001).unwrap_or(0);
    let most = interval / 100 * settings.jitter_percent;
    interval.saturating_add(most / 1000 * part)
}

#[cfg(test)]
mod tests;
