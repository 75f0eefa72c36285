//! Counts the failures in a row of one host.

use std::sync::atomic::{AtomicU32, Ordering};

use evenkeel_shared::ir;

use crate::health::outlier::Cause;
use crate::outcome::Outcome;

/// Failures in a row of one host, told by all workers. Successes only read
/// while there is nothing to forget.
#[derive(Debug, Default)]
pub struct Counters {
    server_errors: AtomicU32,
    gateway_failures: AtomicU32,
    local_failures: AtomicU32,
}

impl Counters {
    /// Counts an attempt. Says which detector fires, if one does: the counter
    /// has reached its threshold, and begins again.
    pub fn observe(&self, outcome: Outcome, settings: &ir::Outlier) -> Option<Cause> {
        if !settings.split_local_origin {
            return self.observe_status(as_status(outcome), settings);
        }
        if outcome.is_local_origin() {
            return bump(
                &self.local_failures,
                settings.consecutive_local_origin_failure,
            )
            .then_some(Cause::ConsecutiveLocalOriginFailure);
        }
        clear(&self.local_failures);
        self.observe_status(as_status(outcome), settings)
    }

    /// Forgets all failures, as when the host comes back.
    pub fn reset(&self) {
        clear(&self.server_errors);
        clear(&self.gateway_failures);
        clear(&self.local_failures);
    }

    /// A gateway failure counts in both detectors, another 5xx breaks the row
    /// of gateway failures, and everything else breaks both.
    fn observe_status(&self, status: u16, settings: &ir::Outlier) -> Option<Cause> {
        if status < 500 {
            clear(&self.server_errors);
            clear(&self.gateway_failures);
            return None;
        }
        let gateway = if matches!(status, 502..=504) {
            bump(&self.gateway_failures, settings.consecutive_gateway_failure)
        } else {
            clear(&self.gateway_failures);
            false
        };
        let server = bump(&self.server_errors, settings.consecutive_5xx);
        match (gateway, server) {
            (true, _) => Some(Cause::ConsecutiveGatewayFailure),
            (false, true) => Some(Cause::Consecutive5xx),
            (false, false) => None,
        }
    }
}

/// Adds one; whether that reaches the threshold, in which case the counter
/// begins again. One step, so that of many workers one sees it. A threshold
/// that was lowered below the count is reached by the next failure.
fn bump(counter: &AtomicU32, threshold: u32) -> bool {
    if threshold == 0 {
        return false;
    }
    let reaches = |count: u32| count + 1 >= threshold;
    let next = |count| Some(if reaches(count) { 0 } else { count + 1 });
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        .is_ok_and(reaches)
}

fn clear(counter: &AtomicU32) {
    if counter.load(Ordering::Relaxed) != 0 {
        counter.store(0, Ordering::Relaxed);
    }
}

/// The status that stands for an outcome. A gRPC status in the head says more
/// than the HTTP status beside it.
pub(super) fn as_status(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Response {
            grpc_status: Some(code),
            ..
        } => grpc_as_http(code),
        Outcome::Response { status, .. } => status,
        Outcome::BadResponse => 502,
        Outcome::ConnectFailure
        | Outcome::TlsFailure(_)
        | Outcome::RefusedStream
        | Outcome::Reset { .. } => 503,
        Outcome::PerTryTimeout => 504,
    }
}

/// HTTP status of a gRPC status, as in `google.rpc.Code`.
fn grpc_as_http(code: u8) -> u16 {
    match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
