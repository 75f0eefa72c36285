//! What carries one request to an endpoint and its response back, whatever the
//! version of HTTP.

use std::task::{Context, Poll};

use crate::message::{Chunk, Fields, ResponseHead};
use crate::upstream::failure::Failure;
use crate::upstream::http1::{BrokenOff, Http1, Leftover};
use crate::upstream::http2::Stream;
use crate::upstream::request::Outgoing;

/// A connection for one request.
#[derive(Debug)]
pub(crate) enum Connection {
    /// The whole of one.
    Http1(Box<Http1>),
    /// A stream of one.
    Http2(Box<Stream>),
}

impl Connection {
    /// Whether other requests were sent on it before, so that its endpoint may
    /// be closing it just now.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.used > 0,
            Self::Http2(stream) => stream.is_reused(),
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(crate) fn begin(&mut self, request: &Outgoing<'_>) -> Result<(), Failure> {
        match self {
            Self::Http1(connection) => connection.begin(request),
            Self::Http2(stream) => stream.begin(request),
        }
    }

    /// Sends the request; ready when the head of the response has come.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Failure>> {
        match self {
            Self::Http1(connection) => connection.poll_head(cx),
            Self::Http2(stream) => stream.poll_head(cx),
        }
    }

    /// Bytes of the response's body that are to come; `None` if the endpoint did
    /// not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Http1(connection) => connection.length(),
            Self::Http2(stream) => stream.body.length(),
        }
    }

    /// The next bytes of the response's body; `None` at the end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        match self {
            Self::Http1(connection) => connection.poll_chunk(cx),
            Self::Http2(stream) => stream.body.poll_chunk(cx),
        }
    }

    /// What came behind the body, once it has ended.
    pub(crate) fn take_trailers(&mut self) -> Option<Fields> {
        match self {
            Self::Http1(connection) => connection.take_trailers(),
            Self::Http2(stream) => stream.body.take_trailers(),
        }
    }

    /// Whether there is no more of the body, trailers included.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_end(),
            Self::Http2(stream) => stream.body.is_end(),
        }
    }

    /// The socket, after a response that switches protocols.
    pub(crate) async fn into_leftover(self) -> Option<Leftover> {
        match self {
            Self::Http1(connection) => connection.into_leftover().await,
            Self::Http2(_) => None,
        }
    }
}
