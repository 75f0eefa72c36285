//! Hosts by the hash of a request: the same request goes to the same host as long
//! as that is there, whichever proxy is asked.

use std::cell::Cell;

use evenkeel_shared::ir;

use super::draw::Draws;
use super::maglev::Maglev;
use super::ring::Ring;
use super::{Balancer, Loads, Pick, REDRAWS, Usable};

#[cfg(test)]
mod tests;

/// A host as a ring or table knows it.
#[derive(Debug)]
pub(super) struct Keyed {
    /// Its address as text, which is what is hashed.
    pub(super) key: String,
    /// Its weight as a share of all.
    pub(super) share: f64,
}

/// Hosts by hash, perhaps with a bound on what each of them gets.
#[derive(Debug)]
pub(super) struct Hashing {
    table: Table,
    bound: Option<Bound>,
}

#[derive(Debug)]
enum Table {
    Ring(Ring),
    Maglev(Maglev),
}

impl Hashing {
    pub(super) fn ring(settings: ir::RingHash, usable: &[Usable]) -> Self {
        let hosts = keyed(usable);
        Self {
            table: Table::Ring(Ring::new(settings, &hosts)),
            bound: Bound::new(settings.balance_factor, &hosts),
        }
    }

    pub(super) fn maglev(settings: ir::Maglev, usable: &[Usable]) -> Self {
        let hosts = keyed(usable);
        Self {
            table: Table::Maglev(Maglev::new(settings, &hosts)),
            bound: Bound::new(settings.balance_factor, &hosts),
        }
    }

    /// Where the request belongs. One that nothing ties to a host goes anywhere.
    pub(super) fn place(&self, among: &Balancer, loads: &impl Loads, pick: &Pick<'_>) -> usize {
        let hash = pick.affinity.unwrap_or(pick.entropy);
        let attempt = Cell::new(0);
        let place = among.untried(pick.tried, || {
            let nth = attempt.get();
            attempt.set(nth + 1);
            match &self.table {
                Table::Ring(ring) => ring.place(hash, nth),
                Table::Maglev(maglev) => maglev.place(hash, nth),
            }
        });
        match &self.bound {
            None => place,
            Some(bound) => bound.place(place, among, loads, (hash, pick)),
        }
    }
}

/// Without more than one host there is nothing to look up.
fn keyed(usable: &[Usable]) -> Vec<Keyed> {
    if usable.len() < 2 {
        return Vec::new();
    }
    let weights = usable.iter().map(|host| f64::from(host.weight));
    let sum: f64 = weights.sum();
    let hosts = usable.iter().map(|host| Keyed {
        key: host.address.to_string(),
        share: f64::from(host.weight) / sum,
    });
    hosts.collect()
}

/// Bounds the requests of a host to a multiple of its fair share (Mirrokni,
/// Thorup and Zadimoghaddam, SODA 2018). What is above goes to a host that the
/// hash picks by chance, so that a neighbour does not get all of it (Chen,
/// Coleman and Shrivastava, 2019).
#[derive(Debug)]
struct Bound {
    /// In percent of the fair share.
    factor: u32,
    shares: Box<[f64]>,
}

impl Bound {
    fn new(factor: Option<u32>, hosts: &[Keyed]) -> Option<Self> {
        let shares = hosts.iter().map(|host| host.share);
        factor.map(|factor| Self {
            factor,
            shares: shares.collect(),
        })
    }

    /// `first` if it has room, else another that has, else the one that is
    /// nearest to having any. Never one that was tried while there is another.
    fn place(
        &self,
        first: usize,
        among: &Balancer,
        loads: &impl Loads,
        (hash, pick): (u64, &Pick<'_>),
    ) -> usize {
        let total = loads.total(&among.hosts);
        let fullness = |place: usize| self.fullness(place, among.active(place, loads), total);
        if fullness(first) <= 1.0 {
            return first;
        }
        let (mut draws, count) = (Draws::new(hash), among.len());
        let mut draw = || usize::try_from(draws.below(count as u64)).unwrap_or_default();
        let open = |place: &usize| !among.is_tried(*place, pick.tried);
        for _ in 0..REDRAWS {
            let place = draw();
            if open(&place) && fullness(place) <= 1.0 {
                return place;
            }
        }
        let start = draw();
        let rest = (start..count).chain(0..start).filter(open);
        let mut least = (f64::INFINITY, first);
        for place in rest {
            let full = fullness(place);
            if full <= 1.0 {
                return place;
            }
            if full < least.0 {
                least = (full, place);
            }
        }
        least.1
    }

    /// What a host has, of what it may have while the cluster has so much.
    fn fullness(&self, place: usize, active: u32, total: u32) -> f64 {
        let share = self.shares.get(place).copied().unwrap_or_default();
        let fair = (f64::from(total) + 1.0) * f64::from(self.factor) / 100.0;
        let slots = (fair.ceil() * share).ceil().max(1.0);
        f64::from(active) / slots
    }
}
