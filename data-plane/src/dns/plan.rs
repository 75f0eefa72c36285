//! What follows from answers, and when to ask again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::ir::{self, DnsTarget};
use evenkeel_shared::names::AssignmentName;

use super::shown::{Seen, Shown};
use crate::tick::Tick;
use crate::xds::state::Found;

/// Addresses of one name that become endpoints; the rest is counted.
pub const MOST_ADDRESSES: usize = 1_000;
/// How long a cluster waits for the first answer, as in Envoy. After that it is
/// in force without endpoints.
pub const WARM_WITHIN: Duration = Duration::from_secs(5);
/// A lookup that has not ended by then is taken for lost.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// The longest that an answer is kept because it says so.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// When the configuration side is told once more what it does not seem to know.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// In any order, some perhaps twice.
    pub addresses: Vec<IpAddr>,
    /// How long it may be kept.
    pub ttl: Duration,
}

/// What the configuration side is told: the endpoints of a name, or that it shall
/// not wait for them.
pub type News = Vec<(DnsTarget, Option<Arc<ir::Assignment>>)>;

/// All names that are looked up.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<DnsTarget, Name>);

#[derive(Debug)]
struct Name {
    /// When to ask next.
    due: Tick,
    /// Since when it is wanted.
    since: Tick,
    /// The endpoints of the last good answer.
    endpoints: Option<Arc<ir::Assignment>>,
    told: Option<Told>,
    seen: Seen,
}

#[derive(Debug)]
struct Told {
    endpoints: Option<Arc<ir::Assignment>>,
    at: Tick,
}

impl Names {
    /// Takes new names up and forgets those that nobody wants.
    pub fn settle(&mut self, wanted: &BTreeSet<DnsTarget>, now: Tick) {
        self.0.retain(|target, _| wanted.contains(target));
        for target in wanted {
            self.0
                .entry(target.clone())
                .or_insert_with(|| Name::new(now));
        }
    }

    /// The names to ask for now, at most `room`, the most overdue first. They
    /// count as asked.
    pub fn due(&mut self, room: usize, now: Tick) -> Vec<DnsTarget> {
        let mut due: Vec<(Tick, &DnsTarget)> = self
            .0
            .iter()
            .filter(|(_, name)| name.due <= now)
            .map(|(target, name)| (name.due, target))
            .collect();
        due.sort_unstable();
        due.truncate(room);
        let due: Vec<DnsTarget> = due.into_iter().map(|(_, target)| target.clone()).collect();
        for target in &due {
            if let Some(name) = self.0.get_mut(target) {
                name.due = now.plus(LOST_AFTER);
            }
        }
        due
    }

    /// Takes an answer in. What fails or is empty changes no endpoints: the last
    /// good answer is kept, as in Envoy.
    pub fn answered(
        &mut self,
        target: &DnsTarget,
        answer: Result<Answer, String>,
        now: Tick,
        entropy: u64,
    ) {
        let Some(name) = self.0.get_mut(target) else {
            return;
        };
        let usable = answer.and_then(|answer| {
            let (endpoints, left_out) = endpoints(target, &answer.addresses);
            if endpoints.is_empty() {
                return Err("there is no address that can be connected to".to_owned());
            }
            Ok((endpoints, left_out, answer.ttl))
        });
        match usable {
            Ok((endpoints, left_out, ttl)) => {
                name.due = now.plus(jittered(pause(target, ttl), entropy));
                name.accept(target, endpoints);
                name.seen.left_out = left_out;
                name.seen.answered = Some(now);
                name.seen.failing = None;
            }
            Err(reason) => {
                name.due = now.plus(jittered(target.refresh, entropy));
                name.seen.failures += 1;
                let since = name.seen.failing.as_ref().map_or(now, |(since, _)| *since);
                name.seen.failing = Some((since, reason.into()));
            }
        }
    }

    /// What the configuration side has yet to be told, given what it knows.
    pub fn news(&mut self, known: &Found, now: Tick) -> News {
        let mut news = Vec::new();
        for (target, name) in &mut self.0 {
            let waited = now.since(name.since) >= WARM_WITHIN;
            if name.endpoints.is_none() && !waited {
                continue;
            }
            let is_this = |other: &Option<Arc<ir::Assignment>>| match (other, &name.endpoints) {
                (Some(other), Some(endpoints)) => Arc::ptr_eq(other, endpoints),
                (None, None) => true,
                _ => false,
            };
            if known.get(target).is_some_and(is_this) {
                continue;
            }
            let just_told = name
                .told
                .as_ref()
                .is_some_and(|told| is_this(&told.endpoints) && now.since(told.at) < TELL_AGAIN);
            if just_told {
                continue;
            }
            name.told = Some(Told {
                endpoints: name.endpoints.clone(),
                at: now,
            });
            news.push((target.clone(), name.endpoints.clone()));
        }
        news
    }

    /// What is shown of the names.
    pub fn shown(&self) -> Shown {
        let seen = self.0.iter();
        seen.map(|(target, name)| (target.clone(), name.seen.clone()))
            .collect()
    }
}

impl Name {
    fn new(now: Tick) -> Self {
        Self {
            due: now,
            since: now,
            endpoints: None,
            told: None,
            seen: Seen::default(),
        }
    }

    /// The same endpoints stay the same value, so that nothing is built anew.
    fn accept(&mut self, target: &DnsTarget, endpoints: Vec<ir::Endpoint>) {
        let old = self.endpoints.as_ref();
        if old.is_some_and(|old| old.endpoints == endpoints) {
            return;
        }
        let name = format!("dns/{}:{}", target.host, target.port);
        self.endpoints = Some(Arc::new(ir::Assignment {
            name: AssignmentName::new(name),
            endpoints,
        }));
    }
}

/// The endpoints in the order of their addresses, none twice, and how many were
/// left out. An unspecified address would lead to this very host, and is what
/// filtering name servers say instead of "no".
fn endpoints(target: &DnsTarget, addresses: &[IpAddr]) -> (Vec<ir::Endpoint>, usize) {
    let counts = |ip: &IpAddr| match target.family {
        ir::DnsFamily::All => true,
        ir::DnsFamily::V4 => ip.is_ipv4(),
        ir::DnsFamily::V6 => ip.is_ipv6(),
    };
    let usable: BTreeSet<IpAddr> = addresses
        .iter()
        .map(IpAddr::to_canonical)
        .filter(|ip| counts(ip) && !ip.is_unspecified() && !ip.is_multicast())
        .collect();
    let left_out = usable.len().saturating_sub(MOST_ADDRESSES);
    let endpoints = usable.into_iter().take(MOST_ADDRESSES);
    let endpoints = endpoints.map(|ip| ir::Endpoint {
        address: SocketAddr::new(ip, target.port),
        weight: 1,
        health: ir::Health::Healthy,
        locality: ir::Locality::default(),
    });
    (endpoints.collect(), left_out)
}

/// Time until a good answer is asked for anew.
fn pause(target: &DnsTarget, ttl: Duration) -> Duration {
    if target.respect_ttl {
        target.refresh.max(ttl.min(LONGEST_LIFE))
    } else {
        target.refresh
    }
}

/// Up to a tenth longer, so that a fleet does not ask at once.
fn jittered(pause: Duration, entropy: u64) -> Duration {
    let share = u32::try_from(entropy % 1_000).unwrap_or(0);
    pause + pause / 10 / 1_000 * share
}

#[cfg(test)]
mod tests;
