//! A socket to an endpoint on which TLS is spoken.
//!
//! Records that are not the endpoint's words — tickets to resume the session
//! above all, which may come at any time — are the protocol's own business. So
//! readable bytes do not mean that an idle connection has something to say: they
//! are taken in, and what is left is looked at.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::outcome::TlsFailure;
use crate::upstream::handshake::{Tally, refused_by_peer};

/// How often an idle connection is read before it counts as one that does not
/// stop to speak.
const MOST_READS: u32 = 16;

/// What an endpoint has said under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Something,
    /// The connection has ended without a word.
    End,
}

/// A socket on which a handshake has ended well.
#[derive(Debug)]
pub(crate) struct Secured {
    stream: TlsStream<TcpStream>,
    heard: Heard,
    /// Who waits for the endpoint's first word.
    listener: RefCell<Option<Waker>>,
    /// What the endpoint had against this handshake. With TLS 1.3, it sees our
    /// certificate only after the handshake has ended for us.
    refusal: Cell<Option<TlsFailure>>,
    tally: Tally,
}

impl Secured {
    /// After a handshake.
    pub(super) fn new(stream: TlsStream<TcpStream>, tally: Tally) -> Self {
        Self {
            stream,
            heard: Heard::Nothing,
            listener: RefCell::new(None),
            refusal: Cell::new(None),
            tally,
        }
    }

    /// What the endpoint had against the handshake, if it refused it after all.
    /// It has processed nothing that was sent.
    pub(super) fn refusal(&self) -> Option<TlsFailure> {
        self.refusal.get()
    }

    /// Whether the endpoint takes part: ready when it has said something, or when
    /// it is clear that it never will. Somebody else must be reading.
    pub(super) fn poll_heard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        match self.heard {
            Heard::Something => Poll::Ready(true),
            Heard::End => Poll::Ready(false),
            Heard::Nothing => {
                self.listener.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Whether an idle connection has nothing to say. Costs no system call
    /// unless the event queue has told of bytes; `careful` asks the system
    /// anyway.
    pub(super) fn is_quiet(&mut self, careful: bool) -> bool {
        let (stream, session) = self.stream.get_mut();
        let told = stream.ready(Interest::READABLE).now_or_never().is_some();
        let open = (!told && !careful) || take_in(stream, session).unwrap_or(false);
        let state = session.process_new_packets();
        open && state
            .is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
    }

    /// Remembers why the endpoint ended the connection before it said anything.
    fn blame(&self, error: &io::Error) {
        if self.heard == Heard::Something || self.refusal.get().is_some() {
            return;
        }
        // Other alerts may come from an endpoint that has seen the request.
        if refused_by_peer(error) == Some(TlsFailure::CertificateRefused) {
            self.refusal.set(Some(TlsFailure::CertificateRefused));
            self.tally.count(TlsFailure::CertificateRefused);
        }
    }

    /// A write that fails may do so because the endpoint has ended the
    /// connection: it may have said why.
    fn blame_for_write(&mut self) {
        let (stream, session) = self.stream.get_mut();
        if let Err(error) = take_in(stream, session) {
            self.blame(&error);
        }
        self.hear(Heard::End);
    }

    /// Notes what a read has brought.
    fn note(&mut self, polled: &Poll<io::Result<()>>, bytes: usize) {
        if let Poll::Ready(Err(error)) = polled {
            self.blame(error);
        }
        if polled.is_ready() {
            let ended = bytes == 0;
            self.hear(if ended { Heard::End } else { Heard::Something });
        }
    }

    /// The first word counts.
    fn hear(&mut self, what: Heard) {
        if self.heard != Heard::Nothing {
            return;
        }
        self.heard = what;
        if let Some(listener) = self.listener.take() {
            listener.wake();
        }
    }

    fn written<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(polled, Poll::Ready(Err(_))) {
            self.blame_for_write();
        }
        polled
    }
}

/// Takes in what has come, without waiting. Whether the connection is still
/// open.
fn take_in(stream: &TcpStream, session: &mut ClientConnection) -> io::Result<bool> {
    let socket = SockRef::from(stream);
    for _ in 0..MOST_READS {
        match session.read_tls(&mut Incoming(&socket)) {
            Ok(0) => return Ok(false),
            Ok(_) => {
                let state = session.process_new_packets().map_err(io::Error::other)?;
                if state.peer_has_closed() || state.plaintext_bytes_to_read() > 0 {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Reads a socket past the event queue, which may not have heard of the bytes
/// yet.
struct Incoming<'a>(&'a SockRef<'a>);

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&**self.0).read(buffer)
    }
}

/// Says goodbye, if that costs no time, so that the endpoint can tell an end
/// from a cut.
impl Drop for Secured {
    fn drop(&mut self) {
        let (stream, session) = self.stream.get_mut();
        session.send_close_notify();
        while session.wants_write() {
            match session.write_tls(&mut Outgoing(stream)) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// Writes what a socket takes at once.
struct Outgoing<'a>(&'a TcpStream);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.note(&polled, buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
