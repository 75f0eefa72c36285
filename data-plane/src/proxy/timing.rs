//! How long a request may take: one timer for all its limits, moved only when
//! the next of them changes.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::tick::Tick;
use crate::upstream::body::{Broken, Source};
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
    pub(super) source: Rc<Source>,
    /// For the whole request, from the end of its body.
    pub(super) request: Option<Duration>,
    /// For one attempt, from the end of the body or the begin of the attempt.
    pub(super) attempt: Option<Duration>,
    /// Without a byte.
    pub(super) idle: Option<Duration>,
    timer: Timer,
}

impl Timing {
    /// For a request with this body.
    pub(super) fn new(worker: Rc<Worker>, source: Rc<Source>, idle: Option<Duration>) -> Self {
        Self {
            source,
            request: None,
            attempt: None,
            idle,
            timer: Timer::new(worker),
        }
    }

    /// When the whole request is to be over. Unknown until its body has ended.
    pub(super) fn deadline(&self) -> Option<Tick> {
        Some(self.source.ended()?.plus(self.request?))
    }

    /// The answer of `task`, or what ran out first. `attempt` is when the
    /// attempt began; `None` while waiting between attempts.
    pub(super) async fn within<T>(
        &mut self,
        attempt: Option<Tick>,
        task: impl Future<Output = T>,
    ) -> Result<T, Expired> {
        let mut task = pin!(task);
        poll_fn(|cx| {
            if let Poll::Ready(done) = task.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            self.poll_expired(attempt, cx).map(Err)
        })
        .await
    }

    fn poll_expired(&mut self, attempt: Option<Tick>, cx: &mut Context<'_>) -> Poll<Expired> {
        self.source.watch(cx.waker());
        if let Some(broken) = self.source.broken() {
            return Poll::Ready(Expired::Body(broken));
        }
        let Some((at, why)) = self.next(attempt) else {
            return Poll::Pending;
        };
        self.timer.poll(at, cx).map(|()| why)
    }

    /// What runs out next.
    fn next(&self, attempt: Option<Tick>) -> Option<(Tick, Expired)> {
        let ended = self.source.ended();
        let request = self.deadline().map(|at| (at, Expired::Request));
        let tried = attempt.zip(ended).map(|(began, ended)| began.max(ended));
        let tried = tried.zip(self.attempt);
        let tried = tried.map(|(from, limit)| (from.plus(limit), Expired::Attempt));
        let active = self.source.last_byte().max(attempt.unwrap_or_default());
        let idle = self.idle.map(|limit| (active.plus(limit), Expired::Idle));
        let all = request.into_iter().chain(tried).chain(idle);
        all.min_by_key(|(at, _)| *at)
    }
}
