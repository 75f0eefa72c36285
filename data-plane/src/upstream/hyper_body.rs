//! The body of a response that hyper reads.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::Body as _;
use hyper::body::Incoming;

use crate::message::{Chunk, Fields, Piece};
use crate::upstream::convert::piece;
use crate::upstream::http1::BrokenOff;
use crate::upstream::trailers;

/// The body of a response that hyper reads.
#[derive(Debug, Default)]
pub(crate) struct HyperBody {
    /// `None` before the first response.
    incoming: Option<Incoming>,
    trailers: Option<Fields>,
}

impl HyperBody {
    /// Of a response whose head has come.
    pub(super) fn of(incoming: Incoming) -> Self {
        Self {
            incoming: Some(incoming),
            trailers: None,
        }
    }

    /// Throws the rest of it away.
    pub(crate) fn discard(&mut self) {
        self.incoming = None;
    }

    /// Whether there is no more of it, trailers included.
    pub(crate) fn is_end(&self) -> bool {
        let incoming = self.incoming.as_ref();
        incoming.is_none_or(Incoming::is_end_stream) && self.trailers.is_none()
    }

    /// Bytes that are to come; `None` if the endpoint did not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.incoming {
            None => Some(0),
            Some(incoming) => incoming.size_hint().exact(),
        }
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match ready!(Pin::new(incoming).poll_frame(cx)) {
            None => Poll::Ready(None),
            Some(Err(_)) => Poll::Ready(Some(Err(BrokenOff))),
            Some(Ok(frame)) => match piece(frame) {
                Piece::Data(data) => Poll::Ready(Some(Ok(Chunk::from(data)))),
                Piece::Trailers(mut fields) => {
                    trailers::clean(&mut fields);
                    self.trailers = Some(fields);
                    Poll::Ready(None)
                }
            },
        }
    }

    /// What came behind the body, once it has ended.
    pub(crate) fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }
}
