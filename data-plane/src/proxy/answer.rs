//! The answer to a request before it goes out: an endpoint's, or the route's
//! own.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_shared::ir;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;

use crate::filter::{Redirected, redirect_location};
use crate::proxy::Live;
use crate::proxy::body::{AnswerBody, Held, Lease, Streaming};
use crate::proxy::error::LimitFields;
use crate::proxy::hop;
use crate::proxy::outgoing;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::view::View;
use crate::telemetry::record::Reason;
use crate::upstream::body::Source;
use crate::upstream::http1::Leftover;

/// An answer whose head can still be changed.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

enum Content {
    /// The route's own.
    Text(Bytes, Reason),
    /// An endpoint's.
    Streamed(Box<Streaming>),
    /// None: the connection becomes a tunnel.
    Switched(Leftover, Held, Option<Duration>),
}

/// What a redirecting route answers. `matched` is how much of the path the route
/// covers, `scheme` how the client reached us.
pub(super) fn redirect(
    redirect: &ir::Redirect,
    head: &View,
    (matched, scheme): (usize, &str),
) -> Answer {
    let location = redirect_location(
        redirect,
        &Redirected {
            scheme,
            authority: &head.authority,
            target: &head.target,
            matched,
        },
    );
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    Answer {
        status: status(redirect.status),
        headers,
        content: Content::Text(Bytes::new(), Reason::Redirect),
    }
}

/// What an answering route answers.
pub(super) fn respond(respond: &ir::Respond) -> Answer {
    let mut headers = HeaderMap::new();
    if !respond.body.is_empty() {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, text);
    }
    let body = Bytes::copy_from_slice(respond.body.as_bytes());
    Answer {
        status: status(respond.status),
        headers,
        content: Content::Text(body, Reason::DirectResponse),
    }
}

/// Configuration was checked to hold real status codes.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Answer {
    /// An endpoint's response. `limits` are the times without a byte and for the
    /// whole request.
    pub(super) fn upstream(
        response: Response<Incoming>,
        (lease, held): (Lease, Held),
        source: Rc<Source>,
        limits: (Option<Duration>, Option<Duration>),
    ) -> Self {
        let (parts, incoming) = response.into_parts();
        let mut headers = parts.headers;
        // The encoding counts, and what the length said would cut the answer
        // for whoever goes by it (RFC 9112, section 6.3).
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        hop::strip(&mut headers);
        headers.remove(http::header::TE);
        let streaming = Streaming::new(incoming, (lease, held), source, limits);
        Self {
            status: parts.status,
            headers,
            content: Content::Streamed(Box::new(streaming)),
        }
    }

    /// An endpoint that switches protocols.
    pub(super) fn switched(
        response: &Response<Incoming>,
        (leftover, held): (Leftover, Held),
        idle: Option<Duration>,
    ) -> Self {
        let upgrade = response.headers().get(UPGRADE).cloned();
        let mut headers = response.headers().clone();
        hop::strip(&mut headers);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.extend(upgrade.map(|value| (UPGRADE, value)));
        Self {
            status: StatusCode::SWITCHING_PROTOCOLS,
            headers,
            content: Content::Switched(leftover, held, idle),
        }
    }

    /// Applies the route's changes.
    pub(super) fn edited(mut self, edits: &ir::HeaderEdits) -> Self {
        outgoing::edit(&mut self.headers, edits);
        self
    }

    /// Tells the client of its rate limit.
    pub(super) fn with_fields(mut self, fields: LimitFields) -> Self {
        fields.add_to(&mut self.headers);
        self
    }

    /// The response that hyper sends.
    pub(super) fn finish(self, mut live: Live) -> Response<AnswerBody> {
        let reason = match &self.content {
            Content::Text(_, reason) => Some(*reason),
            Content::Streamed(_) | Content::Switched(..) => None,
        };
        live.exchange.answered(self.status.as_u16(), reason);
        let body = match self.content {
            Content::Text(text, _) => AnswerBody::text(text, live),
            Content::Streamed(streaming) => AnswerBody::streaming(streaming, live),
            Content::Switched(leftover, held, idle) => {
                let conn = Rc::clone(&live.conn);
                let tunnel = Tunnel::new(leftover, held, live, idle);
                conn.tunnel.replace(Some(tunnel));
                AnswerBody::empty()
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
