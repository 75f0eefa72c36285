//! Buckets by key, in a table that never grows.
//!
//! A set-associative table: the key's hash names a set of eight ways, and the
//! key may stand in any of them. When it is in none, it takes the way whose
//! bucket is full, or fullest: full buckets are all alike, so nothing is lost
//! with one. Keys are told apart by 64 bits of hash; two that agree share a
//! bucket.

use std::sync::atomic::{AtomicU64, Ordering};

use super::bucket::Moment;

const WAYS: usize = 8;

#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Set]>,
    evictions: AtomicU64,
}

/// Two cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Set([Way; WAYS]);

#[derive(Debug, Default)]
struct Way {
    /// Hash of the key; 0 is nobody's.
    key: AtomicU64,
    /// The bucket.
    full_at: AtomicU64,
}

impl Table {
    pub(super) fn new(sets: usize) -> Self {
        Self {
            sets: (0..sets.max(1)).map(|_| Set::default()).collect(),
            evictions: AtomicU64::new(0),
        }
    }

    /// The bucket of a key, which enters the table if it must.
    pub(super) fn bucket(&self, key: u64, now: Moment) -> &AtomicU64 {
        let key = key.max(1);
        let place = (u128::from(key) * self.sets.len() as u128) >> 64;
        let Set(ways) = &self.sets[usize::try_from(place).unwrap_or_default()];
        ways.iter()
            .find(|way| way.key.load(Ordering::Acquire) == key)
            .map_or_else(|| self.enter(ways, key, now), |way| &way.full_at)
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Gives a way to a key. Gives up after as many lost races as there are
    /// ways, and then lets the key use another's bucket this once.
    fn enter<'a>(&self, ways: &'a [Way; WAYS], key: u64, now: Moment) -> &'a AtomicU64 {
        let mut way = &ways[0];
        for _ in 0..WAYS {
            way = fullest(ways);
            let owner = way.key.load(Ordering::Acquire);
            let full_at = way.full_at.load(Ordering::Relaxed);
            let taken = way
                .key
                .compare_exchange(owner, key, Ordering::AcqRel, Ordering::Acquire);
            match taken {
                Ok(_) => {
                    self.empty(way, full_at, now);
                    break;
                }
                Err(winner) if winner == key => break,
                Err(_) => {}
            }
        }
        &way.full_at
    }

    /// Makes a taken bucket a full one. If somebody used it meanwhile, it stays
    /// as it is: what was granted is never forgotten.
    fn empty(&self, way: &Way, full_at: u64, now: Moment) {
        if full_at > now.0 {
            self.evictions.fetch_add(1, Ordering::Relaxed);
            let _used =
                way.full_at
                    .compare_exchange(full_at, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// The way whose bucket was or will be full first.
fn fullest(ways: &[Way; WAYS]) -> &Way {
    let first = &ways[0];
    ways.iter()
        .map(|way| (way.full_at.load(Ordering::Relaxed), way))
        .reduce(|best, next| if next.0 < best.0 { next } else { best })
        .map_or(first, |(_, way)| way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_bucket_while_there_is_room() {
        let table = Table::new(4);
        for key in 1..=8 {
            table
                .bucket(key, Moment(0))
                .store(100 + key, Ordering::Relaxed);
        }
        for key in 1..=8 {
            let bucket = table.bucket(key, Moment(0));
            assert_eq!(bucket.load(Ordering::Relaxed), 100 + key);
        }
        assert_eq!(table.evictions(), 0);
    }

    #[test]
    fn the_fullest_bucket_makes_room_and_is_counted() {
        let table = Table::new(1);
        for key in 1..=8 {
            table
                .bucket(key, Moment(0))
                .store(100 - key, Ordering::Relaxed);
        }
        assert_eq!(table.bucket(9, Moment(0)).load(Ordering::Relaxed), 0);
        assert_eq!(table.evictions(), 1);
        for key in 1..=7 {
            let bucket = table.bucket(key, Moment(0));
            assert_eq!(bucket.load(Ordering::Relaxed), 100 - key);
        }
    }

    #[test]
    fn a_full_bucket_makes_room_at_no_loss() {
        let table = Table::new(1);
        for key in 1..=20 {
            table.bucket(key, Moment(50)).store(40, Ordering::Relaxed);
        }
        assert_eq!(table.evictions(), 0);
    }
}
