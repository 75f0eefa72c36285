//! An endpoint: so many slots, each busy with one request, and a queue before
//! them. What was taken in is worked on to its end, also when nobody waits for
//! the answer any more, as most servers do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use evenkeel_data_plane::outcome::Outcome;
use evenkeel_data_plane::tick::Tick;

use super::entropy::{Entropy, Times};

/// How far ahead of its rate a limited endpoint lets requests come.
const BURST: Duration = Duration::from_millis(100);

/// What an endpoint is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Build {
    /// Requests worked on at once.
    pub(super) slots: usize,
    /// Requests that may wait for a slot; another one is answered with 503.
    pub(super) queue: usize,
    /// How long a request is worked on.
    pub(super) service: Times,
}

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Condition {
    /// What becomes of a request that comes.
    pub(super) door: Door,
    /// How many times as long requests take, and for which share of them.
    pub(super) slow: (f64, f64),
    /// Share of the requests that fail, with which status, after which time.
    pub(super) fail: Option<(f64, u16, Duration)>,
    /// Requests per second; one above is answered with 429.
    pub(super) limit: Option<u32>,
}

/// What becomes of a request that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    /// It is taken in.
    Open,
    /// The connection is refused; what was taken in before goes on.
    Refusing,
    /// It is accepted and never answered.
    Hanging,
    /// The process is gone, with all that it had taken in.
    Crashed,
}

impl Condition {
    /// Nothing.
    pub(super) const WELL: Self = Self {
        door: Door::Open,
        slow: (1.0, 0.0),
        fail: None,
        limit: None,
    };
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is answered after this time, without taking a slot.
    Answered(Outcome, Duration),
    /// It has a slot, and is done after this time.
    Begun(Serial, Duration),
    /// It waits, or is never answered.
    Kept,
}

/// Number of a request that has a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Serial(u64);

/// An endpoint; `J` is how it calls its requests.
#[derive(Debug)]
pub(super) struct Backend<J> {
    build: Build,
    condition: Condition,
    running: BTreeMap<Serial, J>,
    waiting: VecDeque<J>,
    begun: u64,
    /// When a limited endpoint has caught up with its rate.
    paid_until: Tick,
}

impl<J> Backend<J> {
    /// An idle one.
    pub(super) fn new(build: Build) -> Self {
        Self {
            build,
            condition: Condition::WELL,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            begun: 0,
            paid_until: Tick(0),
        }
    }

    /// A request comes.
    pub(super) fn take(&mut self, job: J, now: Tick, entropy: &mut Entropy) -> Taken {
        match self.condition.door {
            Door::Refusing | Door::Crashed => {
                return Taken::Answered(Outcome::ConnectFailure, Duration::ZERO);
            }
            Door::Hanging => return Taken::Kept,
            Door::Open => {}
        }
        if let Some((share, status, after)) = self.condition.fail
            && entropy.chance(share)
        {
            return Taken::Answered(answered(status), after);
        }
        if !self.is_within_limit(now) {
            return Taken::Answered(answered(429), Duration::ZERO);
        }
        if self.running.len() < self.build.slots {
            let (serial, time) = self.begin(job, entropy);
            return Taken::Begun(serial, time);
        }
        if self.waiting.len() >= self.build.queue {
            return Taken::Answered(answered(503), Duration::ZERO);
        }
        self.waiting.push_back(job);
        Taken::Kept
    }

    /// A request is done. Which one it was, unless it was lost meanwhile; and the
    /// one that begins in its slot.
    pub(super) fn done(
        &mut self,
        serial: Serial,
        entropy: &mut Entropy,
    ) -> Option<(J, Option<(Serial, Duration)>)> {
        let job = self.running.remove(&serial)?;
        let next = self.waiting.pop_front();
        Some((job, next.map(|next| self.begin(next, entropy))))
    }

    /// Its condition changes. The requests that are reset by that; those that an
    /// endpoint had when it froze are simply lost.
    pub(super) fn change(&mut self, condition: Condition) -> Vec<J> {
        let before = std::mem::replace(&mut self.condition, condition);
        if before.door == condition.door {
            return Vec::new();
        }
        match condition.door {
            Door::Crashed => {
                let running = std::mem::take(&mut self.running).into_values();
                running.chain(self.waiting.drain(..)).collect()
            }
            Door::Hanging => {
                self.running.clear();
                self.waiting.clear();
                Vec::new()
            }
            Door::Open | Door::Refusing => Vec::new(),
        }
    }

    fn begin(&mut self, job: J, entropy: &mut Entropy) -> (Serial, Duration) {
        let serial = Serial(self.begun);
        self.begun += 1;
        let (times, share) = self.condition.slow;
        let factor = if entropy.chance(share) { times } else { 1.0 };
        self.running.insert(serial, job);
        (serial, self.build.service.draw(entropy, factor))
    }

    fn is_within_limit(&mut self, now: Tick) -> bool {
        let Some(rate) = self.condition.limit else {
            return true;
        };
        if self.paid_until.since(now) > BURST {
            return false;
        }
        let each = Duration::from_secs(1) / rate.max(1);
        self.paid_until = self.paid_until.max(now).plus(each);
        true
    }
}

fn answered(status: u16) -> Outcome {
    Outcome::Response {
        status,
        grpc_status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::entropy::Stream;

    const TEN: Duration = Duration::from_millis(10);

    fn backend(slots: usize, queue: usize) -> (Backend<char>, Entropy) {
        let service = Times::Constant(TEN);
        let build = Build {
            slots,
            queue,
            service,
        };
        (Backend::new(build), Entropy::new(1, Stream::Endpoints))
    }

    #[test]
    fn requests_wait_for_a_slot_and_then_for_nobody() {
        let (mut backend, mut entropy) = backend(1, 1);
        let mut take = |backend: &mut Backend<char>, job| backend.take(job, Tick(0), &mut entropy);
        let Taken::Begun(first, TEN) = take(&mut backend, 'a') else {
            panic!("a slot is free");
        };
        assert_eq!(take(&mut backend, 'b'), Taken::Kept);
        let full = Taken::Answered(answered(503), Duration::ZERO);
        assert_eq!(take(&mut backend, 'c'), full);
        let (job, next) = backend.done(first, &mut entropy).unwrap();
        assert_eq!(job, 'a');
        let (second, _) = next.unwrap();
        assert_eq!(backend.done(second, &mut entropy), Some(('b', None)));
        assert_eq!(backend.done(second, &mut entropy), None);
    }

    #[test]
    fn a_crash_resets_what_was_taken_in_and_refuses_the_rest() {
        let (mut backend, mut entropy) = backend(1, 5);
        for job in ['a', 'b'] {
            backend.take(job, Tick(0), &mut entropy);
        }
        let crashed = Condition {
            door: Door::Crashed,
            ..Condition::WELL
        };
        assert_eq!(backend.change(crashed), ['a', 'b']);
        let refused = Taken::Answered(Outcome::ConnectFailure, Duration::ZERO);
        assert_eq!(backend.take('c', Tick(0), &mut entropy), refused);
        assert!(backend.change(Condition::WELL).is_empty());
        assert!(matches!(
            backend.take('d', Tick(0), &mut entropy),
            Taken::Begun(..)
        ));
    }

    #[test]
    fn a_limited_endpoint_answers_no_more_than_its_rate() {
        let (mut backend, mut entropy) = backend(100_000, 0);
        backend.change(Condition {
            limit: Some(50),
            ..Condition::WELL
        });
        let begun = (0..10_000_u64).filter(|millis| {
            let now = Tick(0).plus(Duration::from_millis(*millis));
            matches!(backend.take('a', now, &mut entropy), Taken::Begun(..))
        });
        let begun = begun.count();
        assert!((500..=506).contains(&begun), "{begun}");
    }
}
