//! Whose turn it is in round robin.
//!
//! Envoy orders hosts by earliest deadline, which needs a heap behind a lock.
//! Here the order of one whole stride is worked out beforehand and one cursor
//! runs over it: the shares are the same after each stride, and a pick is one
//! addition.

use std::sync::atomic::{AtomicU64, Ordering};

/// Weights whose reduced sum is larger are scaled down to about this; a table of
/// this length takes 256 KiB.
const MAX_STRIDE: u64 = 65_536;

/// The order of one stride, and where in it we are.
#[derive(Debug)]
pub(super) struct Turns {
    order: Order,
    cursor: Cursor,
}

/// Keeps the one number that all workers write off the line of the tables that
/// they only read.
#[derive(Debug)]
#[repr(align(128))]
struct Cursor(AtomicU64);

#[derive(Debug)]
enum Order {
    /// One after the other.
    Rotation(usize),
    /// Each place as often as its weight, spread evenly.
    Stride(Box<[u32]>),
}

impl Turns {
    pub(super) fn new(weights: &[u32], seed: u64) -> Self {
        let order = if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            Order::Rotation(weights.len())
        } else {
            Order::Stride(stride(&reduced(weights)))
        };
        let length = match &order {
            Order::Rotation(length) => *length,
            Order::Stride(places) => places.len(),
        };
        let start = seed.checked_rem(length as u64).unwrap_or_default();
        Self {
            order,
            cursor: Cursor(AtomicU64::new(start)),
        }
    }

    /// The next place.
    pub(super) fn next(&self) -> usize {
        let turn = self.cursor.0.fetch_add(1, Ordering::Relaxed);
        let at = |length: usize| {
            let place = turn.checked_rem(length as u64).unwrap_or_default();
            usize::try_from(place).unwrap_or_default()
        };
        match &self.order {
            Order::Rotation(length) => at(*length),
            Order::Stride(places) => {
                let place = places.get(at(places.len())).copied().unwrap_or_default();
                usize::try_from(place).unwrap_or_default()
            }
        }
    }
}

/// The weights in lowest terms, and, if their sum is still too large, scaled
/// down to the nearest whole number, at least 1.
fn reduced(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights = weights.iter().map(|weight| u64::from(weight / divisor));
    let total: u64 = weights.clone().sum();
    if total <= MAX_STRIDE {
        return weights.collect();
    }
    let scaled = |weight: u64| {
        let product = u128::from(weight) * u128::from(MAX_STRIDE) + u128::from(total / 2);
        u64::try_from(product / u128::from(total)).unwrap_or(MAX_STRIDE)
    };
    weights.map(|weight| scaled(weight).max(1)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Every place as often as its weight: its k-th turn (from 0) of w is due at
/// (k + ½) / w of the stride, and all turns are ordered by when they are due.
fn stride(weights: &[u64]) -> Box<[u32]> {
    let mut turns: Vec<(u64, u64, u32)> = Vec::new();
    for (place, &weight) in (0..).zip(weights) {
        turns.extend((0..weight).map(|k| (2 * k + 1, weight, place)));
    }
    // Numerators and weights are below 2^18, so the products fit.
    turns.sort_unstable_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2)));
    turns.into_iter().map(|(_, _, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_taken_in_lowest_terms() {
        assert_eq!(reduced(&[1_000, 2_000, 500]), [2, 4, 1]);
    }

    #[test]
    fn large_weights_keep_their_proportions_in_a_bounded_stride() {
        let weights = reduced(&[u32::MAX, u32::MAX / 2, 7]);
        assert_eq!(weights, [43_691, 21_845, 1]);
        assert_eq!(stride(&weights).len(), 65_537);
    }

    #[test]
    fn a_heavy_host_is_not_called_in_bursts() {
        let order = stride(&[4, 2, 1]);
        assert_eq!(*order, [0, 1, 0, 2, 0, 1, 0]);
    }
}
