//! Between this proxy's messages and those of the hyper library, at the
//! client's side.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version as HttpVersion};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::listen::body::ClientBody;
use crate::listen::connection::Conn;
use crate::message::{Fields, RequestHead, Span, Version};
use crate::proxy::body::{AnswerBody, Cut};
use crate::proxy::{self, Answer};
use crate::upstream::convert::{add_all, header_map};
use crate::worker::Worker;
use crate::worker::buffers::Buffers;

/// Answers a request that hyper has read.
pub(super) async fn handle(
    conn: Rc<Conn>,
    incoming: Request<Incoming>,
) -> Result<Response<HyperAnswer>, Infallible> {
    let worker = Rc::clone(&conn.worker);
    let (head, body) = request(incoming, &worker.buffers);
    let answer = proxy::handle(conn, head, body).await;
    Ok(response(answer, worker))
}

fn request(request: Request<Incoming>, buffers: &Buffers) -> (RequestHead, ClientBody) {
    let (parts, body) = request.into_parts();
    let body = if body.is_end_stream() {
        ClientBody::Empty
    } else {
        ClientBody::Hyper(body)
    };
    (head(&parts, buffers.new_fields()), body)
}

/// The head of a request, with memory for its fields.
fn head(parts: &Parts, mut fields: Fields) -> RequestHead {
    let version = match parts.version {
        HttpVersion::HTTP_10 => Version::Http10,
        HttpVersion::HTTP_2 => Version::Http2,
        _ => Version::Http11,
    };
    let method = fields.keep(parts.method.as_str().as_bytes());
    let target = target(&mut fields, parts, version);
    add_all(&mut fields, &parts.headers);
    let mut head = RequestHead::new(fields, version, (method, target));
    if let Some(authority) = parts.uri.authority().filter(|_| version == Version::Http2) {
        head.set_authority(authority.as_str().as_bytes());
    }
    head
}

/// The target as HTTP/1.1 would have it: whole if it names a host there, or a
/// scheme that is not ours to serve.
fn target(fields: &mut Fields, parts: &Parts, version: Version) -> Span {
    let scheme = parts.uri.scheme_str();
    let odd = !matches!(scheme, None | Some("http" | "https"));
    if odd || (version != Version::Http2 && parts.uri.authority().is_some()) {
        return fields.keep(parts.uri.to_string().as_bytes());
    }
    let target = parts.uri.path_and_query();
    fields.keep(target.map_or("/", |target| target.as_str()).as_bytes())
}

fn response(answer: Answer, worker: Rc<Worker>) -> Response<HyperAnswer> {
    let headers = header_map(&answer.fields);
    worker.buffers.give_fields(answer.fields);
    let mut response = Response::new(HyperAnswer {
        worker,
        body: answer.body,
        cut: None,
    });
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

/// The body of an answer, as hyper asks for it.
pub(super) struct HyperAnswer {
    worker: Rc<Worker>,
    body: AnswerBody,
    /// Why it is cut short, once what came before is on its way.
    cut: Option<Cut>,
}

impl Body for HyperAnswer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(cut) = self.cut.take() {
            return Poll::Ready(Some(Err(cut)));
        }
        Poll::Ready(match ready!(self.body.poll_chunk(cx)) {
            Some(Ok(chunk)) => Some(Ok(Frame::data(self.worker.buffers.share(chunk)))),
            Some(Err(cut)) => {
                // An error makes hyper forget what it has not sent.
                self.cut = Some(cut);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                let trailers = self.body.trailers();
                trailers.map(|fields| Ok(Frame::trailers(header_map(&fields))))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.body.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .length()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
