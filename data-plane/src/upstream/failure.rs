//! What an error of hyper or h2 says about an attempt.

use std::error::Error;

use http::Request;
use hyper::client::conn::TrySendError;

use crate::outcome::Outcome;
use crate::upstream::body::AttemptBody;
use crate::upstream::wire::Wire;

/// Why no response came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The rewritten head cannot stand in a request of the protocol.
    Unsendable,
    /// The attempt failed.
    Ended {
        /// How.
        outcome: Outcome,
        /// Whether no byte of the request was sent.
        unsent: bool,
    },
}

impl Failure {
    /// What an error says of an attempt on a wire.
    pub(crate) fn of(mut error: TrySendError<Request<AttemptBody>>, wire: &Wire) -> Self {
        let unsent = error.take_message().is_some();
        let outcome = match wire.refusal() {
            Some(refusal) => Outcome::TlsFailure(refusal),
            None => classify(&error.into_error(), unsent),
        };
        Self::Ended { outcome, unsent }
    }
}

/// How an attempt ended that gave this error. `unsent` says that hyper handed
/// the request back.
fn classify(error: &hyper::Error, unsent: bool) -> Outcome {
    if unsent {
        return Outcome::Reset { unsent: true };
    }
    if error.is_parse() {
        return Outcome::BadResponse;
    }
    match stream_error(error) {
        // Streams above the last one that a GOAWAY names were not processed (RFC
        // 9113, section 6.8); those below end by themselves or with the
        // connection, which is no GOAWAY error.
        Some(error) if error.is_remote() && error.is_go_away() => Outcome::RefusedStream,
        Some(error) if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) => {
            Outcome::RefusedStream
        }
        // The library found that the endpoint broke the protocol.
        Some(error) if error.is_library() => Outcome::BadResponse,
        _ => Outcome::Reset { unsent: false },
    }
}

/// The error of HTTP/2 that an error stems from.
fn stream_error(error: &hyper::Error) -> Option<&h2::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return Some(error);
        }
        source = error.source();
    }
    None
}
