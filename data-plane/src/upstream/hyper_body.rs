//! The head and the body of a response that hyper reads.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use crate::message::{Chunk, Fields, Piece, ResponseHead};
use crate::upstream::body::AttemptBody;
use crate::upstream::convert::{self, piece};
use crate::upstream::failure::Failure;
use crate::upstream::http1::BrokenOff;
use crate::upstream::trailers;
use crate::upstream::wire::Wire;

/// A response of which hyper has not read the head yet; `None` if there is none.
pub(super) type Awaited = Option<
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<AttemptBody>>>>>>,
>;

/// Ready when the head of a response has come.
pub(super) fn poll_head(
    awaited: &mut Awaited,
    wire: &Wire,
    cx: &mut Context<'_>,
) -> Poll<Result<(ResponseHead, HyperBody), Failure>> {
    let Some(response) = awaited else {
        return Poll::Pending;
    };
    let response = ready!(response.as_mut().poll(cx));
    *awaited = None;
    let response = response.map_err(|error| Failure::of(error, wire))?;
    let head = convert::response_head(&response);
    Poll::Ready(Ok((head, HyperBody::of(response.into_body()))))
}

/// The body of a response that hyper reads.
#[derive(Debug, Default)]
pub(crate) struct HyperBody {
    /// `None` before the first response.
    incoming: Option<Incoming>,
    trailers: Option<Fields>,
}

impl HyperBody {
    /// Of a response whose head has come.
    fn of(incoming: Incoming) -> Self {
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
