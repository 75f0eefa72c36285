//! Decides whether another attempt is made, and when.
//!
//! The conditions are those of Envoy's `retry_on`, on our [`Outcome`]s. A retry
//! must pass, in this order: the policy, the count of this request, the body,
//! the deadline, and the [`Budget`] of the cluster. Choosing another host,
//! sending and waiting are done elsewhere.

use std::time::Duration;

use evenkeel_shared::ir;

use crate::outcome::Outcome;
use crate::tick::Tick;

mod budget;
mod condition;

#[cfg(test)]
mod tests;

pub use budget::Budget;

/// What the plan must know of the request and its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Whether the whole body is still at hand, or none of it was used.
    pub replayable: bool,
    /// When the time for the whole request is over.
    pub deadline: Option<Tick>,
    /// Requests in progress in the cluster.
    pub active: u32,
    /// Now.
    pub now: Tick,
    /// A random number, used up by this question.
    pub entropy: u64,
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The outcome is not one that the policy retries; a success is none.
    NotRetriable,
    /// All attempts are used up.
    Exhausted,
    /// The cluster's budget forbids it.
    Budget,
    /// It could not begin before the deadline.
    Deadline,
    /// The request's body is gone.
    NotReplayable,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The outcome stands.
    Done(Stop),
    /// Another attempt; the budget holds it until [`Budget::end_retry`].
    Retry {
        /// Wait before it.
        after: Duration,
    },
}

/// The retries of one request.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    policy: Option<&'a ir::RetryPolicy>,
    granted: u32,
}

impl<'a> Plan<'a> {
    /// By a policy; without one nothing is retried.
    pub fn new(policy: Option<&'a ir::RetryPolicy>) -> Self {
        Self { policy, granted: 0 }
    }

    /// The retries of a request that has had some.
    pub fn resumed(policy: Option<&'a ir::RetryPolicy>, granted: u32) -> Self {
        Self { policy, granted }
    }

    /// Whether the policy repeats attempts that ended like this.
    pub fn is_about(&self, outcome: Outcome) -> bool {
        let policy = self.policy;
        policy.is_some_and(|policy| condition::is_retriable(policy, outcome))
    }

    /// What to do after an attempt that ended like this.
    pub fn next(&mut self, outcome: Outcome, here: &Situation, budget: &Budget) -> Decision {
        match self.try_next(outcome, here, budget) {
            Ok(after) => {
                self.granted += 1;
                Decision::Retry { after }
            }
            Err(stop) => Decision::Done(stop),
        }
    }

    /// How many retries were granted so far.
    pub fn retries(&self) -> u32 {
        self.granted
    }

    fn try_next(
        &self,
        outcome: Outcome,
        here: &Situation,
        budget: &Budget,
    ) -> Result<Duration, Stop> {
        let policy = self.policy.ok_or(Stop::NotRetriable)?;
        if !condition::is_retriable(policy, outcome) {
            return Err(Stop::NotRetriable);
        }
        if self.granted >= policy.retries {
            return Err(Stop::Exhausted);
        }
        if !here.replayable {
            return Err(Stop::NotReplayable);
        }
        let after = wait(policy.backoff, self.granted, here.entropy);
        if here
            .deadline
            .is_some_and(|deadline| here.now.plus(after) >= deadline)
        {
            return Err(Stop::Deadline);
        }
        if !budget.begin_retry(here.active, here.now) {
            return Err(Stop::Budget);
        }
        Ok(after)
    }
}

/// Uniform in `[0, min(base * 2^granted, max))`: the first retry waits less than
/// `base`.
fn wait(backoff: ir::Backoff, granted: u32, entropy: u64) -> Duration {
    let bound = backoff
        .base
        .saturating_mul(2_u32.saturating_pow(granted))
        .min(backoff.max);
    let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    let nanos = (u128::from(entropy) * u128::from(bound)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(bound))
}
