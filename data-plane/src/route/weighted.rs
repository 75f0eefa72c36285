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
        let items = items
            .into_iter()
            .map(|(item, weight)| {
                sum += u64::from(weight);
                (item, sum)
            })
            .collect();
        Self { items }
    }

    /// One of them; `None` if all weights are 0.
    pub fn pick(&self, entropy: u64) -> Option<&T> {
        let (_, total) = self.items.last()?;
        let point = u64::try_from((u128::from(entropy) * u128::from(*total)) >> 64).ok()?;
        let place = self.items.partition_point(|(_, sum)| *sum <= point);
        self.items.get(place).map(|(item, _)| item)
    }

    /// All of them, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(item, _)| item)
    }
}
