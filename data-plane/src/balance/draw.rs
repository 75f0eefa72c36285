//! Draws by weight from one number of entropy.

/// A stream of numbers from one seed (`SplitMix64`, Steele, Lea and Flood,
/// OOPSLA 2014): enough for a handful of draws, and pure.
#[derive(Debug)]
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    pub(super) fn new(entropy: u64) -> Self {
        Self { state: entropy }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0. The bias is below `bound` in
    /// 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        split(self.next(), bound).0
    }
}

/// Makes a number below `bound` of a random one, and another random one of what is
/// left. Multiplies instead of dividing.
fn split(random: u64, bound: u64) -> (u64, u64) {
    let scaled = u128::from(random) * u128::from(bound);
    let whole = u64::try_from(scaled >> 64).unwrap_or_default();
    let rest = u64::try_from(scaled & u128::from(u64::MAX)).unwrap_or_default();
    (whole, rest)
}

/// Places with weights, to draw from; a draw costs the same however many there are.
#[derive(Debug)]
pub(super) enum Shares {
    /// So many of the same weight.
    Equal(usize),
    /// With other weights each.
    Weighted(Aliases),
}

impl Shares {
    pub(super) fn new(weights: &[u32]) -> Self {
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::Equal(weights.len());
        }
        Self::Weighted(Aliases::new(weights))
    }

    /// A place, each with the probability of its weight.
    pub(super) fn draw(&self, draws: &mut Draws) -> usize {
        match self {
            Self::Equal(count) => usize::try_from(draws.below(*count as u64)).unwrap_or_default(),
            Self::Weighted(aliases) => aliases.draw(draws),
        }
    }
}

/// As many columns as places, all of one height, the sum of the weights. Each place
/// fills its own column as far as its weight goes, and what is missing is filled by
/// one other place, whose weight is more than its column holds. So one draw finds a
/// column, and one comparison the place in it (Walker 1977, Vose 1991).
///
/// ```text
///                     | 2 | 2 | 2 |
///   weights 1, 2, 6   | 2 | 1 | 2 |
///                     | 0 | 1 | 2 |
/// ```
#[derive(Debug)]
pub(super) struct Aliases {
    height: u64,
    columns: Box<[Column]>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// How much of it is the place's own.
    own: u64,
    /// Whose the rest is.
    other: usize,
}

impl Aliases {
    fn new(weights: &[u32]) -> Self {
        let count = weights.len() as u64;
        let height: u64 = weights.iter().copied().map(u64::from).sum();
        // Below 2^32 hosts of weights below 2^32, so that the products fit.
        let shares = weights.iter().map(|weight| u64::from(*weight) * count);
        let mut columns: Vec<Column> = shares
            .enumerate()
            .map(|(place, own)| Column { own, other: place })
            .collect();
        let (mut short, mut tall): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|place| columns[*place].own < height);
        while let (Some(low), Some(high)) = (short.pop(), tall.last().copied()) {
            columns[low].other = high;
            columns[high].own -= height - columns[low].own;
            if columns[high].own < height {
                tall.pop();
                short.push(high);
            }
        }
        Self {
            height,
            columns: columns.into(),
        }
    }

    fn draw(&self, draws: &mut Draws) -> usize {
        let (place, rest) = split(draws.next(), self.columns.len() as u64);
        let place = usize::try_from(place).unwrap_or_default();
        let (level, _) = split(rest, self.height);
        match self.columns.get(place) {
            Some(column) if level >= column.own => column.other,
            _ => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_place_has_exactly_its_share_of_all_columns(
            weights in proptest::collection::vec(1..1_000_u32, 1..50),
        ) {
            let aliases = Aliases::new(&weights);
            let mut shares = vec![0; weights.len()];
            for (place, column) in aliases.columns.iter().enumerate() {
                let own = column.own.min(aliases.height);
                shares[place] += own;
                shares[column.other] += aliases.height - own;
            }
            let count = weights.len() as u64;
            let wanted: Vec<u64> = weights.iter().map(|w| u64::from(*w) * count).collect();
            prop_assert_eq!(shares, wanted);
        }
    }
}
