//! Ring hash: each host has points on a ring, as many as its weight asks for, and
//! a request goes to the owner of the next point.

use evenkeel_shared::ir;

use super::hashing::Keyed;
use super::xxhash::xxhash64;

/// The points of all hosts, in order.
#[derive(Debug)]
pub(super) struct Ring {
    points: Box<[Point]>,
}

#[derive(Debug)]
struct Point {
    hash: u64,
    place: u32,
}

impl Ring {
    /// The ring that Envoy makes of the same hosts in the same order. The host of
    /// the least weight gets a whole number of points, and the ring at least
    /// `min_size` of them, unless that is more than `max_size`.
    pub(super) fn new(settings: ir::RingHash, hosts: &[Keyed]) -> Self {
        let least = hosts.iter().map(|host| host.share).fold(1.0, f64::min);
        let whole = (least * f64::from(settings.min_size)).ceil() / least;
        let scale = whole.min(f64::from(settings.max_size));
        let mut points = Vec::new();
        // Running sums over all hosts, so that parts of points add up.
        let (mut made, mut due) = (0.0, 0.0);
        for (place, host) in (0_u32..).zip(hosts) {
            due += scale * host.share;
            let mut key = format!("{}_", host.key);
            let stem = key.len();
            let mut index = 0_u32;
            while made < due {
                key.truncate(stem);
                key.push_str(&index.to_string());
                let hash = xxhash64(key.as_bytes(), 0);
                points.push(Point { hash, place });
                index += 1;
                made += 1.0;
            }
        }
        points.sort_by_key(|point| point.hash);
        Self {
            points: points.into(),
        }
    }

    /// The owner of the next point, or of one so many points further on.
    pub(super) fn place(&self, hash: u64, attempt: usize) -> usize {
        let next = self.points.partition_point(|point| point.hash < hash);
        let at = (next + attempt).checked_rem(self.points.len());
        let owner = at.and_then(|at| self.points.get(at));
        owner.map_or(0, |point| usize::try_from(point.place).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(min_size: u32, max_size: u32, shares: &[f64]) -> Ring {
        let hosts = shares.iter().enumerate().map(|(index, share)| Keyed {
            key: format!("127.0.0.1:{}", 90 + index),
            share: *share,
        });
        let settings = ir::RingHash {
            min_size,
            max_size,
            balance_factor: None,
        };
        Ring::new(settings, &hosts.collect::<Vec<_>>())
    }

    fn points(ring: &Ring, place: u32) -> usize {
        let own = ring.points.iter().filter(|point| point.place == place);
        own.count()
    }

    #[test]
    fn points_are_as_many_as_the_weights_ask_for() {
        let thirds = ring(3, 1_000, &[1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!((points(&thirds, 0), points(&thirds, 1)), (1, 2));
        // 5 is not a multiple of 3: the least gets 2, so the other gets 4.
        let rounded = ring(5, 1_000, &[1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!((points(&rounded, 0), points(&rounded, 1)), (2, 4));
    }

    #[test]
    fn a_ring_that_is_too_small_shares_its_points_in_turn() {
        let small = ring(1, 6, &[0.25; 4]);
        assert_eq!(small.points.len(), 4);
        let scarce = ring(8, 6, &[0.25; 4]);
        let each: Vec<usize> = (0..4).map(|place| points(&scarce, place)).collect();
        assert_eq!(each, [2, 1, 2, 1]);
    }

    /// Each of the two hosts has points at the hashes of `address_0` and so on;
    /// a request with the hash of a point goes there, the one after it further.
    #[test]
    fn a_request_goes_to_the_next_point() {
        let ring = ring(6, 6, &[0.5, 0.5]);
        let own = xxhash64(b"127.0.0.1:91_2", 0);
        assert_eq!(ring.place(own, 0), 1);
        let at = ring.points.iter().position(|point| point.hash == own);
        let at = at.unwrap();
        let next = &ring.points[(at + 1) % ring.points.len()];
        assert_eq!(ring.place(own + 1, 0), next.place as usize);
        assert_eq!(ring.place(own, 1), next.place as usize);
        let first = ring.points.first().unwrap().place as usize;
        assert_eq!(ring.place(u64::MAX, 0), first, "it is a ring");
    }
}
