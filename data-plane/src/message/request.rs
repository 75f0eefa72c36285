//! The head of a request.

use memchr::memchr;

use crate::head::Head;
use crate::message::fields::Fields;
use crate::message::span::Span;

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As it is written in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// What a method means to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `CONNECT`
    Connect,
    /// `GET`
    Get,
    /// `HEAD`: its response has no body.
    Head,
    /// `OPTIONS`
    Options,
    /// `POST`, `PUT` or `PATCH`: a body is expected.
    Bodied,
    /// `TRACE`
    Trace,
    /// Any other.
    Other,
}

impl Method {
    /// By its name, which is case-sensitive (RFC 9110, section 9.1).
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"POST" | b"PUT" | b"PATCH" => Self::Bodied,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Whether it changes nothing (RFC 9110, section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }
}

/// The head of a request: its line as the client sent it until it is checked,
/// then authority and target in normal form.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Fields.
    pub fields: Fields,
    /// What its method means.
    pub method: Method,
    /// As the client speaks.
    pub version: Version,
    name: Span,
    authority: Span,
    target: Span,
    /// The target up to its query.
    path: Span,
}

impl RequestHead {
    /// A head whose method and target stand in the text of its fields.
    pub fn new(fields: Fields, version: Version, (method, target): (Span, Span)) -> Self {
        Self {
            method: Method::of(fields.at(method)),
            version,
            name: method,
            authority: Span::default(),
            target,
            path: path_of(target, fields.at(target)),
            fields,
        }
    }

    /// Names the authority.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority = self.fields.keep(authority);
    }

    /// Names the authority by its place among the fields.
    pub fn set_authority_at(&mut self, authority: Span) {
        self.authority = authority;
    }

    /// Where the authority is.
    pub fn authority_at(&self) -> Span {
        self.authority
    }

    /// Names another target.
    pub fn set_target(&mut self, target: &str) {
        self.target = self.fields.keep(target.as_bytes());
        self.path = path_of(self.target, target.as_bytes());
    }

    /// Method, target and authority as they stand in a head.
    pub fn bytes(&self) -> [&[u8]; 3] {
        [self.name, self.target, self.authority].map(|part| self.fields.at(part))
    }
}

/// Where the path of a target ends.
fn path_of(target: Span, bytes: &[u8]) -> Span {
    let length = memchr(b'?', bytes).unwrap_or(bytes.len());
    Span::new(target.start(), target.start() + length).unwrap_or_default()
}

impl Head for RequestHead {
    fn method(&self) -> &str {
        self.fields.text_at(self.name)
    }

    fn authority(&self) -> &str {
        self.fields.text_at(self.authority)
    }

    fn target(&self) -> &str {
        self.fields.text_at(self.target)
    }

    fn path(&self) -> &str {
        self.fields.text_at(self.path)
    }

    fn authority_bytes(&self) -> &[u8] {
        self.fields.at(self.authority)
    }

    fn path_bytes(&self) -> &[u8] {
        self.fields.at(self.path)
    }

    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.each_value(name, each);
    }

    fn first_value(&self, name: &str) -> Option<&[u8]> {
        self.fields.value(name)
    }
}
