//! HTTP/1.1 to an endpoint, spoken by this proxy's own codec: the request goes
//! out while the response comes in, in whatever task asks for the response.
//! Between two requests a connection holds no memory.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::http1::write;
use crate::message::{Chunk, Fields, Known, Method, ResponseHead};
use crate::outcome::Outcome;
use crate::upstream::failure::Failure;
use crate::upstream::http1::BrokenOff;
use crate::upstream::http1::receiving::{Missing, Receiving};
use crate::upstream::http1::sending::Sending;
use crate::upstream::request::{Framing, Outgoing};
use crate::upstream::wire::Wire;
use crate::worker::Worker;

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Own {
    worker: Rc<Worker>,
    /// The request, until all of it is sent.
    sending: Option<Sending>,
    receiving: Receiving,
}

impl Own {
    /// Nothing was said yet.
    pub(super) fn new(worker: Rc<Worker>) -> Self {
        Self {
            worker,
            sending: None,
            receiving: Receiving::default(),
        }
    }

    /// Whether it has nothing to do and can take a request.
    pub(super) fn is_free(&self) -> bool {
        self.sending.is_none() && self.receiving.is_reusable()
    }

    /// Begins a request.
    pub(super) fn begin(&mut self, request: &Outgoing<'_>) -> Result<(), Failure> {
        let mut out = self.worker.buffers.take();
        let framing = request.framing();
        write_head(&mut out, request, framing).map_err(|_| Failure::Unsendable)?;
        self.sending = Some(Sending::new(out, framing, request));
        self.receiving.expect(request.head.method);
        Ok(())
    }

    /// Sends the request, until the head of its response has come.
    pub(super) fn poll_head(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Failure>> {
        let unsent = match self.poll_send(wire, cx) {
            // What the endpoint says counts more than that it does not listen.
            Err(broken) => broken.unsent,
            Ok(()) => false,
        };
        let missing = match ready!(self.receiving.poll_head(wire, &self.worker.buffers, cx)) {
            Ok(head) => return Poll::Ready(Ok(head)),
            Err(missing) => missing,
        };
        let outcome = match (wire.refusal(), missing) {
            (Some(refusal), _) => Outcome::TlsFailure(refusal),
            (None, Missing::Malformed) => Outcome::BadResponse,
            (None, Missing::Closed) => Outcome::Reset { unsent },
        };
        Poll::Ready(Err(Failure::Ended { outcome, unsent }))
    }

    /// Sends on. A request that cannot be sent to its end is given up, and the
    /// connection with it once the response has come.
    fn poll_send(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<(), Stopped> {
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        match sending.poll(wire, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(sent) => {
                let unsent = sending.is_untouched();
                if let Some(sending) = self.sending.take() {
                    self.worker.buffers.give(sending.into_buffer());
                }
                sent.map_err(|_| {
                    self.receiving.use_up();
                    Stopped { unsent }
                })
            }
        }
    }

    /// The next bytes of the body; `None` at the end.
    pub(super) fn poll_chunk(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        // A request that stops half-way may still have an answer.
        let _ = self.poll_send(wire, cx);
        self.receiving.poll_chunk(wire, &self.worker.buffers, cx)
    }

    /// What came behind the body, once it has ended.
    pub(super) fn take_trailers(&mut self) -> Option<Fields> {
        self.receiving.take_trailers()
    }

    /// Whether there is no more of the body, trailers included.
    pub(super) fn is_end(&self) -> bool {
        self.receiving.is_end()
    }

    /// Bytes of the body that are to come; `None` if the endpoint did not say.
    pub(super) fn length(&self) -> Option<u64> {
        self.receiving.length()
    }

    /// Throws away what has come of the body.
    pub(super) fn discard(&mut self) {
        self.receiving.discard(&self.worker.buffers);
    }

    /// What was read behind the head of the response.
    pub(super) fn into_read(self) -> Bytes {
        self.receiving.into_read()
    }
}

/// The request was not sent to its end.
struct Stopped {
    /// Whether no byte of it was.
    unsent: bool,
}

fn write_head(
    out: &mut Vec<u8>,
    request: &Outgoing<'_>,
    framing: Framing,
) -> Result<(), write::Unwritable> {
    let head = request.head;
    let length = match framing {
        // Not to say so invites 411 (RFC 9110, section 8.6).
        Framing::None if head.method == Method::Bodied => write::Length::Exactly(0),
        Framing::None => write::Length::AsGiven,
        Framing::Length(length) => write::Length::Exactly(length),
        Framing::Chunked => write::Length::Chunked,
    };
    let connection = match request.upgrade {
        Some(upgrade) => write::Connection::Upgrade(upgrade.as_bytes()),
        None if head.fields.has(Known::Te) => write::Connection::Te,
        None => write::Connection::AsUsual,
    };
    write::request(out, head, length, connection)
}

/// Writes bytes. Returns how many were taken.
pub(super) fn poll_write(
    wire: &mut Wire,
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    match ready!(Pin::new(wire).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(written),
    }
}
