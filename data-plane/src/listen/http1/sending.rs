//! Bytes on their way to a client: small ones are put together, large ones are
//! sent from where they are.

use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::http1::chunked::{self, END_OF_CHUNK};
use crate::listen::io::ClientIo;
use crate::message::{Chunk, Fields};
use crate::worker::buffers::Buffers;

/// With so many bytes that wait, no more are taken in.
const FULL: usize = 16 * 1024;

/// Most bytes of a chunk that are rather copied than sent from where they are.
const COPIED: usize = 8 * 1024;

/// What ends the last chunk and the body.
const END_OF_ALL: &[u8] = b"\r\n0\r\n\r\n";

/// Bytes that are to be sent: first `out`, then `chunk`, then `tail`.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) out: Vec<u8>,
    sent: usize,
    chunk: Option<Chunk>,
    tail: &'static [u8],
}

impl Sending {
    /// Nothing yet, in this buffer.
    pub(super) fn new(out: Vec<u8>) -> Self {
        Self {
            out,
            sent: 0,
            chunk: None,
            tail: b"",
        }
    }

    /// Whether nothing more may be added.
    pub(super) fn is_full(&self) -> bool {
        self.chunk.is_some() || !self.tail.is_empty() || self.out.len() - self.sent >= FULL
    }

    fn is_empty(&self) -> bool {
        self.chunk.is_none() && self.tail.is_empty() && self.sent >= self.out.len()
    }

    /// Adds bytes of a body, in a chunk of their own if `coded`.
    pub(super) fn push(&mut self, chunk: Chunk, coded: bool, buffers: &Buffers) {
        let Some(length) = NonZeroUsize::new(chunk.data().len()) else {
            recycle(chunk, buffers);
            return;
        };
        if coded {
            chunked::begin(&mut self.out, length);
        }
        if length.get() > COPIED {
            self.chunk = Some(chunk);
            self.tail = if coded { END_OF_CHUNK } else { b"" };
            return;
        }
        self.out.extend_from_slice(chunk.data());
        recycle(chunk, buffers);
        if coded {
            self.out.extend_from_slice(END_OF_CHUNK);
        }
    }

    /// Adds the end of a body in chunks. Trailers cannot stand behind a chunk
    /// that is still to be sent: `false` if they must wait.
    pub(super) fn end(&mut self, trailers: Option<&Fields>) -> bool {
        match (&self.chunk, trailers) {
            (None, _) => chunked::end(&mut self.out, trailers),
            (Some(_), None) => self.tail = END_OF_ALL,
            (Some(_), Some(_)) => return false,
        }
        true
    }

    /// Ready when everything is sent.
    pub(super) fn poll_send(
        &mut self,
        mut io: Pin<&mut ClientIo>,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let out = self.out.get(self.sent..).unwrap_or_default();
            let written = match &self.chunk {
                None if self.tail.is_empty() => ready!(io.as_mut().poll_write(cx, out))?,
                chunk => {
                    let data = chunk.as_ref().map_or(&b""[..], Chunk::data);
                    let pieces = [out, data, self.tail].map(IoSlice::new);
                    let first = pieces.iter().take_while(|piece| piece.is_empty()).count();
                    let pieces = pieces.get(first..).unwrap_or_default();
                    ready!(io.as_mut().poll_write_vectored(cx, pieces))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written, buffers);
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// So many bytes are sent.
    fn advance(&mut self, written: usize, buffers: &Buffers) {
        let of_out = written.min(self.out.len() - self.sent);
        self.sent += of_out;
        let mut rest = written - of_out;
        if let Some(chunk) = &mut self.chunk {
            let of_chunk = rest.min(chunk.data().len());
            chunk.consume(of_chunk);
            rest -= of_chunk;
            if chunk.data().is_empty()
                && let Some(chunk) = self.chunk.take()
            {
                recycle(chunk, buffers);
            }
        }
        self.tail = self.tail.get(rest..).unwrap_or_default();
    }
}

fn recycle(chunk: Chunk, buffers: &Buffers) {
    if let Some(buffer) = chunk.into_buffer() {
        buffers.give(buffer);
    }
}
