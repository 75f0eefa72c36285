//! A connection that was let in, as the HTTP/2 server reads and writes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::Seat;
use super::pace::{Pace, Throttle};
use crate::peer::Link;

/// How long a client has for the first bytes of HTTP/2. From then on the server
/// asks a silent connection whether it lives; before, nothing would.
const GREETING: Duration = Duration::from_secs(10);

/// How many bytes those are (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// The bytes of a connection.
#[derive(Debug)]
pub(super) enum Bytes {
    /// As they are.
    Plain(TcpStream),
    /// Inside of TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that was let in. It holds its place until it is dropped.
#[derive(Debug)]
pub struct Conn {
    bytes: Bytes,
    link: Link,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    greeting: Option<Pin<Box<Sleep>>>,
    missing: usize,
    throttle: Throttle,
    open: Gauge,
    _seat: Seat,
}

impl Conn {
    /// Counts as open from now on.
    pub(super) fn new(bytes: Bytes, link: Link, pace: Pace, open: Gauge, seat: Seat) -> Self {
        open.inc();
        Self {
            bytes,
            cut: Box::pin(link.hangup.clone().cancelled_owned()),
            link,
            greeting: Some(Box::pin(sleep(GREETING))),
            missing: PREFACE,
            throttle: Throttle::new(pace),
            open,
            _seat: seat,
        }
    }

    /// Whether it was cut off, or is late with its first bytes.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.link.hangup.is_cancelled() || self.cut.as_mut().poll(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some(greeting) = &mut self.greeting
            && greeting.as_mut().poll(cx).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Connected for Conn {
    type ConnectInfo = Link;

    fn connect_info(&self) -> Link {
        self.link.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        ready!(self.throttle.poll(cx));
        let before = buffer.filled().len();
        ready!(match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        })?;
        let read = buffer.filled().len().saturating_sub(before);
        self.throttle.note(read);
        if self.greeting.is_some() {
            self.missing = self.missing.saturating_sub(read);
            if self.missing == 0 {
                self.greeting = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Bytes::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
