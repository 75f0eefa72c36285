//! A choice by weight.

/// Things with weights.
#[derive(Debug, Clone)]
pub struct Weighted<T> {
    /// Each with the sum of the weights up to and with it.
    items: Vec<(T, u64)>,
}

impl<T> Weighted<T> {
    /// The things and their weights; one of weight 0 is never picked.
    pub fn new(items: Vec<(T, u32)>) -> Self {
        let mut sum = 0;
        let summed = items.into_iter().map(|(item, weight)| {
            sum += u64::from(weight);
            (item, sum)
        });
        Self {
            items: summed.collect(),
        }
    }

    /// One of them; `None` if all weights are 0.
    pub fn pick(&self, entropy: u64) -> Option<&T> {
        let (_, total) = self.items.last()?;
        let point = (u128::from(entropy) * u128::from(*total)) >> 64;
        let place = self
            .items
            .partition_point(|(_, sum)| u128::from(*sum) <= point);
        self.items.get(place).map(|(item, _)| item)
    }

    /// All of them, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(item, _)| item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_weight_is_never_picked() {
        let all = Weighted::new(vec![('a', 0), ('b', 3), ('c', 0), ('d', 1), ('e', 0)]);
        assert_eq!(all.pick(0), Some(&'b'));
        assert_eq!(all.pick(u64::MAX / 4 * 3), Some(&'b'));
        assert_eq!(all.pick(u64::MAX / 4 * 3 + 9), Some(&'d'));
        assert_eq!(all.pick(u64::MAX), Some(&'d'));
        assert_eq!(Weighted::new(vec![('a', 0)]).pick(5), None);
        assert_eq!(Weighted::<char>::new(Vec::new()).pick(5), None);
    }

    proptest! {
        #[test]
        fn evenly_spread_entropy_picks_by_weight(
            weights in prop::collection::vec(0_u32..1_000, 1..8),
        ) {
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            prop_assume!(total > 0);
            let all = Weighted::new((0_usize..).zip(weights.iter().copied()).collect());
            let mut picked = vec![0_u32; weights.len()];
            for step in 0..total {
                // The middle of each of `total` equal parts.
                let entropy = ((u128::from(step) * 2 + 1) << 63) / u128::from(total);
                picked[*all.pick(u64::try_from(entropy).unwrap()).unwrap()] += 1;
            }
            prop_assert_eq!(picked, weights);
        }
    }
}
