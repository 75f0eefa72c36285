//! How long a request may take: one timer for all its limits, moved only when
//! the next of them changes.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::tick::Tick;
use crate::upstream::body::{Broken, RequestBody};
use crate::worker::Worker;
use crate::worker::timers::Timer;

/// What ran out while an answer was awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// The time of the whole request.
    Request,
    /// The time of one attempt.
    Attempt,
    /// The time without a byte.
    Idle,
    /// Nothing: the request's body broke.
    Body(Broken),
}

/// The limits of a request.
#[derive(Debug)]
pub(super) struct Timing {
    /// For the whole request, from the end of its body.
    pub(super) request: Option<Duration>,
    /// For one attempt, from the end of the body or the begin of the attempt.
    pub(super) attempt: Option<Duration>,
    /// Without a byte.
    pub(super) idle: Option<Duration>,
    timer: Timer,
}

impl Timing {
    /// Without a limit.
    pub(super) fn new(worker: Rc<Worker>) -> Self {
        Self {
            request: None,
            attempt: None,
            idle: None,
            timer: Timer::new(worker),
        }
    }

    /// When the whole request is to be over. Unknown until its body has ended.
    pub(super) fn deadline(&self, body: &RequestBody) -> Option<Tick> {
        Some(body.ended()?.plus(self.request?))
    }

    /// Ready with what ran out. `attempt` is when the attempt began; `None` while
    /// waiting between attempts.
    pub(super) fn poll_expired(
        &mut self,
        body: &RequestBody,
        attempt: Option<Tick>,
        cx: &mut Context<'_>,
    ) -> Poll<Expired> {
        body.watch(cx.waker());
        if let Some(broken) = body.broken() {
            return Poll::Ready(Expired::Body(broken));
        }
        let Some((at, why)) = self.next(body, attempt) else {
            return Poll::Pending;
        };
        self.timer.poll(at, cx).map(|()| why)
    }

    /// What runs out next.
    fn next(&self, body: &RequestBody, attempt: Option<Tick>) -> Option<(Tick, Expired)> {
        let ended = body.ended();
        let request = self.deadline(body).map(|at| (at, Expired::Request));
        let tried = attempt.zip(ended).map(|(began, ended)| began.max(ended));
        let tried = tried.zip(self.attempt);
        let tried = tried.map(|(from, limit)| (from.plus(limit), Expired::Attempt));
        let active = body.last_byte().max(attempt.unwrap_or_default());
        let idle = self.idle.map(|limit| (active.plus(limit), Expired::Idle));
        let all = request.into_iter().chain(tried).chain(idle);
        all.min_by_key(|(at, _)| *at)
    }

    /// Ready with what ran out while the body of an answer comes. The time of
    /// one attempt is over then.
    pub(super) fn poll_stalled(
        &mut self,
        body: &RequestBody,
        last_byte: Tick,
        cx: &mut Context<'_>,
    ) -> Poll<Expired> {
        let active = last_byte.max(body.last_byte());
        let idle = self.idle.map(|limit| (active.plus(limit), Expired::Idle));
        let request = self.deadline(body).map(|at| (at, Expired::Request));
        let first = idle.into_iter().chain(request).min_by_key(|(at, _)| *at);
        let Some((at, why)) = first else {
            return Poll::Pending;
        };
        self.timer.poll(at, cx).map(|()| why)
    }
}
