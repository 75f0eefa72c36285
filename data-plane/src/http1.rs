//! HTTP/1.1 as pure functions: bytes to heads and bodies, and back (RFC 9112).
//!
//! ```text
//! bytes --> request::read / response::read --> head, length of the body
//!       --> chunked::Decoder               --> pieces of the body, trailers
//! head  --> write::request / write::response, chunked::begin .. end --> bytes
//! ```
//! Strict on purpose: a message whose end or meaning two implementations could
//! see differently is not read at all, because one of the two would be fooled
//! (request smuggling). What is written can be read in one way only.
//!
//! What a line and a field are is found out here and not by a library, because
//! every line feed has to be looked at in any case: a bare one is refused.
//!
//! Knows nothing of sockets, of time, and of what a request is about: authority
//! and target pass as they came.

pub mod chunked;
mod head;
mod lanes;
mod length;
pub mod request;
pub mod response;
mod status;
pub mod write;

/// How much of a head is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, from its first line to the empty line.
    pub bytes: usize,
    /// Number of header fields.
    pub fields: usize,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// After so many bytes.
    Exactly(u64),
    /// After the last chunk and its trailers.
    Chunked,
    /// Where the connection ends. Only in responses.
    UntilClose,
}

/// A request that must not be believed. Where the next one begins is not known:
/// the connection is of no more use after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Status code to answer with.
    pub status: u16,
    /// What is wrong.
    pub reason: &'static str,
}

/// A response or a body that must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

impl Refused {
    const fn bad(reason: &'static str) -> Self {
        Self {
            status: 400,
            reason,
        }
    }

    const fn too_large(reason: &'static str) -> Self {
        Self {
            status: 431,
            reason,
        }
    }
}

impl From<Refused> for Malformed {
    fn from(refused: Refused) -> Self {
        Self(refused.reason)
    }
}

#[cfg(test)]
mod tests;
