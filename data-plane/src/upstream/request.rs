//! A request as one attempt sends it.

use std::rc::Rc;

use crate::message::{Known, Method, RequestHead, Version};
use crate::telemetry::trace::TraceContext;
use crate::upstream::body::Source;

/// A request as one attempt sends it. What differs from attempt to attempt, or
/// from protocol to protocol, is not among the fields of the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// The head as the route has it; without `Host`.
    pub(crate) head: &'a RequestHead,
    /// The body.
    pub(crate) source: &'a Rc<Source>,
    /// What the connection is, for protocols that say so: endpoints may refuse a
    /// request for `http` that comes under TLS (RFC 9110, section 7.4).
    pub(crate) scheme: &'static str,
    /// The trace, and the id of this attempt's span.
    pub(crate) trace: (&'a TraceContext, u64),
    /// The protocol to switch to.
    pub(crate) upgrade: Option<&'a str>,
}

/// How the end of a request's body is told to an endpoint that speaks HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// `Content-Length`, which stands among the fields unless it is 0.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Outgoing<'_> {
    /// How the end of the body is told.
    pub(crate) fn framing(&self) -> Framing {
        if self.source.is_empty() {
            return Framing::None;
        }
        self.source
            .length()
            .map_or(Framing::Chunked, Framing::Length)
    }

    /// Calls `each` with every field that is not among those of the head, in the
    /// order in which they are to be sent.
    pub(crate) fn each_extra(&self, version: Version, each: &mut dyn FnMut(&str, &[u8])) {
        if version != Version::Http2 {
            each("host", crate::head::Head::authority(self.head).as_bytes());
            self.each_of_connection(each);
        }
        let (trace, span) = self.trace;
        if trace.is_present() {
            each("traceparent", trace.traceparent(span).as_bytes());
            if let Some(state) = &trace.state {
                each("tracestate", state.as_bytes());
            }
        }
    }

    /// How long the body is, and what is to become of the connection.
    fn each_of_connection(&self, each: &mut dyn FnMut(&str, &[u8])) {
        if let Some(upgrade) = self.upgrade {
            each("connection", b"upgrade");
            each("upgrade", upgrade.as_bytes());
        } else if self.head.fields.has(Known::Te) {
            each("connection", b"te");
        }
        match self.framing() {
            // Not to say so invites 411 (RFC 9110, section 8.6).
            Framing::None if self.head.method == Method::Bodied => each("content-length", b"0"),
            Framing::Chunked => each("transfer-encoding", b"chunked"),
            Framing::None | Framing::Length(_) => {}
        }
    }
}
