//! Chooses an endpoint of a cluster.
//!
//! Owns the algorithms and nothing else: which hosts are usable was decided
//! before a balancer is built, so picking never asks for health. All tables are
//! made when it is built; the only thing that ever changes in it is the cursor
//! of round robin. The same questions in the same order get the same answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use evenkeel_shared::ir;

use crate::tick::Tick;

pub mod affinity;
mod draw;
mod hashing;
pub mod latency;
mod maglev;
mod ring;
mod turns;
mod xxhash;

#[cfg(test)]
mod tests;

use draw::{Draws, Shares};
use hashing::Hashing;
use latency::Latency;
use turns::Turns;

/// How often a host that was tried is drawn again before all are looked at.
const REDRAWS: usize = 8;

/// More draws than this would be a full scan by another name.
const MAX_CHOICES: u32 = 64;

/// Where a host stands in its cluster's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostIndex(pub u32);

/// One question to a balancer: plain data, no clock, no generator, no lock.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// Now.
    pub now: Tick,
    /// A random number, used up by this question.
    pub entropy: u64,
    /// Hash of what ties a request to a host; looked at by ring hash and Maglev.
    pub affinity: Option<u64>,
    /// Hosts this request has tried; avoided while there are others.
    pub tried: &'a [HostIndex],
}

/// A host that may be picked.
#[derive(Debug, Clone, Copy)]
pub struct Usable {
    /// Which one.
    pub host: HostIndex,
    /// Its weight; 0 leaves it out.
    pub weight: u32,
    /// Where it listens; this is what hashing knows it by.
    pub address: SocketAddr,
}

/// A host that listens nowhere, as in a simulation: hashing knows it by its
/// index.
impl From<(HostIndex, u32)> for Usable {
    fn from((host, weight): (HostIndex, u32)) -> Self {
        Self {
            host,
            weight,
            address: (Ipv4Addr::from_bits(host.0), 0).into(),
        }
    }
}

/// Live load as a balancer may see it: counters in production, a table in a
/// simulation.
pub trait Loads {
    /// Requests in progress at the host.
    fn active(&self, host: HostIndex) -> u32;

    /// Requests in progress at all of these hosts, or in their cluster.
    fn total(&self, hosts: &[HostIndex]) -> u32 {
        let active = hosts.iter().map(|host| self.active(*host));
        active.fold(0, u32::saturating_add)
    }

    /// What is known of how long the host takes, if that is observed.
    fn latency(&self, _host: HostIndex) -> Option<&Latency> {
        None
    }
}

/// Picks among the usable hosts of a cluster.
#[derive(Debug)]
pub struct Balancer {
    hosts: Box<[HostIndex]>,
    weights: Box<[u32]>,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    /// Boxed, because it keeps a cache line for itself.
    RoundRobin(Box<Turns>),
    LeastRequest {
        choices: u32,
        shares: Shares,
    },
    LeastRequestFullScan,
    Random(Shares),
    Hashing(Hashing),
    PeakEwma {
        decay: Duration,
        shares: Shares,
    },
}

impl Balancer {
    /// Over hosts that listen nowhere, with their weights; see [`Self::over`].
    pub fn build(policy: ir::LbPolicy, usable: &[(HostIndex, u32)], seed: u64) -> Self {
        let usable: Vec<Usable> = usable.iter().copied().map(Usable::from).collect();
        Self::over(policy, &usable, seed)
    }

    /// Over the usable hosts. Two balancers over the same hosts differ by `seed`
    /// only in where round robin begins, so that a fleet does not march in step.
    pub fn over(policy: ir::LbPolicy, usable: &[Usable], seed: u64) -> Self {
        let usable: Vec<Usable> = usable
            .iter()
            .copied()
            .filter(|host| host.weight > 0)
            .collect();
        let (hosts, weights): (Vec<HostIndex>, Vec<u32>) =
            usable.iter().map(|host| (host.host, host.weight)).unzip();
        let rule = match policy {
            ir::LbPolicy::RoundRobin => Rule::RoundRobin(Box::new(Turns::new(&weights, seed))),
            ir::LbPolicy::LeastRequest { choices } => Rule::LeastRequest {
                choices: choices.clamp(1, MAX_CHOICES),
                shares: Shares::new(&weights),
            },
            ir::LbPolicy::LeastRequestFullScan => Rule::LeastRequestFullScan,
            ir::LbPolicy::Random => Rule::Random(Shares::new(&weights)),
            ir::LbPolicy::RingHash(settings) => Rule::Hashing(Hashing::ring(settings, &usable)),
            ir::LbPolicy::Maglev(settings) => Rule::Hashing(Hashing::maglev(settings, &usable)),
            ir::LbPolicy::PeakEwma(settings) => Rule::PeakEwma {
                decay: settings.decay,
                shares: Shares::new(&weights),
            },
        };
        Self {
            hosts: hosts.into(),
            weights: weights.into(),
            rule,
        }
    }

    /// The host for a request; `None` if there is none. A tried host is chosen
    /// only if all have been tried.
    pub fn pick(&self, loads: &impl Loads, pick: &Pick<'_>) -> Option<HostIndex> {
        if self.hosts.len() < 2 {
            return self.hosts.first().copied();
        }
        let mut draws = Draws::new(pick.entropy);
        let place = match &self.rule {
            Rule::RoundRobin(turns) => self.untried(pick.tried, || turns.next()),
            Rule::Random(shares) => self.untried(pick.tried, || shares.draw(&mut draws)),
            Rule::LeastRequest { choices, shares } => {
                let candidates =
                    (0..*choices).map(|_| self.untried(pick.tried, || shares.draw(&mut draws)));
                self.least_loaded_drawn(candidates, loads)?
            }
            Rule::LeastRequestFullScan => self.least_loaded(loads, pick.tried, &mut draws)?,
            Rule::Hashing(hashing) => hashing.place(self, loads, pick),
            Rule::PeakEwma { decay, shares } => {
                let [first, second] = self.two(pick.tried, || shares.draw(&mut draws));
                let cost = |place| self.cost(place, loads, (pick.now, *decay));
                if cost(second) < cost(first) {
                    second
                } else {
                    first
                }
            }
        };
        self.hosts.get(place).copied()
    }

    /// How many hosts there are to pick from.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host to pick.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// What `draw` gives, again and again while it was tried, and then the next
    /// one in order that was not.
    fn untried(&self, tried: &[HostIndex], mut draw: impl FnMut() -> usize) -> usize {
        let first = draw();
        if !self.is_tried(first, tried) {
            return first;
        }
        for _ in 0..REDRAWS {
            let place = draw();
            if !self.is_tried(place, tried) {
                return place;
            }
        }
        let (before, after) = (0..first, first..self.hosts.len());
        after
            .chain(before)
            .find(|place| !self.is_tried(*place, tried))
            .unwrap_or(first)
    }

    /// Two places, another one each if there are two that were not tried.
    fn two(&self, tried: &[HostIndex], mut draw: impl FnMut() -> usize) -> [usize; 2] {
        let first = self.untried(tried, &mut draw);
        let second = self.untried(tried, || {
            let place = draw();
            if place == first {
                (place + 1).checked_rem(self.len()).unwrap_or_default()
            } else {
                place
            }
        });
        [first, second]
    }

    /// Latency times the square of what would be in progress, by weight. The
    /// square answers a queue before the latency that it causes is seen.
    fn cost(&self, place: usize, loads: &impl Loads, (now, decay): (Tick, Duration)) -> f64 {
        let active = self.active(place, loads);
        let host = self.hosts.get(place);
        let latency = host.and_then(|host| loads.latency(*host));
        // Where nothing is observed, only what is in progress counts.
        let cost = latency.map_or(1.0, |latency| latency.cost(active, now, decay));
        let requests = f64::from(active) + 1.0;
        let weight = self.weights.get(place).copied().unwrap_or(1);
        cost * requests * requests / f64::from(weight)
    }

    fn is_tried(&self, place: usize, tried: &[HostIndex]) -> bool {
        self.hosts
            .get(place)
            .is_some_and(|host| tried.contains(host))
    }

    /// The least loaded of those drawn; the first drawn of equals.
    fn least_loaded_drawn(
        &self,
        drawn: impl Iterator<Item = usize>,
        loads: &impl Loads,
    ) -> Option<usize> {
        drawn
            .map(|place| (self.load(place, loads), place))
            .reduce(|best, next| if next.0.is_less(best.0) { next } else { best })
            .map(|(_, place)| place)
    }

    /// The least loaded of all that were not tried, or else of all; one of
    /// equals by reservoir sampling.
    fn least_loaded(
        &self,
        loads: &impl Loads,
        tried: &[HostIndex],
        draws: &mut Draws,
    ) -> Option<usize> {
        let all_tried = (0..self.hosts.len()).all(|place| self.is_tried(place, tried));
        let mut best: Option<(Load, usize)> = None;
        let mut equals = 1;
        for place in 0..self.hosts.len() {
            if !all_tried && self.is_tried(place, tried) {
                continue;
            }
            let load = self.load(place, loads);
            let better = best.is_none_or(|(least, _)| load.is_less(least));
            let equal = !better && best.is_some_and(|(least, _)| !least.is_less(load));
            equals = if equal { equals + 1 } else { equals };
            if better {
                equals = 1;
            }
            if better || (equal && draws.below(equals) == 0) {
                best = Some((load, place));
            }
        }
        best.map(|(_, place)| place)
    }

    fn active(&self, place: usize, loads: &impl Loads) -> u32 {
        self.hosts.get(place).map_or(0, |host| loads.active(*host))
    }

    fn load(&self, place: usize, loads: &impl Loads) -> Load {
        Load {
            requests: u64::from(self.active(place, loads)) + 1,
            weight: self.weights.get(place).copied().unwrap_or(1),
        }
    }
}

/// Requests per weight as they would be with the request in question; counting
/// it makes weights matter at idle hosts too.
#[derive(Debug, Clone, Copy)]
struct Load {
    requests: u64,
    weight: u32,
}

impl Load {
    /// Compares the two fractions without dividing.
    fn is_less(self, other: Self) -> bool {
        u128::from(self.requests) * u128::from(other.weight)
            < u128::from(other.requests) * u128::from(self.weight)
    }
}
