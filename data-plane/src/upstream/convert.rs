//! Between this proxy's messages and those of the hyper library.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Uri, Version as HttpVersion};
use http_body::{Body, Frame, SizeHint};

use crate::head::Head;
use crate::message::{Fields, Piece, ResponseHead, Version};
use crate::upstream::body::{AttemptBody, Broken};
use crate::upstream::request::Outgoing;

/// Fields as hyper has them.
pub(crate) fn header_map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    // All values in one piece of memory, in order.
    let length = fields.iter().map(|(_, value)| value.len()).sum();
    let mut values = BytesMut::with_capacity(length);
    fields.iter().for_each(|(_, value)| values.put_slice(value));
    let mut values = values.freeze();
    for (name, value) in fields.iter() {
        let value = HeaderValue::from_maybe_shared(values.split_to(value.len()));
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            map.append(name, value);
        }
    }
    map
}

/// Adds fields that hyper has read.
pub(crate) fn add_all(fields: &mut Fields, map: &HeaderMap) {
    for (name, value) in map {
        fields.add(name.as_str().as_bytes(), value.as_bytes());
    }
}

/// A piece of a body that hyper has read.
pub(crate) fn piece(frame: Frame<Bytes>) -> Piece {
    match frame.into_data() {
        Ok(data) => Piece::Data(data),
        Err(frame) => {
            let mut fields = Fields::default();
            if let Ok(trailers) = frame.into_trailers() {
                add_all(&mut fields, &trailers);
            }
            Piece::Trailers(fields)
        }
    }
}

/// The head of a response that hyper has read.
pub(super) fn response_head<B>(response: &Response<B>) -> ResponseHead {
    let version = match response.version() {
        HttpVersion::HTTP_10 => Version::Http10,
        HttpVersion::HTTP_2 => Version::Http2,
        _ => Version::Http11,
    };
    let mut fields = Fields::default();
    add_all(&mut fields, response.headers());
    ResponseHead {
        status: response.status().as_u16(),
        version,
        fields,
    }
}

/// A request for hyper to send over a version of HTTP. `None` if the rewritten
/// target or authority cannot stand in a request.
pub(super) fn request(outgoing: &Outgoing<'_>, version: Version) -> Option<Request<AttemptBody>> {
    let head = outgoing.head;
    let mut headers = header_map(&head.fields);
    let mut uri = Uri::builder().path_and_query(head.target());
    let mut request = Request::new(outgoing.body.attempt());
    if version == Version::Http2 {
        uri = uri.scheme(outgoing.scheme).authority(head.authority());
        *request.version_mut() = HttpVersion::HTTP_2;
    } else {
        outgoing.each_of_http1(&mut |name, value| {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                headers.insert(name, value);
            }
        });
    }
    *request.uri_mut() = uri.build().ok()?;
    *request.method_mut() = Method::from_bytes(head.method().as_bytes()).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

impl Body for AttemptBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let piece = ready!(self.poll_piece(cx));
        Poll::Ready(piece.map(|piece| {
            Ok(match piece? {
                Piece::Data(data) => Frame::data(data),
                Piece::Trailers(fields) => Frame::trailers(header_map(&fields)),
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.length()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
