//! A connection to an endpoint that speaks HTTP/1.1: one request at a time.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::message::{Chunk, Fields, ResponseHead};
use crate::tick::Tick;
use crate::upstream::failure::Failure;
use crate::upstream::permit::ConnectionPermit;
use crate::upstream::request::Outgoing;
use crate::upstream::wire::Wire;
use crate::worker::{Http1Codec, Worker};

mod hyper;
mod own;
mod receiving;
mod sending;

use own::Own;

/// A body broke off before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenOff;

/// A connection of which nobody else knows.
#[derive(Debug)]
pub(crate) struct Http1 {
    codec: Codec,
    wire: Wire,
    /// Requests sent on it.
    pub(crate) used: u32,
    /// Since when it has had nothing to do.
    pub(crate) idle_since: Tick,
    _permit: ConnectionPermit,
}

/// Who reads and writes.
#[derive(Debug)]
enum Codec {
    Own(Own),
    Hyper(Box<hyper::Hyper>),
}

/// A connection after its protocol has ended by a switch to another.
#[derive(Debug)]
pub(crate) struct Leftover {
    /// The socket.
    pub(crate) wire: Wire,
    /// What was read of it already.
    pub(crate) read: bytes::Bytes,
}

impl Http1 {
    /// Begins to speak on a new connection.
    pub(crate) async fn start(
        wire: Wire,
        permit: ConnectionPermit,
        worker: &Rc<Worker>,
    ) -> ::hyper::Result<Box<Self>> {
        let codec = match worker.shared.settings.http1_codec {
            Http1Codec::Own => Codec::Own(Own::new(Rc::clone(worker))),
            Http1Codec::Hyper => Codec::Hyper(Box::new(hyper::Hyper::start(&wire).await?)),
        };
        Ok(Box::new(Self {
            codec,
            wire,
            used: 0,
            idle_since: Tick::default(),
            _permit: permit,
        }))
    }

    /// Whether it can take a request now. See [`Wire::is_quiet`] for `careful`.
    pub(crate) fn is_usable(&self, careful: bool) -> bool {
        self.is_ready() && self.wire.is_quiet(careful)
    }

    /// Whether it will never take another request.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.codec {
            Codec::Own(own) => !own.is_free(),
            Codec::Hyper(hyper) => hyper.is_closed(),
        }
    }

    /// Whether it can take a request at once.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.codec {
            Codec::Own(own) => own.is_free(),
            Codec::Hyper(hyper) => hyper.is_ready(),
        }
    }

    /// Waits until it can take another request; `None` if it never will.
    pub(crate) async fn settle(mut self: Box<Self>) -> Option<Box<Self>> {
        let ready = match &mut self.codec {
            Codec::Own(own) => own.is_free(),
            Codec::Hyper(hyper) => hyper.settle().await,
        };
        ready.then_some(self)
    }

    /// Begins a request.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(crate) fn begin(&mut self, request: &Outgoing<'_>) -> Result<(), Failure> {
        self.used += 1;
        self.wire.expect_head();
        match &mut self.codec {
            Codec::Own(own) => own.begin(request),
            Codec::Hyper(hyper) => hyper.begin(request),
        }
    }

    /// Ready when the head of the response has come.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Failure>> {
        let head = match &mut self.codec {
            Codec::Own(own) => ready!(own.poll_head(&mut self.wire, cx)),
            Codec::Hyper(hyper) => ready!(hyper.poll_head(&self.wire, cx)),
        };
        self.wire.head_came();
        Poll::Ready(head)
    }

    /// The next bytes of the body; `None` at the end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        match &mut self.codec {
            Codec::Own(own) => own.poll_chunk(&mut self.wire, cx),
            Codec::Hyper(hyper) => hyper.body.poll_chunk(cx),
        }
    }

    /// What came behind the body, once it has ended.
    pub(crate) fn take_trailers(&mut self) -> Option<Fields> {
        match &mut self.codec {
            Codec::Own(own) => own.take_trailers(),
            Codec::Hyper(hyper) => hyper.body.take_trailers(),
        }
    }

    /// Whether there is no more of the body, trailers included.
    pub(crate) fn is_end(&self) -> bool {
        match &self.codec {
            Codec::Own(own) => own.is_end(),
            Codec::Hyper(hyper) => hyper.body.is_end(),
        }
    }

    /// Bytes of the body that are to come; `None` if the endpoint did not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.codec {
            Codec::Own(own) => own.length(),
            Codec::Hyper(hyper) => hyper.body.length(),
        }
    }

    /// Throws away what may have come of the body. If there is more, the
    /// connection is of no more use.
    pub(crate) fn discard(&mut self) {
        match &mut self.codec {
            Codec::Own(own) => own.discard(),
            Codec::Hyper(hyper) => hyper.body.discard(),
        }
    }

    /// The socket, after a response that switches protocols.
    pub(crate) async fn into_leftover(self) -> Option<Leftover> {
        match self.codec {
            Codec::Own(own) => Some(Leftover {
                read: own.into_read(),
                wire: self.wire,
            }),
            Codec::Hyper(hyper) => hyper.into_leftover().await,
        }
    }
}
