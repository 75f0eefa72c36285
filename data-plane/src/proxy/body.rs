//! The body of an answer on its way to the client: streamed, watched, and
//! broken off at once if it breaks, so that half an answer never looks whole.

use std::fmt;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::message::{Chunk, Fields};
use crate::outcome::Outcome;
use crate::proxy::Live;
use crate::proxy::attempt::{Attempt, observe};
use crate::proxy::forward::Journey;
use crate::proxy::timing::Expired;
use crate::telemetry::record::Reason;
use crate::tick::Tick;
use crate::upstream::connection::Connection;

/// Why an answer is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut(Reason);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answer cut short: {:?}", self.0)
    }
}

impl std::error::Error for Cut {}

/// An endpoint's body.
pub(crate) struct Streaming {
    journey: Box<Journey>,
    trailers: Option<Fields>,
    last_byte: Tick,
}

/// The body of an answer. Dropping it ends the exchange.
pub(crate) enum AnswerBody {
    /// Nothing, and nothing to watch.
    Empty,
    /// Our own words.
    Text(
        Bytes,
        #[expect(dead_code, reason = "ends the exchange when dropped")] Box<Live>,
    ),
    /// An endpoint's.
    Streaming(Streaming),
}

impl AnswerBody {
    /// Our own words.
    pub(super) fn text(text: Bytes, mut live: Live) -> Self {
        live.exchange.sent(text.len());
        live.exchange.complete();
        Self::Text(text, Box::new(live))
    }

    /// An endpoint's.
    pub(super) fn streaming(journey: Box<Journey>) -> Self {
        let mut streaming = Streaming {
            last_byte: journey.live.conn.worker.now(),
            trailers: None,
            journey,
        };
        if streaming.is_received() {
            streaming.complete();
        }
        Self::Streaming(streaming)
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Cut>>> {
        let streaming = match self {
            Self::Empty => return Poll::Ready(None),
            Self::Text(text, _) => {
                let text = std::mem::take(text);
                let chunk = (!text.is_empty()).then(|| Ok(Chunk::from(text)));
                return Poll::Ready(chunk);
            }
            Self::Streaming(streaming) => streaming,
        };
        Poll::Ready(match ready!(streaming.poll_chunk(cx)) {
            None => None,
            Some(Ok(chunk)) => Some(Ok(chunk)),
            Some(Err(reason)) => {
                streaming.cut(reason);
                *self = Self::Empty;
                Some(Err(Cut(reason)))
            }
        })
    }

    /// What comes behind the bytes, once they have ended.
    pub(crate) fn trailers(&mut self) -> Option<Fields> {
        match self {
            Self::Streaming(streaming) => streaming.trailers.take(),
            Self::Empty | Self::Text(..) => None,
        }
    }

    /// Whether all of it has been taken.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text, _) => text.is_empty(),
            Self::Streaming(streaming) => {
                streaming.journey.attempt.is_none() && streaming.trailers.is_none()
            }
        }
    }

    /// Bytes that are to come; `None` if the endpoint did not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Text(text, _) => Some(text.len() as u64),
            Self::Streaming(streaming) => match &streaming.journey.attempt {
                None => Some(0),
                Some(attempt) => attempt.peek()?.length(),
            },
        }
    }
}

impl Streaming {
    /// Whether the endpoint has sent all of it.
    fn is_received(&self) -> bool {
        let attempt = self.journey.attempt.as_ref();
        let connection = attempt.and_then(Attempt::peek);
        connection.is_none_or(Connection::is_end)
    }

    /// The endpoint has sent all of it: its connection is free for others.
    fn complete(&mut self) {
        let journey = &mut *self.journey;
        if let Some(mut attempt) = journey.attempt.take() {
            let connection = attempt.connection();
            self.trailers = connection.and_then(Connection::take_trailers);
            attempt.give_back();
        }
        journey.permit = None;
        journey.live.exchange.received(journey.body.received());
        journey.live.exchange.complete();
    }

    /// It will never be whole.
    fn cut(&mut self, reason: Reason) {
        let journey = &mut *self.journey;
        let live = &mut journey.live;
        live.exchange.complete();
        live.exchange.cut(reason);
        live.exchange.received(journey.body.received());
        if live.http10 {
            // Only a reset tells it that the answer is not whole.
            live.conn.watch.reset();
        }
        let to_blame = matches!(reason, Reason::UpstreamBroke | Reason::StreamIdle);
        if let Some(attempt) = journey.attempt.as_ref().filter(|_| to_blame) {
            // A host that breaks an answer has failed, whatever its head said.
            let outcome = Outcome::Reset { unsent: false };
            let worker = &live.conn.worker;
            // How long the body took says nothing of the host.
            let host = (&*attempt.host, Duration::ZERO);
            observe(worker, &journey.cluster, host, outcome);
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Reason>>> {
        let journey = &mut *self.journey;
        let attempt = journey.attempt.as_mut();
        let Some(connection) = attempt.and_then(Attempt::connection) else {
            return Poll::Ready(None);
        };
        let Poll::Ready(polled) = connection.poll_chunk(cx) else {
            let (timing, last) = (&mut journey.timing, self.last_byte);
            let expired = ready!(timing.poll_stalled(&journey.body, last, cx));
            return Poll::Ready(Some(Err(match expired {
                Expired::Request => Reason::RequestTimeout,
                Expired::Idle | Expired::Attempt | Expired::Body(_) => Reason::StreamIdle,
            })));
        };
        let chunk = match polled {
            None => {
                self.complete();
                return Poll::Ready(None);
            }
            Some(Err(_)) => {
                let client = journey.body.broken().map(|_| Reason::ClientGone);
                let reason = client.unwrap_or(Reason::UpstreamBroke);
                return Poll::Ready(Some(Err(reason)));
            }
            Some(Ok(chunk)) => chunk,
        };
        self.last_byte = journey.live.conn.worker.now();
        journey.live.exchange.sent(chunk.data().len());
        if self.is_received() {
            self.complete();
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}
