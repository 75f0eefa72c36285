//! The head of the answer to a request: an endpoint's, or the route's own.

use std::rc::Rc;

use bytes::Bytes;
use evenkeel_shared::ir;

use crate::filter::{Redirected, redirect_location};
use crate::head::Head;
use crate::message::name::Names;
use crate::message::{Fields, Known, RequestHead, ResponseHead};
use crate::proxy::body::AnswerBody;
use crate::proxy::error::LimitFields;
use crate::proxy::forward::{Journey, Passed};
use crate::proxy::hop;
use crate::proxy::outgoing;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::{Answer, Live};
use crate::telemetry::record::Reason;
use crate::upstream::http1::Leftover;

/// The status of a response that switches protocols (RFC 9110, section 15.2.2).
pub(super) const SWITCHING_PROTOCOLS: u16 = 101;

/// A route's own answer.
pub(super) struct Own {
    status: u16,
    fields: Fields,
    text: Bytes,
    reason: Reason,
}

/// What a redirecting route answers. `matched` is how much of the path the route
/// covers, `scheme` how the client reached us.
pub(super) fn redirect(
    redirect: &ir::Redirect,
    head: &RequestHead,
    (matched, scheme): (usize, &str),
) -> Own {
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
    Own {
        status: redirect.status,
        fields,
        text: Bytes::new(),
        reason: Reason::Redirect,
    }
}

/// What an answering route answers.
pub(super) fn respond(respond: &ir::Respond) -> Own {
    let mut fields = Fields::default();
    if !respond.body.is_empty() {
        fields.set("content-type", b"text/plain; charset=utf-8");
    }
    Own {
        status: respond.status,
        fields,
        text: Bytes::copy_from_slice(respond.body.as_bytes()),
        reason: Reason::DirectResponse,
    }
}

impl Own {
    /// The answer with what the route changes in it, and what the client is told
    /// of its rate limit.
    pub(super) fn answer(
        mut self,
        mut live: Live,
        edits: &ir::HeaderEdits,
        limited: LimitFields,
    ) -> Answer {
        outgoing::edit(&mut self.fields, edits);
        limited.add_to(&mut self.fields);
        live.exchange.answered(self.status, Some(self.reason));
        Answer {
            status: self.status,
            fields: self.fields,
            body: AnswerBody::text(self.text, live),
        }
    }
}

impl Journey {
    /// The answer of an endpoint as it is passed on.
    pub(super) fn answer(mut self: Box<Self>, passed: Passed) -> Answer {
        let (mut response, leftover) = match passed {
            Passed::Response(response) => (response, None),
            Passed::Switched(response, leftover) => (response, Some(leftover)),
        };
        if leftover.is_some() {
            keep_upgrade(&mut response);
        } else {
            clean(&mut response);
        }
        let ResponseHead {
            status, mut fields, ..
        } = response;
        outgoing::edit(&mut fields, &self.route.spec.response_headers);
        std::mem::take(&mut self.limited).add_to(&mut fields);
        for cookie in &self.affinity.cookies {
            fields.add(b"set-cookie", cookie.as_bytes());
        }
        self.live.exchange.answered(status, None);
        self.forget_head();
        Answer {
            status,
            fields,
            body: match leftover {
                None => AnswerBody::streaming(self),
                Some(leftover) => self.switch(leftover),
            },
        }
    }

    /// Turns the connection into a tunnel.
    fn switch(self: Box<Self>, leftover: Leftover) -> AnswerBody {
        let conn = Rc::clone(&self.live.conn);
        conn.tunnel.replace(Some(Tunnel::new(leftover, self)));
        AnswerBody::Empty
    }
}

/// Takes away what is for one connection only.
fn clean(response: &mut ResponseHead) {
    let fields = &mut response.fields;
    // The encoding counts, and what the length said would cut the answer for
    // whoever goes by it (RFC 9112, section 6.3).
    if fields.has(Known::TransferEncoding) {
        fields.remove_all(Names::of(&[Known::ContentLength]));
    }
    hop::strip(fields);
    fields.remove_all(Names::of(&[Known::Te]));
}

/// The same, but for the protocol that is switched to.
fn keep_upgrade(response: &mut ResponseHead) {
    let fields = &mut response.fields;
    let upgrade = fields.first(Known::Upgrade).map(<[u8]>::to_vec);
    hop::strip(fields);
    fields.put(Known::Connection, b"upgrade");
    if let Some(upgrade) = upgrade {
        fields.put(Known::Upgrade, &upgrade);
    }
}
