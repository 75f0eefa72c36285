//! The body of an answer on its way to the client: streamed, watched, and
//! broken off at once if it breaks, so that half an answer never looks whole.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::message::{Chunk, Fields};
use crate::outcome::Outcome;
use crate::proxy::Live;
use crate::proxy::forward::observe;
use crate::telemetry::record::Reason;
use crate::tick::Tick;
use crate::upstream::body::Source;
use crate::upstream::cluster::Cluster;
use crate::upstream::connection::Connection;
use crate::upstream::host::Host;
use crate::upstream::http1::Leftover;
use crate::upstream::permit::{HostLoad, RequestPermit};
use crate::upstream::pool::HostPool;
use crate::worker::timers::Timer;

/// A connection that goes back to its pool when its response is complete, and
/// is closed if that never happens.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Rc<HostPool>,
    connection: Connection,
}

impl Lease {
    /// Of a connection of this pool.
    pub(super) fn new(pool: Rc<HostPool>, connection: Connection) -> Self {
        Self { pool, connection }
    }

    /// The response is complete, or thrown away: the pool finds out whether the
    /// connection can go on.
    pub(super) fn give_back(self) {
        match self.connection {
            Connection::Http1(mut connection) => {
                connection.discard();
                self.pool.give_back(connection);
            }
            // The stream makes room by being dropped.
            Connection::Http2(_) => {}
        }
    }

    /// The socket, after a response that switches protocols.
    pub(super) async fn into_leftover(self) -> Option<Leftover> {
        match self.connection {
            Connection::Http1(connection) => connection.into_leftover().await,
            Connection::Http2(_) => None,
        }
    }
}

/// What a request holds until the end of its answer.
#[derive(Debug)]
pub(super) struct Held {
    /// In its cluster.
    #[expect(dead_code, reason = "held, and given back by being dropped")]
    pub(super) permit: RequestPermit,
    /// At its host.
    #[expect(dead_code, reason = "held, and given back by being dropped")]
    pub(super) load: HostLoad,
    /// The host that answers.
    pub(super) host: Arc<Host>,
}

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
pub(super) struct Streaming {
    /// The connection; `None` once it is given back.
    lease: Option<Lease>,
    trailers: Option<Fields>,
    held: Option<Held>,
    source: Rc<Source>,
    /// Time without a byte.
    idle: Option<Duration>,
    /// Time for the whole request.
    request: Option<Duration>,
    last_byte: Tick,
    /// While there is nothing to send.
    timer: Option<Timer>,
}

impl Streaming {
    /// The body of a response whose head has come.
    pub(super) fn new(
        (lease, held): (Lease, Held),
        source: Rc<Source>,
        (idle, request): (Option<Duration>, Option<Duration>),
    ) -> Self {
        Self {
            lease: Some(lease),
            trailers: None,
            held: Some(held),
            source,
            idle,
            request,
            last_byte: Tick::default(),
            timer: None,
        }
    }

    /// Whether the endpoint has sent all of it.
    fn is_received(&self) -> bool {
        let lease = self.lease.as_ref();
        lease.is_none_or(|lease| lease.connection.is_end())
    }

    /// Polls the timer only while there is nothing to send.
    fn poll_expired(&mut self, live: &Live, cx: &mut Context<'_>) -> Poll<Reason> {
        let active = self.last_byte.max(self.source.last_byte());
        let idle = self
            .idle
            .map(|limit| (active.plus(limit), Reason::StreamIdle));
        let ended = self.source.ended().zip(self.request);
        let request = ended.map(|(at, limit)| (at.plus(limit), Reason::RequestTimeout));
        let first = idle.into_iter().chain(request).min_by_key(|(at, _)| *at);
        let Some((at, reason)) = first else {
            return Poll::Pending;
        };
        let worker = &live.conn.worker;
        let timer = self
            .timer
            .get_or_insert_with(|| Timer::new(Rc::clone(worker)));
        timer.poll(at, cx).map(|()| reason)
    }
}

enum Content {
    Empty,
    Text(Bytes),
    Streaming(Box<Streaming>),
}

/// The body of an answer. Dropping it ends the exchange.
pub(crate) struct AnswerBody {
    live: Option<Box<Live>>,
    content: Content,
}

impl AnswerBody {
    /// Nothing, and nothing to watch.
    pub(super) fn empty() -> Self {
        Self {
            live: None,
            content: Content::Empty,
        }
    }

    /// Our own words.
    pub(super) fn text(text: Bytes, mut live: Live) -> Self {
        live.exchange.sent(text.len());
        live.exchange.complete();
        Self {
            live: Some(Box::new(live)),
            content: Content::Text(text),
        }
    }

    /// An endpoint's.
    pub(super) fn streaming(mut streaming: Box<Streaming>, live: Live) -> Self {
        streaming.last_byte = live.conn.worker.now();
        let ended = streaming.is_received();
        let mut body = Self {
            live: Some(Box::new(live)),
            content: Content::Streaming(streaming),
        };
        if ended {
            body.complete();
        }
        body
    }

    /// The endpoint has sent all of it: its connection is free for others.
    fn complete(&mut self) {
        let Content::Streaming(streaming) = &mut self.content else {
            return;
        };
        if let Some(mut lease) = streaming.lease.take() {
            streaming.trailers = lease.connection.take_trailers();
            lease.give_back();
        }
        streaming.held = None;
        if let Some(live) = &mut self.live {
            live.exchange.received(streaming.source.received());
            live.exchange.complete();
        }
    }

    /// It will never be whole.
    fn cut(&mut self, reason: Reason) -> Cut {
        let Some(mut live) = self.live.take() else {
            return Cut(reason);
        };
        live.exchange.complete();
        live.exchange.cut(reason);
        if live.http10 {
            // Only a reset tells it that the answer is not whole.
            live.conn.watch.reset();
        }
        if let Content::Streaming(streaming) = std::mem::replace(&mut self.content, Content::Empty)
        {
            live.exchange.received(streaming.source.received());
            let to_blame = matches!(reason, Reason::UpstreamBroke | Reason::StreamIdle);
            if let (Some(held), Some(cluster)) = (&streaming.held, live.exchange.cluster())
                && to_blame
            {
                observe_break(&live, cluster, &held.host);
            }
        }
        Cut(reason)
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Cut>>> {
        let (Content::Streaming(streaming), Some(live)) = (&mut self.content, &mut self.live)
        else {
            return Poll::Ready(None);
        };
        let Some(lease) = &mut streaming.lease else {
            return Poll::Ready(None);
        };
        let polled = match lease.connection.poll_chunk(cx) {
            Poll::Pending => {
                let reason = ready!(streaming.poll_expired(live, cx));
                return Poll::Ready(Some(Err(self.cut(reason))));
            }
            Poll::Ready(polled) => polled,
        };
        let chunk = match polled {
            None => {
                self.complete();
                return Poll::Ready(None);
            }
            Some(Err(_)) => {
                let reason = match streaming.source.broken() {
                    Some(_) => Reason::ClientGone,
                    None => Reason::UpstreamBroke,
                };
                return Poll::Ready(Some(Err(self.cut(reason))));
            }
            Some(Ok(chunk)) => chunk,
        };
        streaming.last_byte = live.conn.worker.now();
        live.exchange.sent(chunk.data().len());
        if streaming.is_received() {
            self.complete();
        }
        Poll::Ready(Some(Ok(chunk)))
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Cut>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Text(text) => {
                let text = std::mem::take(text);
                let chunk = (!text.is_empty()).then(|| Ok(Chunk::from(text)));
                Poll::Ready(chunk)
            }
            Content::Streaming(_) => self.poll_upstream(cx),
        }
    }

    /// What comes behind the bytes, once they have ended.
    pub(crate) fn trailers(&mut self) -> Option<Fields> {
        match &mut self.content {
            Content::Streaming(streaming) => streaming.trailers.take(),
            Content::Empty | Content::Text(_) => None,
        }
    }

    /// Whether all of it has been taken.
    pub(crate) fn is_end(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Text(text) => text.is_empty(),
            Content::Streaming(streaming) => {
                streaming.lease.is_none() && streaming.trailers.is_none()
            }
        }
    }

    /// Bytes that are to come; `None` if the endpoint did not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.content {
            Content::Empty => Some(0),
            Content::Text(text) => Some(text.len() as u64),
            Content::Streaming(streaming) => match &streaming.lease {
                None => Some(0),
                Some(lease) => lease.connection.length(),
            },
        }
    }
}

/// A host that breaks an answer has failed, whatever its head said.
fn observe_break(live: &Live, cluster: &Arc<Cluster>, host: &Host) {
    let outcome = Outcome::Reset { unsent: false };
    observe(&live.conn.worker, cluster, host, outcome);
}
