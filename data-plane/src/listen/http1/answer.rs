//! An answer on its way to the client: its head with as much of the body as is
//! there, then the rest as it comes.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::http1::write::{self, Connection};
use crate::listen::http1::framing::{Asked, Framing, frame, says_close};
use crate::listen::http1::line::SharedLine;
use crate::listen::http1::sending::Sending;
use crate::listen::io::ClientIo;
use crate::message::{Chunk, Fields, Known, Version};
use crate::proxy::Answer;
use crate::proxy::body::AnswerBody;
use crate::worker::Worker;

/// Why an answer is not sent to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// Its body broke off, or is not as long as its head says.
    Cut,
    /// The client is gone.
    Client,
}

/// What taking in more of a body came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// There is enough to send, or no more to come.
    Enough,
    /// Nothing more has come.
    Waiting,
    /// It broke off, or is not as long as was said.
    Broken,
}

/// An answer on its way.
pub(super) struct Answering {
    worker: Rc<Worker>,
    body: AnswerBody,
    /// What came behind the body, while it cannot be sent yet.
    trailers: Option<Fields>,
    framing: Framing,
    sending: Sending,
    /// Whether all of the body is in `sending`, or sent.
    ended: bool,
    /// Whether no other request can follow.
    pub(super) is_last: bool,
}

impl Answering {
    /// Writes the head. `leaving` if it is to be the last of its connection.
    pub(super) fn begin(line: &SharedLine, asked: Asked, answer: Answer, leaving: bool) -> Self {
        let Answer {
            status,
            mut fields,
            body,
        } = answer;
        let (worker, complete, (before, waits)) = {
            let mut line = line.borrow_mut();
            // A body that nobody wants may be here; if not, it may be endless.
            let complete = line.settle() || !line.abandoned;
            (Rc::clone(&line.worker), complete, line.begin_answer())
        };
        let (length, framing) = frame(asked, status, &mut fields, body.length());
        let mut sending = Sending::new(worker.buffers.take());
        sending.out.extend_from_slice(before);
        let is_last = leaving
            || waits
            || !complete
            || !asked.keep_alive
            || framing == Framing::UntilClose
            || says_close(&fields);
        let upgrade = fields.first(Known::Upgrade).filter(|_| status == 101);
        let connection = match upgrade {
            Some(protocol) => Connection::Upgrade(protocol),
            None if is_last => Connection::Close,
            None if asked.version == Version::Http10 => Connection::KeepAlive,
            None => Connection::AsUsual,
        };
        write::response(&mut sending.out, status, &fields, length, connection);
        worker.buffers.give_fields(fields);
        Self {
            worker,
            body,
            trailers: None,
            ended: framing == Framing::None,
            framing,
            sending,
            is_last,
        }
    }

    /// Ready when the client has all of it.
    pub(super) fn poll(
        &mut self,
        line: &SharedLine,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        loop {
            // The body may read that of the request, so the line must be free.
            let filled = self.fill(cx);
            let mut line = line.borrow_mut();
            let Some(io) = line.io() else {
                return Poll::Ready(Err(Failed::Client));
            };
            let sent = self.poll_send(io, cx);
            if filled == Filled::Broken {
                return Poll::Ready(Err(Failed::Cut));
            }
            if ready!(sent).is_err() {
                return Poll::Ready(Err(Failed::Client));
            }
            match filled {
                Filled::Waiting => return Poll::Pending,
                _ if self.ended => return Poll::Ready(Ok(())),
                _ => {}
            }
        }
    }

    /// Takes in what there is of the body, up to a bound.
    fn fill(&mut self, cx: &mut Context<'_>) -> Filled {
        while !self.ended && !self.sending.is_full() {
            if self.trailers.is_some() {
                self.end();
                continue;
            }
            match self.body.poll_chunk(cx) {
                Poll::Pending => return Filled::Waiting,
                Poll::Ready(Some(Err(_))) => return Filled::Broken,
                Poll::Ready(Some(Ok(chunk))) => {
                    if !self.push(chunk) {
                        return Filled::Broken;
                    }
                    if !self.body.is_end() {
                        continue;
                    }
                }
                Poll::Ready(None) => self.trailers = self.body.trailers(),
            }
            // The end goes with the last bytes.
            if matches!(self.framing, Framing::Exactly(1..)) {
                return Filled::Broken;
            }
            self.end();
        }
        Filled::Enough
    }

    /// Adds bytes of the body. `false` if there are more than was said.
    fn push(&mut self, chunk: Chunk) -> bool {
        if let Framing::Exactly(left) = &mut self.framing {
            let Some(rest) = left.checked_sub(chunk.data().len() as u64) else {
                return false;
            };
            *left = rest;
        }
        let coded = self.framing == Framing::Chunked;
        self.sending.push(chunk, coded, &self.worker.buffers);
        true
    }

    /// Ends the body, if that can be done now.
    fn end(&mut self) {
        self.ended = self.framing != Framing::Chunked || self.sending.end(self.trailers.as_ref());
        if self.ended {
            self.trailers = None;
        }
    }

    fn poll_send(
        &mut self,
        mut io: Pin<&mut ClientIo>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(
            self.sending
                .poll_send(io.as_mut(), &self.worker.buffers, cx)
        )?;
        io.poll_flush(cx)
    }

    /// Gives the memory back.
    pub(super) fn finish(self) {
        self.worker.buffers.give(self.sending.out);
    }
}
