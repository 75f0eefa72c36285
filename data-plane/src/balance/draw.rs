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

    /// A number below `bound`; 0 if the bound is 0. Multiplies instead of
    /// dividing; the bias is below `bound` in 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(bound)) >> 64;
        u64::try_from(scaled).unwrap_or_default()
    }
}

/// Places with weights, to draw from.
#[derive(Debug)]
pub(super) enum Shares {
    /// So many of the same weight.
    Equal(usize),
    /// The sum of the weights up to and with each place.
    Cumulative(Box<[u64]>),
}

impl Shares {
    pub(super) fn new(weights: &[u32]) -> Self {
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::Equal(weights.len());
        }
        let mut sum = 0;
        let sums = weights.iter().map(|weight| {
            sum += u64::from(*weight);
            sum
        });
        Self::Cumulative(sums.collect())
    }

    /// A place, each with the probability of its weight.
    pub(super) fn draw(&self, draws: &mut Draws) -> usize {
        match self {
            Self::Equal(count) => usize::try_from(draws.below(*count as u64)).unwrap_or_default(),
            Self::Cumulative(sums) => {
                let point = draws.below(sums.last().copied().unwrap_or_default());
                sums.partition_point(|sum| *sum <= point)
            }
        }
    }
}
