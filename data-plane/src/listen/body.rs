//! The body of a request as it comes from the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::Body as _;
use hyper::body::Incoming;

use crate::listen::http1::body::BodyReader;
use crate::message::Piece;
use crate::upstream::convert::piece;

/// The body of a request as it comes from the client.
#[derive(Debug)]
pub(crate) enum ClientBody {
    /// None.
    Empty,
    /// From a connection of HTTP/1.1.
    Http1(BodyReader),
    /// From hyper.
    Hyper(Incoming),
}

/// The client went away before the end, or broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

impl ClientBody {
    /// Whether all of it has been taken.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end(),
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    /// Bytes that are to come; `None` if the client did not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Http1(body) => body.length(),
            Self::Hyper(body) => body.size_hint().exact(),
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Lost>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => body.poll_piece(cx),
            Self::Hyper(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map(piece).map_err(|_| Lost)))
            }
        }
    }
}
