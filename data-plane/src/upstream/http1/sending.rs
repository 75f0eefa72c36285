//! A request on its way out: its head, and what there is of its body, in as few
//! writes as there can be.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::http1::chunked;
use crate::message::Piece;
use crate::upstream::body::AttemptBody;
use crate::upstream::http1::own::poll_write;
use crate::upstream::request::{Framing, Outgoing};
use crate::upstream::wire::Wire;

/// Bytes that are gathered before they are written.
const ENOUGH: usize = 16 * 1024;

/// Why a request was not sent to its end: the endpoint takes no more, or the
/// client sends no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// A request on its way out.
#[derive(Debug)]
pub(super) struct Sending {
    /// What is to be written.
    out: Vec<u8>,
    /// How much of it is.
    written: usize,
    /// Whether anything was written of the request.
    begun: bool,
    /// `None` once all of it is in `out`.
    body: Option<AttemptBody>,
    chunked: bool,
}

impl Sending {
    /// A request whose head is in the buffer.
    pub(super) fn new(head: Vec<u8>, framing: Framing, request: &Outgoing<'_>) -> Self {
        let body = (framing != Framing::None).then(|| request.body.attempt());
        Self {
            out: head,
            written: 0,
            begun: false,
            body,
            chunked: framing == Framing::Chunked,
        }
    }

    /// Whether nothing of it was written.
    pub(super) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// The memory, once it is over.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.out
    }

    /// Writes on. Ready when all of it is written, or never will be.
    pub(super) fn poll(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stopped>> {
        loop {
            self.gather(cx)?;
            if self.written < self.out.len() {
                let left = self.out.get(self.written..).unwrap_or_default();
                let written = ready!(poll_write(wire, left, cx)).map_err(|_| Stopped)?;
                self.written += written;
                self.begun = true;
                continue;
            }
            self.out.clear();
            self.written = 0;
            ready!(Pin::new(&mut *wire).poll_flush(cx)).map_err(|_| Stopped)?;
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            if self.gather(cx)? == 0 {
                return Poll::Pending;
            }
        }
    }

    /// Takes up of the body what is there. Returns how much is to be written.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<usize, Stopped> {
        while self.out.len() - self.written < ENOUGH
            && let Some(body) = &mut self.body
        {
            match body.poll_piece(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(Piece::Data(data)))) if self.chunked => {
                    chunked::write(&mut self.out, &data);
                }
                Poll::Ready(Some(Ok(Piece::Data(data)))) => self.out.extend_from_slice(&data),
                Poll::Ready(Some(Ok(Piece::Trailers(fields)))) => {
                    if self.chunked {
                        chunked::end(&mut self.out, Some(&fields));
                    }
                    self.body = None;
                }
                Poll::Ready(Some(Err(_))) => return Err(Stopped),
                Poll::Ready(None) => {
                    if self.chunked {
                        chunked::end(&mut self.out, None);
                    }
                    self.body = None;
                }
            }
        }
        Ok(self.out.len() - self.written)
    }
}
