//! A client's connection: what was read while its protocol was guessed comes first,
//! and the connection's [`Watch`] hears of every byte, and of requests whose
//! length is ambiguous.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::listen::framing::Framing;
use crate::listen::transport::Transport;
use crate::listen::watch::Watch;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientIo {
    first: Bytes,
    transport: Transport,
    watch: Rc<Watch>,
    /// While requests of HTTP/1.1 are read.
    framing: Option<Box<Framing>>,
}

impl ClientIo {
    /// One of which nothing was read.
    pub(super) fn new(transport: Transport, watch: Rc<Watch>) -> Self {
        Self {
            first: Bytes::new(),
            transport,
            watch,
            framing: None,
        }
    }

    /// What is read from now on are requests of HTTP/1.1.
    pub(crate) fn expect_requests(&mut self) {
        self.framing = Some(Box::new(Framing::new()));
    }

    /// What is read from now on is of another protocol.
    pub(crate) fn expect_anything(&mut self) {
        self.framing = None;
    }

    /// Whether the client may be sending a request that was read in part.
    pub(crate) fn is_within_request(&self) -> bool {
        let framing = self.framing.as_ref();
        framing.is_some_and(|framing| framing.is_within())
    }

    /// Bytes go up.
    fn note(&mut self, bytes: &[u8]) {
        let found = self
            .framing
            .as_mut()
            .and_then(|framing| framing.read(bytes));
        if let Some(request) = found {
            self.watch.distrust(request);
        }
    }

    /// Puts bytes back in front of what is read next.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        debug_assert!(self.first.is_empty());
        self.first = bytes;
    }

    /// Reads until it is clear whether this is HTTP/2. What was read is put
    /// back.
    pub(crate) async fn starts_with_preface(&mut self) -> io::Result<bool> {
        let mut seen = [0; PREFACE.len()];
        let mut length = 0;
        while length < PREFACE.len() && seen[..length] == PREFACE[..length] {
            let read = self.read(&mut seen[length..]).await?;
            if read == 0 {
                break;
            }
            length += read;
        }
        self.put_back(Bytes::copy_from_slice(&seen[..length]));
        Ok(seen[..length] == PREFACE[..])
    }

    /// Ready when a read may find something. That nothing has come is cheaper to
    /// find out in this way.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.transport.poll_readable(cx)
    }

    /// Writes what is taken at once, and leaves the rest.
    pub(super) async fn offer(&mut self, bytes: &[u8]) {
        poll_fn(|cx| {
            // Best effort: the client may be gone.
            let _ = Pin::new(&mut self.transport).poll_write(cx, bytes);
            Poll::Ready(())
        })
        .await;
    }

    /// The socket.
    pub(super) fn socket(&self) -> &TcpStream {
        self.transport.socket()
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            let first = self.first.split_to(length);
            buffer.put_slice(&first);
            self.note(&first);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.transport).poll_read(cx, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.watch.on_bytes();
            self.note(&buffer.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.transport).poll_write(cx, bytes);
        self.watch.on_write(polled.is_ready());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.transport).poll_write_vectored(cx, pieces);
        self.watch.on_write(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.transport).poll_flush(cx);
        if self.transport.holds_back() {
            self.watch.on_write(polled.is_ready());
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
