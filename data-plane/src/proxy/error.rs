//! What can go wrong with a request, and the answer to each.

use evenkeel_shared::ir;
use http::StatusCode;

use crate::limit::{Verdict, fields};
use crate::message::{Fields, Known};
use crate::outcome::Outcome;
use crate::proxy::body::AnswerBody;
use crate::proxy::{Answer, Handling, Live};
use crate::telemetry::record::Reason;

/// Carries the flag of an answer that is ours. A proxy in front of this one does
/// not retry an answer with the flag of a request that was given up after all
/// attempts.
pub(crate) const REASON: &str = "x-evenkeel-reason";

/// Why a request gets no answer of an endpoint.
#[derive(Debug)]
pub(crate) enum ProxyError {
    /// It broke the rules of HTTP, or of this proxy.
    BadRequest(&'static str),
    /// How long it is can be read in two ways; nothing that follows on its
    /// connection can be believed.
    AmbiguousLength,
    /// Its method is never served.
    MethodRefused,
    /// No route takes it.
    NoRoute,
    /// The route's cluster does not exist.
    NoCluster,
    /// The cluster has no usable host.
    NoHost,
    /// A circuit breaker is open, or the wait for a connection was too long.
    Overflow,
    /// The rate limit refused it.
    RateLimited(LimitFields),
    /// Its body is larger than the listener allows.
    BodyTooLarge,
    /// The client went away with its body.
    ClientGone,
    /// The last attempt gave no response.
    Upstream(Outcome),
    /// The time for the whole request is over.
    RequestTimeout,
    /// The client sent no byte of the body for too long.
    RequestIdle,
    /// The endpoint sent no byte for too long.
    ResponseIdle,
}

/// As Envoy words it: operators search for it.
const NO_HOST: &str = "no healthy upstream";

const AMBIGUOUS_LENGTH: &str = "the length of the request is ambiguous";

/// The answer to an error.
struct Reply {
    status: StatusCode,
    reason: Reason,
    text: &'static str,
}

impl ProxyError {
    /// The one table of answers.
    fn reply(&self) -> Reply {
        use StatusCode as S;
        let (status, reason, text) = match self {
            Self::BadRequest(text) => (S::BAD_REQUEST, Reason::BadRequest, *text),
            Self::AmbiguousLength => (S::BAD_REQUEST, Reason::BadRequest, AMBIGUOUS_LENGTH),
            Self::MethodRefused => (
                S::METHOD_NOT_ALLOWED,
                Reason::BadRequest,
                "this method is not served",
            ),
            Self::NoRoute => (S::NOT_FOUND, Reason::NoRoute, "no route matches"),
            Self::NoCluster => (
                S::SERVICE_UNAVAILABLE,
                Reason::NoCluster,
                "the cluster of the route does not exist",
            ),
            Self::NoHost => (S::SERVICE_UNAVAILABLE, Reason::NoHost, NO_HOST),
            Self::Overflow => (
                S::SERVICE_UNAVAILABLE,
                Reason::Overflow,
                "too many requests in progress",
            ),
            Self::RateLimited(_) => (
                S::TOO_MANY_REQUESTS,
                Reason::RateLimited,
                "rate limit exceeded",
            ),
            Self::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                Reason::BodyTooLarge,
                "the request body is too large",
            ),
            Self::ClientGone => (
                S::BAD_REQUEST,
                Reason::ClientGone,
                "the request body is incomplete",
            ),
            Self::Upstream(outcome) => return upstream(*outcome),
            Self::RequestTimeout => (
                S::GATEWAY_TIMEOUT,
                Reason::RequestTimeout,
                "upstream request timeout",
            ),
            Self::RequestIdle => (
                S::REQUEST_TIMEOUT,
                Reason::StreamIdle,
                "the request body stopped coming",
            ),
            Self::ResponseIdle => (
                S::GATEWAY_TIMEOUT,
                Reason::StreamIdle,
                "upstream sent nothing for too long",
            ),
        };
        Reply {
            status,
            reason,
            text,
        }
    }

    /// The end of a request that goes no further.
    pub(super) fn handled(self, live: Live) -> Handling {
        Handling::Answered(Some(self.answer(live)))
    }

    /// The answer that the client gets.
    pub(super) fn answer(self, mut live: Live) -> Answer {
        let reply = self.reply();
        let status = reply.status.as_u16();
        live.exchange.answered(status, Some(reply.reason));
        let mut fields = Fields::default();
        fields.set(REASON, flag(reply.reason).as_bytes());
        fields.set("content-type", b"text/plain; charset=utf-8");
        match self {
            Self::RateLimited(limits) => limits.add_to(&mut fields),
            Self::AmbiguousLength => fields.set("connection", b"close"),
            _ => {}
        }
        Answer {
            status,
            fields,
            body: AnswerBody::text(reply.text.into(), live),
        }
    }
}

/// The answer when the last attempt gave no response.
fn upstream(outcome: Outcome) -> Reply {
    use StatusCode as S;
    let (status, reason, text) = match outcome {
        Outcome::PerTryTimeout => (
            S::GATEWAY_TIMEOUT,
            Reason::PerTryTimeout,
            "upstream did not answer in time",
        ),
        Outcome::ConnectFailure => (
            S::SERVICE_UNAVAILABLE,
            Reason::UpstreamFailure,
            "cannot connect to upstream",
        ),
        Outcome::TlsFailure(failure) => (
            S::SERVICE_UNAVAILABLE,
            Reason::UpstreamFailure,
            failure.text(),
        ),
        Outcome::RefusedStream => (
            S::SERVICE_UNAVAILABLE,
            Reason::UpstreamFailure,
            "upstream refused the request",
        ),
        Outcome::Reset { .. } => (
            S::BAD_GATEWAY,
            Reason::UpstreamFailure,
            "upstream closed the connection before it answered",
        ),
        Outcome::BadResponse | Outcome::Response { .. } => (
            S::BAD_GATEWAY,
            Reason::UpstreamFailure,
            "upstream did not answer in HTTP",
        ),
    };
    Reply {
        status,
        reason,
        text,
    }
}

/// The word for a reason in [`REASON`].
pub(crate) fn flag(reason: Reason) -> &'static str {
    match reason {
        Reason::NoRoute => "no-route",
        Reason::NoCluster => "no-cluster",
        Reason::NoHost => "no-host",
        Reason::UpstreamFailure => "upstream-failure",
        Reason::RequestTimeout => "request-timeout",
        Reason::PerTryTimeout => "per-try-timeout",
        Reason::Overflow => "overflow",
        Reason::RateLimited => "rate-limited",
        Reason::DirectResponse => "direct-response",
        Reason::Redirect => "redirect",
        Reason::BadRequest => "bad-request",
        Reason::HeaderTooLarge => "header-too-large",
        Reason::BodyTooLarge => "body-too-large",
        Reason::StreamIdle => "stream-idle",
        Reason::ClientGone => "client-gone",
        Reason::UpstreamBroke => "upstream-broke",
    }
}

/// Whether a response says that a proxy behind this one has given the request up
/// after attempts of its own, so that more of them would only multiply the load.
pub(super) fn is_given_up(fields: &Fields) -> bool {
    let given_up = [
        Reason::UpstreamFailure,
        Reason::PerTryTimeout,
        Reason::RequestTimeout,
    ];
    fields.first(Known::Reason).is_some_and(|value| {
        given_up
            .iter()
            .any(|reason| value == flag(*reason).as_bytes())
    })
}

/// What a client is told of its rate limit; empty if there is none.
#[derive(Debug, Default)]
pub(crate) struct LimitFields(Option<Box<LimitValues>>);

#[derive(Debug)]
struct LimitValues {
    policy: String,
    limit: String,
    retry_after: Option<u64>,
}

impl LimitFields {
    /// By the verdict on a request.
    pub(super) fn new(limit: &ir::RateLimit, verdict: &Verdict) -> Self {
        Self(Some(Box::new(LimitValues {
            policy: fields::policy(limit),
            limit: fields::rate_limit(verdict),
            retry_after: (!verdict.allowed).then(|| fields::retry_after(verdict.retry_after)),
        })))
    }

    /// Adds the fields to those of an answer.
    pub(super) fn add_to(self, fields: &mut Fields) {
        let Some(values) = self.0 else {
            return;
        };
        fields.set("ratelimit-policy", values.policy.as_bytes());
        fields.set("ratelimit", values.limit.as_bytes());
        if let Some(seconds) = values.retry_after {
            fields.set("retry-after", seconds.to_string().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::TlsFailure;

    #[test]
    fn every_error_has_its_status_and_flag() {
        let limited = || ProxyError::RateLimited(LimitFields::default());
        let table = [
            (ProxyError::BadRequest("x"), 400, "bad-request"),
            (ProxyError::AmbiguousLength, 400, "bad-request"),
            (ProxyError::MethodRefused, 405, "bad-request"),
            (ProxyError::NoRoute, 404, "no-route"),
            (ProxyError::NoCluster, 503, "no-cluster"),
            (ProxyError::NoHost, 503, "no-host"),
            (ProxyError::Overflow, 503, "overflow"),
            (limited(), 429, "rate-limited"),
            (ProxyError::BodyTooLarge, 413, "body-too-large"),
            (ProxyError::ClientGone, 400, "client-gone"),
            (ProxyError::RequestTimeout, 504, "request-timeout"),
            (ProxyError::RequestIdle, 408, "stream-idle"),
            (ProxyError::ResponseIdle, 504, "stream-idle"),
        ];
        for (error, status, word) in table {
            let reply = error.reply();
            assert_eq!(reply.status.as_u16(), status, "{error:?}");
            assert_eq!(flag(reply.reason), word, "{error:?}");
        }
    }

    #[test]
    fn every_failed_attempt_has_its_status_and_flag() {
        let table = [
            (Outcome::PerTryTimeout, 504, "per-try-timeout"),
            (Outcome::ConnectFailure, 503, "upstream-failure"),
            (
                Outcome::TlsFailure(TlsFailure::Expired),
                503,
                "upstream-failure",
            ),
            (Outcome::RefusedStream, 503, "upstream-failure"),
            (Outcome::Reset { unsent: true }, 502, "upstream-failure"),
            (Outcome::Reset { unsent: false }, 502, "upstream-failure"),
            (Outcome::BadResponse, 502, "upstream-failure"),
        ];
        for (outcome, status, word) in table {
            let reply = ProxyError::Upstream(outcome).reply();
            assert_eq!(reply.status.as_u16(), status, "{outcome:?}");
            assert_eq!(flag(reply.reason), word, "{outcome:?}");
        }
    }

    #[test]
    fn only_a_request_that_was_given_up_is_not_tried_again() {
        let mut fields = Fields::default();
        assert!(!is_given_up(&fields));
        fields.set(REASON, b"overflow");
        assert!(!is_given_up(&fields));
        fields.set(REASON, b"upstream-failure");
        assert!(is_given_up(&fields));
    }
}
