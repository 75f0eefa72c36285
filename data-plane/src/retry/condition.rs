//! Which outcomes a policy retries.

use evenkeel_shared::ir::{RetryCondition, RetryPolicy};

use crate::outcome::Outcome;

/// Whether any condition of the policy holds.
pub(super) fn is_retriable(policy: &RetryPolicy, outcome: Outcome) -> bool {
    if let Outcome::Response {
        status: ..400,
        grpc_status: None,
    } = outcome
        && policy.status_codes.is_empty()
    {
        // No other condition is about what is nearly always the outcome.
        return false;
    }
    policy
        .on
        .iter()
        .any(|condition| holds(*condition, outcome, policy))
}

fn holds(condition: RetryCondition, outcome: Outcome, policy: &RetryPolicy) -> bool {
    match outcome {
        Outcome::Response {
            status,
            grpc_status,
        } => {
            status_holds(condition, status, policy)
                || grpc_code(condition).is_some_and(|code| grpc_status == Some(code))
        }
        local => local_holds(condition, local),
    }
}

fn status_holds(condition: RetryCondition, status: u16, policy: &RetryPolicy) -> bool {
    match condition {
        RetryCondition::FiveXx => (500..600).contains(&status),
        RetryCondition::GatewayError => matches!(status, 502..=504),
        RetryCondition::Retriable4xx => status == 409,
        RetryCondition::StatusCodes => policy.status_codes.contains(&status),
        _ => false,
    }
}

/// Whether a condition holds for a fault seen on our side.
///
/// As in Envoy, `5xx`, `gateway-error` and `reset` hold for all of them: no
/// response came, which stands for 502, 503 or 504.
///
/// A dead connection found before a byte was written is as safe to retry as one
/// that could not be opened, so [`RetryCondition::ConnectFailure`] holds for it
/// too: from the endpoint's side nothing has happened in either case.
fn local_holds(condition: RetryCondition, outcome: Outcome) -> bool {
    let never_sent = matches!(
        outcome,
        Outcome::ConnectFailure | Outcome::TlsFailure(_) | Outcome::Reset { unsent: true }
    );
    match condition {
        RetryCondition::FiveXx | RetryCondition::GatewayError | RetryCondition::Reset => true,
        RetryCondition::ConnectFailure | RetryCondition::ResetBeforeRequest => never_sent,
        RetryCondition::RefusedStream => outcome == Outcome::RefusedStream,
        _ => false,
    }
}

/// The gRPC status code that a condition asks for, if it asks for one.
fn grpc_code(condition: RetryCondition) -> Option<u8> {
    match condition {
        RetryCondition::GrpcCancelled => Some(1),
        RetryCondition::GrpcDeadlineExceeded => Some(4),
        RetryCondition::GrpcResourceExhausted => Some(8),
        RetryCondition::GrpcInternal => Some(13),
        RetryCondition::GrpcUnavailable => Some(14),
        _ => None,
    }
}
