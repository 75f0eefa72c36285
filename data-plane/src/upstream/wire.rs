//! The socket of a connection to an endpoint, with or without TLS. hyper reads
//! and writes it; the pool may look whether it is still alive, and how much came before the head of
//! a response is bounded.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::outcome::TlsFailure;
use crate::upstream::secured::Secured;

/// Most bytes that an endpoint may send before the head of its response is
/// complete. hyper bounds the head itself; this bounds a flood of `1xx`
/// responses before it.
const HEAD_BYTES: usize = 512 * 1024;

/// A socket with two holders: the connection's task and the pool.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    link: RefCell<Link>,
    /// Bytes that may still come before the head; `None` once it is there.
    head_bytes: Cell<Option<usize>>,
}

/// What bytes go through.
#[derive(Debug)]
enum Link {
    Plain(TcpStream),
    Tls(Box<Secured>),
}

impl Wire {
    /// In the clear.
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::over(Link::Plain(stream))
    }

    /// Under TLS.
    pub(crate) fn secured(secured: Secured) -> Self {
        Self::over(Link::Tls(Box::new(secured)))
    }

    fn over(link: Link) -> Self {
        Self(Rc::new(Inner {
            link: RefCell::new(link),
            head_bytes: Cell::new(None),
        }))
    }

    /// What the endpoint had against our side of TLS, if that ended the
    /// connection. The endpoint has processed nothing.
    pub(crate) fn refusal(&self) -> Option<TlsFailure> {
        match &*self.0.link.borrow() {
            Link::Plain(_) => None,
            Link::Tls(secured) => secured.refusal(),
        }
    }

    /// Waits until it is sure whether the endpoint takes part in TLS: with TLS
    /// 1.3, it may refuse our certificate after the handshake has ended for us.
    /// For a protocol in which the endpoint speaks unasked.
    pub(crate) async fn takes_part(&self) -> bool {
        poll_fn(|cx| match &*self.0.link.borrow() {
            Link::Plain(_) => Poll::Ready(true),
            Link::Tls(secured) => secured.poll_heard(cx),
        })
        .await
    }

    /// Begins to count bytes before the head of a response.
    pub(crate) fn expect_head(&self) {
        self.0.head_bytes.set(Some(HEAD_BYTES));
    }

    /// The head is complete.
    pub(crate) fn head_came(&self) {
        self.0.head_bytes.set(None);
    }

    /// Whether an idle connection has nothing to say: an endpoint that closed
    /// it, or speaks unasked, has made it readable. Costs no system call unless
    /// the event queue has told of it; `careful` asks the system anyway, for a
    /// request that must not be lost to an endpoint that closes just now.
    pub(crate) fn is_quiet(&self, careful: bool) -> bool {
        match &mut *self.0.link.borrow_mut() {
            Link::Plain(stream) => is_quiet(stream, careful),
            Link::Tls(secured) => secured.is_quiet(careful),
        }
    }

    fn count(&self, bytes: usize) -> io::Result<()> {
        let Some(left) = self.0.head_bytes.get() else {
            return Ok(());
        };
        let left = left
            .checked_sub(bytes)
            .ok_or_else(|| io::Error::other("too many bytes before the head of the response"))?;
        self.0.head_bytes.set(Some(left));
        Ok(())
    }
}

/// Whether nothing has come on a socket in the clear.
fn is_quiet(stream: &TcpStream, careful: bool) -> bool {
    let peek = || {
        let mut byte = [MaybeUninit::uninit()];
        socket2::SockRef::from(stream).peek(&mut byte)
    };
    let looked = if careful {
        peek()
    } else {
        stream.try_io(Interest::READABLE, peek)
    };
    looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = match &mut *self.0.link.borrow_mut() {
            Link::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Link::Tls(secured) => Pin::new(&mut **secured).poll_read(cx, buffer),
        };
        self.count(buffer.filled().len() - before)?;
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self.0.link.borrow_mut() {
            Link::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Link::Tls(secured) => Pin::new(&mut **secured).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self.0.link.borrow_mut() {
            Link::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Link::Tls(secured) => Pin::new(&mut **secured).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &*self.0.link.borrow() {
            Link::Plain(stream) => stream.is_write_vectored(),
            Link::Tls(secured) => secured.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.link.borrow_mut() {
            Link::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Link::Tls(secured) => Pin::new(&mut **secured).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.link.borrow_mut() {
            Link::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Link::Tls(secured) => Pin::new(&mut **secured).poll_shutdown(cx),
        }
    }
}
