//! How much a client may ask in a time. Time is an argument, in nanoseconds.

/// One second.
const SECOND: u64 = 1_000_000_000;

/// A bucket of tokens: so many at once, and so many more each second.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// What one token costs, in nanoseconds.
    cost: u64,
    /// Up to where it fills by itself.
    full: u64,
    /// What is in it.
    credit: u64,
    at: u64,
}

impl Bucket {
    /// A full bucket of `burst` tokens, to which `per_second` are added.
    pub fn new(per_second: u64, burst: u64, now: u64) -> Self {
        let cost = SECOND / per_second.max(1);
        let full = cost.saturating_mul(burst);
        Self {
            cost,
            full,
            credit: full,
            at: now,
        }
    }

    /// Takes a token; `false` if there is none.
    pub fn take(&mut self, now: u64) -> bool {
        let filled = self
            .credit
            .saturating_add(now.saturating_sub(self.at))
            .min(self.full);
        // What was granted beyond stays, and only does not grow.
        self.credit = self.credit.max(filled);
        self.at = self.at.max(now);
        let enough = self.credit >= self.cost;
        if enough {
            self.credit -= self.cost;
        }
        enough
    }

    /// Adds tokens, also beyond what fits, but never more than `limit` in all.
    pub fn grant(&mut self, tokens: u64, limit: u64) {
        let limit = self.cost.saturating_mul(limit);
        let granted = self
            .credit
            .saturating_add(self.cost.saturating_mul(tokens))
            .min(limit);
        self.credit = self.credit.max(granted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, now: u64) -> usize {
        std::iter::repeat_with(|| bucket.take(now))
            .take(100_000)
            .take_while(|took| *took)
            .count()
    }

    #[test]
    fn it_gives_the_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(100, 1000, 5);
        assert_eq!(taken(&mut bucket, 5), 1000);
        assert_eq!(taken(&mut bucket, SECOND + 5), 100);
        assert_eq!(taken(&mut bucket, 100 * SECOND), 1000);
        assert_eq!(taken(&mut bucket, 0), 0, "time does not go back");
    }

    #[test]
    fn what_is_granted_comes_on_top_within_a_limit() {
        let mut bucket = Bucket::new(100, 1000, 0);
        bucket.grant(500, 2000);
        assert_eq!(taken(&mut bucket, 0), 1500);
        bucket.grant(u64::MAX, 2000);
        bucket.grant(1, 10);
        assert_eq!(taken(&mut bucket, 0), 2000);
    }
}
