//! The answer to a request before it goes out: an endpoint's, or the route's
//! own.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_shared::ir;

use crate::filter::{Redirected, redirect_location};
use crate::head::Head;
use crate::message::name::Names;
use crate::message::{Fields, Known, RequestHead, ResponseHead};
use crate::proxy::body::{AnswerBody, Held, Lease, Streaming};
use crate::proxy::error::LimitFields;
use crate::proxy::hop;
use crate::proxy::outgoing;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::{Answer, Live};
use crate::telemetry::record::Reason;
use crate::upstream::body::Source;
use crate::upstream::http1::Leftover;

/// The status of a response that switches protocols (RFC 9110, section 15.2.2).
pub(super) const SWITCHING_PROTOCOLS: u16 = 101;

/// An answer whose head can still be changed.
pub(super) struct Draft {
    status: u16,
    fields: Fields,
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
    head: &RequestHead,
    (matched, scheme): (usize, &str),
) -> Draft {
    let location = redirect_location(
        redirect,
        &Redirected {
            scheme,
            authority: head.authority(),
            target: head.target(),
            matched,
        },
    );
    let mut fields = Fields::default();
    fields.set("location", location.as_bytes());
    Draft {
        status: redirect.status,
        fields,
        content: Content::Text(Bytes::new(), Reason::Redirect),
    }
}

/// What an answering route answers.
pub(super) fn respond(respond: &ir::Respond) -> Draft {
    let mut fields = Fields::default();
    if !respond.body.is_empty() {
        fields.set("content-type", b"text/plain; charset=utf-8");
    }
    let body = Bytes::copy_from_slice(respond.body.as_bytes());
    Draft {
        status: respond.status,
        fields,
        content: Content::Text(body, Reason::DirectResponse),
    }
}

impl Draft {
    /// An endpoint's response. `limits` are the times without a byte and for the
    /// whole request.
    pub(super) fn upstream(
        response: ResponseHead,
        (lease, held): (Lease, Held),
        source: Rc<Source>,
        limits: (Option<Duration>, Option<Duration>),
    ) -> Self {
        let mut fields = response.fields;
        // The encoding counts, and what the length said would cut the answer
        // for whoever goes by it (RFC 9112, section 6.3).
        if fields.has(Known::TransferEncoding) {
            fields.remove_all(Names::of(&[Known::ContentLength]));
        }
        hop::strip(&mut fields);
        fields.remove_all(Names::of(&[Known::Te]));
        let streaming = Streaming::new((lease, held), source, limits);
        Self {
            status: response.status,
            fields,
            content: Content::Streamed(Box::new(streaming)),
        }
    }

    /// An endpoint that switches protocols.
    pub(super) fn switched(
        response: ResponseHead,
        (leftover, held): (Leftover, Held),
        idle: Option<Duration>,
    ) -> Self {
        let mut fields = response.fields;
        let upgrade = fields.first(Known::Upgrade).map(<[u8]>::to_vec);
        hop::strip(&mut fields);
        fields.set("connection", b"upgrade");
        if let Some(upgrade) = upgrade {
            fields.set("upgrade", &upgrade);
        }
        Self {
            status: SWITCHING_PROTOCOLS,
            fields,
            content: Content::Switched(leftover, held, idle),
        }
    }

    /// Applies the route's changes.
    pub(super) fn edited(mut self, edits: &ir::HeaderEdits) -> Self {
        outgoing::edit(&mut self.fields, edits);
        self
    }

    /// Tells the client of its rate limit.
    pub(super) fn with_fields(mut self, limits: LimitFields) -> Self {
        limits.add_to(&mut self.fields);
        self
    }

    /// The answer as it goes out.
    pub(super) fn finish(self, mut live: Live) -> Answer {
        let reason = match &self.content {
            Content::Text(_, reason) => Some(*reason),
            Content::Streamed(_) | Content::Switched(..) => None,
        };
        live.exchange.answered(self.status, reason);
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
        Answer {
            status: self.status,
            fields: self.fields,
            body,
        }
    }
}
