//! A client's connection as its task and the body of its request share it: the
//! socket, and what was read of it ahead of need.
//!
//! ```text
//!              .------------------- body has come ------------------.
//!              v                                                    |
//! silent --> head --> request --> body: the reader of it reads -----'
//!   (no memory)                   no body, or all of it has come: the
//!                                 connection's task looks whether the
//!                                 client is still there
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::http1::chunked::Decoder;
use crate::http1::request::{self, Request};
use crate::http1::{BodyLength, Limits, Refused};
use crate::listen::body::ClientBody;
use crate::listen::http1::body::{BodyReader, Left};
use crate::listen::io::ClientIo;
use crate::listen::watch::Watch;
use crate::worker::Worker;
use crate::worker::buffers::BUFFER;

/// Least room for one read.
const ROOM: usize = 4 * 1024;

/// What a client that waits before it sends a body is told.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A line with its holders.
pub(super) type SharedLine = Rc<RefCell<Line>>;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(super) worker: Rc<Worker>,
    pub(super) limits: Limits,
    /// `None` once the connection has come to its end.
    io: Option<ClientIo>,
    /// What was read and is not used up, from `start` on. No memory while there
    /// is nothing.
    pub(super) ahead: Vec<u8>,
    pub(super) start: usize,
    /// How much of it was searched for the end of a head.
    seen: usize,
    /// What is to come of the body of the latest request.
    pub(super) left: Left,
    /// Which request is the latest; the first is 1.
    pub(super) request: u64,
    /// What the client is still to be told before it sends the body.
    go_on: &'static [u8],
    /// Whether nobody wants the rest of the body.
    pub(super) abandoned: bool,
    /// Who waits for more of the body.
    pub(super) reader: Option<Waker>,
    /// Who waits for its end.
    owner: Option<Waker>,
}

impl Line {
    /// A connection that says nothing yet.
    pub(super) fn new(worker: Rc<Worker>, limits: Limits, io: ClientIo) -> Self {
        Self {
            worker,
            limits,
            io: Some(io),
            ahead: Vec::new(),
            start: 0,
            seen: 0,
            left: Left::Nothing,
            request: 0,
            go_on: b"",
            abandoned: false,
            reader: None,
            owner: None,
        }
    }

    /// Whether nothing of a next request has come.
    pub(super) fn is_silent(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether all of the latest request has come.
    pub(super) fn has_come(&self) -> bool {
        matches!(self.left, Left::Nothing | Left::Trailers(_))
    }

    /// The next request; `None` if the client ends the connection.
    pub(super) fn poll_head(
        &mut self,
        watch: &Watch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Request>, Refused>> {
        loop {
            if !self.ahead.is_empty() {
                // It may have come while the request before it was in progress.
                watch.on_bytes();
                if let Some(request) = self.read_head()? {
                    return Poll::Ready(Ok(Some(request)));
                }
            }
            if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                return Poll::Ready(Ok(None));
            }
        }
    }

    fn read_head(&mut self) -> Result<Option<Request>, Refused> {
        let mut spare = self.worker.buffers.take_fields();
        let read = request::read(&mut self.ahead, &mut self.seen, &self.limits, &mut spare)?;
        let Some(request) = read else {
            self.worker.buffers.give_fields(spare);
            return Ok(None);
        };
        self.request += 1;
        self.abandoned = false;
        self.left = match request.length {
            // Only a response ends with its connection.
            BodyLength::None | BodyLength::UntilClose => Left::Nothing,
            BodyLength::Exactly(length) => Left::Exactly(length),
            BodyLength::Chunked => Left::Chunked(Box::new(Decoder::new(self.limits))),
        };
        let waits = request.expects_continue && self.ahead.is_empty() && !self.has_come();
        self.go_on = if waits { CONTINUE } else { b"" };
        self.let_go();
        Ok(Some(request))
    }

    /// The body of the latest request.
    pub(super) fn body(line: &SharedLine) -> ClientBody {
        let this = line.borrow();
        if this.has_come() {
            ClientBody::Empty
        } else {
            ClientBody::Http1(BodyReader::new(Rc::clone(line), this.request))
        }
    }

    /// Ready when the client has gone. What it sends meanwhile of its next
    /// request is kept, up to the length of a head.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_come() {
            // Whoever reads the body will see.
            remember(&mut self.owner, cx);
            return Poll::Pending;
        }
        while self.ahead.len() < self.limits.bytes {
            if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Reads more. Takes memory only if something has come.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(io) = &mut self.io else {
            return Poll::Ready(Ok(0));
        };
        if self.ahead.capacity() == 0 {
            ready!(io.poll_readable(cx))?;
            self.ahead = self.worker.buffers.take();
        } else if self.ahead.capacity() - self.ahead.len() < ROOM {
            self.ahead.reserve(BUFFER);
        }
        let read = pin!(io.read_buf(&mut self.ahead)).poll(cx);
        self.let_go();
        read
    }

    /// Forgets what is used up.
    pub(super) fn use_up(&mut self, to: usize) {
        self.start = to;
        if self.start >= self.ahead.len() {
            self.ahead.clear();
            self.start = 0;
            self.let_go();
        }
    }

    /// Gives memory back that holds nothing.
    fn let_go(&mut self) {
        if self.ahead.is_empty() && self.ahead.capacity() > 0 {
            self.worker.buffers.give(std::mem::take(&mut self.ahead));
        }
    }

    /// All of the body has come, or no more ever will.
    pub(super) fn end_body(&mut self, left: Left) {
        self.left = left;
        self.ahead.drain(..self.start);
        self.start = 0;
        self.let_go();
        if let Some(owner) = self.owner.take() {
            owner.wake();
        }
    }

    /// Tells a client that waits for it to send the body.
    pub(super) fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let (Some(io), false) = (&mut self.io, self.go_on.is_empty()) {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, self.go_on))?;
            self.go_on = self.go_on.get(written..).unwrap_or_default();
            if self.go_on.is_empty() {
                // What TLS may hold back goes with the answer at the latest.
                let _ = Pin::new(io).poll_flush(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The answer begins. Returns what it must begin with: the rest of what the
    /// client was told in part. And whether the client still waits to be told.
    pub(super) fn begin_answer(&mut self) -> (&'static [u8], bool) {
        let go_on = std::mem::take(&mut self.go_on);
        if go_on.is_empty() || go_on.len() < CONTINUE.len() {
            (go_on, false)
        } else {
            (b"", true)
        }
    }

    /// The socket, to write.
    pub(super) fn io(&mut self) -> Option<Pin<&mut ClientIo>> {
        self.io.as_mut().map(Pin::new)
    }

    /// Ends it for everybody who holds it. The socket, and what was read ahead.
    pub(super) fn hang_up(&mut self) -> Option<(ClientIo, Bytes)> {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        let ahead = std::mem::take(&mut self.ahead);
        self.io.take().map(|io| (io, Bytes::from(ahead)))
    }
}

/// Keeps the task to be woken.
pub(super) fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests;
