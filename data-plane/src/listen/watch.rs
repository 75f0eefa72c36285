//! What a connection is doing, so that it can be ended in time: one timer for
//! each connection, looked at again when it fires instead of being moved with
//! every byte.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_shared::ir::Timeouts;
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::listen::accept::Phase;
use crate::tick::Tick;

/// How long a new connection may go on without a request while its listener
/// drains: its first request may be on its way.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How often a connection without a deadline is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Clock,
    /// Requests in progress.
    in_flight: Cell<u32>,
    /// Requests so far.
    requests: Cell<u64>,
    /// When the first byte of a header came that is not complete yet.
    head_since: Cell<Option<Tick>>,
    /// Since when there is no request.
    idle_since: Cell<Tick>,
    /// Since when the client takes no bytes.
    stalled_since: Cell<Option<Tick>>,
    /// Whether its listener has begun to end.
    leaving: Cell<bool>,
    /// Since when it may not be idle any more.
    draining_since: Cell<Option<Tick>>,
    /// Whether to end without a proper close, because what was sent would look
    /// complete.
    reset: Cell<bool>,
    /// The first request whose length is ambiguous, counted from 1.
    distrusted: Cell<Option<u64>>,
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// No request came.
    Idle,
    /// A header was begun and not completed in time.
    Header,
    /// The client takes no bytes.
    Stalled,
}

impl Watch {
    /// A connection that was accepted now.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            in_flight: Cell::new(0),
            requests: Cell::new(0),
            head_since: Cell::new(None),
            idle_since: Cell::new(clock.now()),
            stalled_since: Cell::new(None),
            leaving: Cell::new(false),
            draining_since: Cell::new(None),
            reset: Cell::new(false),
            distrusted: Cell::new(None),
        }
    }

    /// Bytes came.
    pub(crate) fn on_bytes(&self) {
        if self.in_flight.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(self.clock.now()));
        }
    }

    /// The client took bytes, or did not.
    pub(crate) fn on_write(&self, taken: bool) {
        if taken {
            self.stalled_since.set(None);
        } else if self.stalled_since.get().is_none() {
            self.stalled_since.set(Some(self.clock.now()));
        }
    }

    /// A request's header is complete.
    pub(crate) fn begin(&self) {
        self.head_since.set(None);
        self.in_flight.set(self.in_flight.get() + 1);
        self.requests.set(self.requests.get() + 1);
    }

    /// A request is over.
    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(self.clock.now());
    }

    /// Its listener has gone on to a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.leaving.set(phase >= Phase::Leaving);
        if phase >= Phase::Draining && self.draining_since.get().is_none() {
            self.draining_since.set(Some(self.clock.now()));
        }
    }

    /// Whether the next answer is to say that it is the last on its connection.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Whether the client may be told to open no more streams: nothing it has
    /// sent is lost by that. Not before the first request, which may be on its
    /// way.
    pub(crate) fn may_go_away(&self) -> bool {
        self.leaving.get() && self.requests.get() > 0
    }

    /// Whether the connection may be closed when nothing is in progress: it has
    /// had its time to be told, and no request has begun to come.
    pub(crate) fn may_close(&self) -> bool {
        let drains = self.draining_since.get().is_some();
        drains && self.requests.get() > 0 && self.head_since.get().is_none()
    }

    /// Whether a request is in progress.
    pub(crate) fn busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Ends the connection with a reset, whatever else happens.
    pub(crate) fn reset(&self) {
        self.reset.set(true);
    }

    /// Whether it is to end with a reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.reset.get()
    }

    /// From this request on, counted from 1, it is not clear where requests end.
    pub(crate) fn distrust(&self, request: u64) {
        self.distrusted.set(Some(request));
    }

    /// Whether it is unclear where the latest request ends.
    pub(crate) fn is_distrusted(&self) -> bool {
        let first = self.distrusted.get();
        first.is_some_and(|first| self.requests.get() >= first)
    }

    /// When it is to be ended, as things stand.
    fn deadline(&self, timeouts: &Timeouts) -> Option<(Tick, Expiry)> {
        let at =
            |since: Tick, time: Option<Duration>, why| time.map(|time| (since.plus(time), why));
        if self.in_flight.get() > 0 {
            let since = self.stalled_since.get()?;
            return at(since, timeouts.stream_idle, Expiry::Stalled);
        }
        if let Some(since) = self.head_since.get() {
            return at(since, timeouts.header, Expiry::Header);
        }
        // A connection that never said anything is held to the time of a header, if
        // there is one.
        let fresh = self.requests.get() == 0;
        let time = if fresh {
            timeouts.header.or(timeouts.idle)
        } else {
            timeouts.idle
        };
        let idle = at(self.idle_since.get(), time, Expiry::Idle);
        let drain = self
            .draining_since
            .get()
            .map(|since| (since.plus(DRAIN_GRACE), Expiry::Idle));
        idle.into_iter().chain(drain).min_by_key(|(at, _)| *at)
    }
}

/// The one timer of a connection. It is always polled by the same task.
#[derive(Debug)]
pub(crate) struct Alarm {
    timeouts: Timeouts,
    armed: Tick,
    sleep: Pin<Box<Sleep>>,
    /// Whether the runtime knows whom to wake when it rings.
    registered: bool,
}

impl Alarm {
    /// Rings by the times of a listener.
    pub(crate) fn new(watch: &Watch, timeouts: Timeouts) -> Self {
        let armed = watch
            .deadline(&timeouts)
            .map_or_else(|| watch.clock.now().plus(LOOK_AGAIN), |(at, _)| at);
        Self {
            timeouts,
            armed,
            sleep: Box::pin(tokio::time::sleep_until(watch.clock.instant(armed))),
            registered: false,
        }
    }

    /// Ready when the connection is to be ended. Also moves the timer, so it is
    /// to be polled after everything that may have changed the watch.
    pub(crate) fn poll(&mut self, watch: &Watch, cx: &mut Context<'_>) -> Poll<Expiry> {
        loop {
            let deadline = watch.deadline(&self.timeouts);
            if let Some((at, _)) = deadline
                && at < self.armed
            {
                self.arm(watch, at);
            }
            let now = watch.clock.now();
            if self.registered && now < self.armed {
                return Poll::Pending;
            }
            self.registered = self.sleep.as_mut().poll(cx).is_pending();
            if self.registered {
                return Poll::Pending;
            }
            match deadline {
                Some((at, why)) if at <= now => return Poll::Ready(why),
                Some((at, _)) => self.arm(watch, at),
                None => self.arm(watch, now.plus(LOOK_AGAIN)),
            }
        }
    }

    fn arm(&mut self, watch: &Watch, at: Tick) {
        self.armed = at;
        self.registered = false;
        self.sleep.as_mut().reset(watch.clock.instant(at));
    }
}

/// Counts a request as in progress on its connection.
#[derive(Debug)]
pub(crate) struct InProgress(Rc<Watch>);

impl InProgress {
    /// From the end of the header until it is dropped.
    pub(crate) fn begin(watch: &Rc<Watch>) -> Self {
        watch.begin();
        Self(Rc::clone(watch))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.end();
    }
}
