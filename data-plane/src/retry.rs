//! Decides whether another attempt is made.

use std::time::Duration;

use evenkeel_shared::ir;

use crate::outcome::Outcome;
use crate::tick::Tick;

/// Bounds the retries of a cluster.
#[derive(Debug)]
pub struct Budget {
    _limits: ir::RetryBudget,
}

impl Budget {
    /// With these limits.
    pub fn new(limits: ir::RetryBudget) -> Self {
        Self { _limits: limits }
    }

    /// A request (not a retry) begins.
    pub fn on_request(&self, _now: Tick) {}

    /// A retry that [`Plan::next`] granted has ended.
    pub fn end_retry(&self) {}
}

/// What the plan must know of the request and its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Whether the whole body is still at hand.
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
    /// The outcome is not one that the policy retries, or a success.
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
}

impl<'a> Plan<'a> {
    /// By a policy; without one nothing is retried.
    pub fn new(policy: Option<&'a ir::RetryPolicy>) -> Self {
        Self { policy }
    }

    /// What to do after an attempt that ended like this.
    pub fn next(&mut self, _outcome: Outcome, _now: &Situation, _budget: &Budget) -> Decision {
        let _ = self.policy;
        Decision::Done(Stop::NotRetriable)
    }
}
