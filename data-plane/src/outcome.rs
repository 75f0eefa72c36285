//! How one attempt at an endpoint ended, as retries, health and logs see it.

mod tls;

pub use tls::{TLS_FAILURES, TlsFailure};

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response's head came.
    Response {
        /// Its status code.
        status: u16,
        /// The gRPC status, if it stands in the head.
        grpc_status: Option<u8>,
    },
    /// No connection came about: refused, unreachable, or too slow. Nothing was
    /// sent.
    ConnectFailure,
    /// A connection came about, but TLS did not. The endpoint processed nothing.
    TlsFailure(TlsFailure),
    /// The endpoint said that it did not process the request
    /// (`REFUSED_STREAM`, or a `GOAWAY` below the stream).
    RefusedStream,
    /// The connection or stream ended before a response's head came.
    Reset {
        /// Whether it is sure that the endpoint saw nothing of the request: the
        /// connection was found dead before a byte was written.
        unsent: bool,
    },
    /// What came was not HTTP, or broke its rules.
    BadResponse,
    /// No response's head within the time of one attempt.
    PerTryTimeout,
}

impl Outcome {
    /// Whether the fault was seen on our side of the wire, rather than told by a
    /// response.
    pub fn is_local_origin(self) -> bool {
        !matches!(self, Self::Response { .. })
    }

    /// Whether this attempt counts as a failure of its endpoint.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Response { status, .. } => status >= 500,
            _ => true,
        }
    }
}
