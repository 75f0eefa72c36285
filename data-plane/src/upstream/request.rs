//! A request as one attempt sends it.

use crate::head::Head;
use crate::message::{Known, Method, RequestHead};
use crate::upstream::body::RequestBody;

/// A request as one attempt sends it. What is said of the connection, and of the
/// body's end, is not among the fields of the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// The head as the route has it; without `Host`.
    pub(crate) head: &'a RequestHead,
    /// The body.
    pub(crate) body: &'a RequestBody,
    /// What the connection is, for protocols that say so: endpoints may refuse a
    /// request for `http` that comes under TLS (RFC 9110, section 7.4).
    pub(crate) scheme: &'static str,
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
        if self.body.is_empty() {
            return Framing::None;
        }
        let length = self.body.length();
        length.map_or(Framing::Chunked, Framing::Length)
    }

    /// Calls `each` with the fields that HTTP/1.1 has besides those of the head.
    pub(crate) fn each_of_http1(&self, each: &mut dyn FnMut(&str, &[u8])) {
        each("host", self.head.authority().as_bytes());
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
