//! The body of a request on its way to an endpoint: streamed, and kept beside
//! for another attempt as long as it is small.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;

use crate::clock::Clock;
use crate::listen::body::ClientBody;
use crate::message::{Fields, Piece};
use crate::tick::Tick;
use crate::upstream::trailers;

/// Why a request's body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The client went away, or broke the protocol.
    Client,
    /// It is larger than the listener allows.
    TooLarge,
    /// Another attempt has taken over; the endpoint gets no more of it.
    Superseded,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "the client did not complete the request",
            Self::TooLarge => "the request is larger than the limit",
            Self::Superseded => "the attempt was given up",
        })
    }
}

impl std::error::Error for Broken {}

/// How much of a body may come, and be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Most bytes; `None` is no limit.
    pub(crate) bytes: Option<u64>,
    /// Most bytes kept for another attempt.
    pub(crate) kept: usize,
}

/// The body of a request. One that has none costs no memory.
#[derive(Debug, Clone)]
pub(crate) struct RequestBody {
    source: Option<Rc<Source>>,
    /// When the head of the request was complete.
    head_came: Tick,
}

/// A body, shared by its attempts.
#[derive(Debug)]
struct Source {
    clock: Clock,
    limits: BodyLimits,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once it has ended or broken.
    incoming: Option<ClientBody>,
    /// Its length, if the client named it.
    length: Option<u64>,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    trailers: Option<Fields>,
    /// Whether some of it is gone, so that no other attempt can be made.
    lost: bool,
    received: u64,
    ended: Option<Tick>,
    broken: Option<Broken>,
    last_byte: Tick,
    /// The attempt that gets it; older ones get nothing more.
    attempt: u32,
    /// Who wants to know of its end.
    watcher: Option<Waker>,
}

impl RequestBody {
    /// The body of a request whose head came now.
    pub(crate) fn new(incoming: ClientBody, limits: BodyLimits, clock: Clock) -> Self {
        let head_came = clock.now();
        let there_is_one = !incoming.is_end();
        let source = there_is_one.then(|| {
            let state = State::new(incoming, head_came);
            Rc::new(Source {
                clock,
                limits,
                state: RefCell::new(state),
            })
        });
        Self { source, head_came }
    }

    /// What is known of it; `empty` if there is none.
    fn look<T>(&self, empty: T, look: impl FnOnce(&State) -> T) -> T {
        match &self.source {
            None => empty,
            Some(source) => look(&source.state.borrow()),
        }
    }

    /// The body for the next attempt. The one before it gets no more.
    pub(crate) fn attempt(&self) -> AttemptBody {
        let attempt = self.source.as_ref().map(|source| {
            let mut state = source.state.borrow_mut();
            state.attempt += 1;
            state.attempt
        });
        AttemptBody {
            attempt: attempt.unwrap_or_default(),
            source: self.source.clone(),
            next: 0,
            trailers_given: false,
        }
    }

    /// Whether there is no body at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.look(true, |state| {
            state.incoming.is_none() && state.received == 0 && state.trailers.is_none()
        })
    }

    /// Its length, if the client named it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.look(Some(0), |state| state.length)
    }

    /// Whether another attempt would get all of it.
    pub(crate) fn replayable(&self) -> bool {
        self.look(true, |state| !state.lost && state.broken.is_none())
    }

    /// When it was complete.
    pub(crate) fn ended(&self) -> Option<Tick> {
        self.look(Some(self.head_came), |state| state.ended)
    }

    /// Why it never will be.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.look(None, |state| state.broken)
    }

    /// When the last byte of it came.
    pub(crate) fn last_byte(&self) -> Tick {
        self.look(self.head_came, |state| state.last_byte)
    }

    /// Bytes so far.
    pub(crate) fn received(&self) -> u64 {
        self.look(0, |state| state.received)
    }

    /// Wakes the task when it ends or breaks.
    pub(crate) fn watch(&self, waker: &Waker) {
        let Some(source) = &self.source else {
            return;
        };
        let mut state = source.state.borrow_mut();
        if state.ended.is_none() && state.broken.is_none() {
            match &mut state.watcher {
                Some(watcher) => watcher.clone_from(waker),
                None => state.watcher = Some(waker.clone()),
            }
        }
    }
}

impl State {
    /// Nothing of it was read.
    fn new(incoming: ClientBody, now: Tick) -> Self {
        Self {
            length: incoming.length(),
            incoming: Some(incoming),
            kept: Vec::new(),
            kept_bytes: 0,
            trailers: None,
            lost: false,
            received: 0,
            ended: None,
            broken: None,
            last_byte: now,
            attempt: 0,
            watcher: None,
        }
    }

    /// Polls the client for the next piece, and keeps it.
    fn poll_client(
        &mut self,
        limits: BodyLimits,
        now: Tick,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, Broken>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(self.broken.map(Err));
        };
        let polled = ready!(incoming.poll_piece(cx));
        let complete = incoming.is_end();
        let mut piece = match polled {
            Some(Ok(piece)) => piece,
            Some(Err(_)) => return Poll::Ready(Some(Err(self.fail(Broken::Client)))),
            None => {
                self.end(now);
                return Poll::Ready(None);
            }
        };
        self.last_byte = now;
        match &mut piece {
            Piece::Data(data) => {
                self.received += data.len() as u64;
                if limits.bytes.is_some_and(|most| self.received > most) {
                    return Poll::Ready(Some(Err(self.fail(Broken::TooLarge))));
                }
                let data = data.clone();
                self.keep(data, limits.kept);
            }
            Piece::Trailers(fields) => {
                trailers::clean(fields);
                self.trailers = Some(fields.clone());
            }
        }
        if complete {
            self.end(now);
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn keep(&mut self, data: Bytes, most: usize) {
        self.kept_bytes += data.len();
        if self.lost || self.kept_bytes > most {
            self.lost = true;
            self.kept = Vec::new();
        } else {
            self.kept.push(data);
        }
    }

    fn end(&mut self, now: Tick) {
        self.ended = Some(now);
        self.incoming = None;
        self.wake();
    }

    fn fail(&mut self, broken: Broken) -> Broken {
        self.broken = Some(broken);
        self.incoming = None;
        self.wake();
        broken
    }

    fn wake(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }
}

/// The body as one attempt sends it: what was kept, then what comes.
#[derive(Debug)]
pub(crate) struct AttemptBody {
    source: Option<Rc<Source>>,
    attempt: u32,
    /// Which of the kept pieces is next.
    next: usize,
    trailers_given: bool,
}

impl AttemptBody {
    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, Broken>>> {
        let Some(source) = &self.source else {
            return Poll::Ready(None);
        };
        let mut state = source.state.borrow_mut();
        if state.attempt != self.attempt {
            return Poll::Ready(Some(Err(Broken::Superseded)));
        }
        if let Some(data) = state.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Piece::Data(data.clone()))));
        }
        if state.incoming.is_none()
            && !self.trailers_given
            && let Some(trailers) = state.trailers.clone()
        {
            self.trailers_given = true;
            return Poll::Ready(Some(Ok(Piece::Trailers(trailers))));
        }
        let polled = ready!(state.poll_client(source.limits, source.clock.now(), cx));
        if let Some(Ok(piece)) = &polled {
            self.trailers_given |= matches!(piece, Piece::Trailers(_));
            // All that is kept has been given; nothing of it if some is lost.
            self.next = state.kept.len();
        }
        Poll::Ready(polled)
    }

    /// Whether all of it has been given.
    pub(crate) fn is_end(&self) -> bool {
        let Some(source) = &self.source else {
            return true;
        };
        let state = source.state.borrow();
        state.ended.is_some()
            && state.attempt == self.attempt
            && self.next >= state.kept.len()
            && (self.trailers_given || state.trailers.is_none())
    }

    /// Its length as a whole, if the client named it.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.source {
            None => Some(0),
            Some(source) => source.state.borrow().length,
        }
    }
}
