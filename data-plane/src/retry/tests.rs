use std::collections::BTreeSet;

use evenkeel_shared::ir::{Backoff, RetryBudget, RetryCondition, RetryPolicy};
use evenkeel_shared::units::Percent;
use proptest::prelude::*;

use super::*;
use crate::outcome::TlsFailure;

const CONDITIONS: [RetryCondition; 13] = [
    RetryCondition::FiveXx,
    RetryCondition::GatewayError,
    RetryCondition::Reset,
    RetryCondition::ResetBeforeRequest,
    RetryCondition::ConnectFailure,
    RetryCondition::RefusedStream,
    RetryCondition::Retriable4xx,
    RetryCondition::StatusCodes,
    RetryCondition::GrpcCancelled,
    RetryCondition::GrpcDeadlineExceeded,
    RetryCondition::GrpcInternal,
    RetryCondition::GrpcResourceExhausted,
    RetryCondition::GrpcUnavailable,
];

fn policy(on: impl IntoIterator<Item = RetryCondition>) -> RetryPolicy {
    RetryPolicy {
        on: on.into_iter().collect(),
        status_codes: BTreeSet::from([418, 503]),
        retries: 2,
        backoff: Backoff {
            base: Duration::from_millis(25),
            max: Duration::from_millis(250),
        },
        avoid_previous_hosts: true,
    }
}

fn limits(min_concurrency: u32, min_per_second: Option<u32>) -> RetryBudget {
    RetryBudget {
        share: Percent::whole(20),
        min_concurrency,
        min_per_second,
    }
}

fn here() -> Situation {
    Situation {
        replayable: true,
        deadline: None,
        active: 1,
        now: Tick(0),
        entropy: u64::MAX / 2,
    }
}

fn status(status: u16) -> Outcome {
    Outcome::Response {
        status,
        grpc_status: None,
    }
}

fn grpc(code: u8) -> Outcome {
    Outcome::Response {
        status: 200,
        grpc_status: Some(code),
    }
}

const UNSENT: Outcome = Outcome::Reset { unsent: true };
const SENT: Outcome = Outcome::Reset { unsent: false };

/// The conditions that retry an outcome.
fn retried_by(outcome: Outcome) -> Vec<RetryCondition> {
    let retried = |condition: &RetryCondition| {
        let budget = Budget::new(limits(3, None));
        let policy = policy([*condition]);
        let decision = Plan::new(Some(&policy)).next(outcome, &here(), &budget);
        decision != Decision::Done(Stop::NotRetriable)
    };
    CONDITIONS.into_iter().filter(retried).collect()
}

#[test]
fn statuses_are_retried_by_their_conditions() {
    use RetryCondition::{FiveXx, GatewayError, Retriable4xx, StatusCodes};
    assert_eq!(retried_by(status(200)), []);
    assert_eq!(retried_by(status(404)), []);
    assert_eq!(retried_by(status(409)), [Retriable4xx]);
    assert_eq!(retried_by(status(418)), [StatusCodes]);
    assert_eq!(retried_by(status(500)), [FiveXx]);
    assert_eq!(retried_by(status(502)), [FiveXx, GatewayError]);
    assert_eq!(retried_by(status(503)), [FiveXx, GatewayError, StatusCodes]);
    assert_eq!(retried_by(status(505)), [FiveXx]);
    assert_eq!(retried_by(status(600)), []);
}

#[test]
fn grpc_statuses_are_retried_by_their_conditions() {
    assert_eq!(retried_by(grpc(0)), []);
    assert_eq!(retried_by(grpc(1)), [RetryCondition::GrpcCancelled]);
    assert_eq!(retried_by(grpc(4)), [RetryCondition::GrpcDeadlineExceeded]);
    assert_eq!(retried_by(grpc(8)), [RetryCondition::GrpcResourceExhausted]);
    assert_eq!(retried_by(grpc(13)), [RetryCondition::GrpcInternal]);
    assert_eq!(retried_by(grpc(14)), [RetryCondition::GrpcUnavailable]);
}

#[test]
fn local_faults_are_retried_by_their_conditions() {
    use RetryCondition::{
        ConnectFailure, FiveXx, GatewayError, RefusedStream, Reset, ResetBeforeRequest,
    };
    let general = vec![FiveXx, GatewayError, Reset];
    let never_sent = [general.clone(), vec![ResetBeforeRequest, ConnectFailure]].concat();
    assert_eq!(retried_by(Outcome::ConnectFailure), never_sent);
    let tls = Outcome::TlsFailure(TlsFailure::Expired);
    assert_eq!(retried_by(tls), never_sent);
    assert_eq!(retried_by(UNSENT), never_sent);
    assert_eq!(retried_by(SENT), general);
    assert_eq!(retried_by(Outcome::BadResponse), general);
    assert_eq!(retried_by(Outcome::PerTryTimeout), general);
    assert_eq!(
        retried_by(Outcome::RefusedStream),
        [general, vec![RefusedStream]].concat()
    );
}

#[test]
fn without_a_policy_nothing_is_retried() {
    let budget = Budget::new(limits(3, None));
    assert_eq!(
        Plan::new(None).next(SENT, &here(), &budget),
        Decision::Done(Stop::NotRetriable)
    );
}

#[test]
fn retries_stop_when_all_are_used_up() {
    let budget = Budget::new(limits(3, None));
    let policy = policy([RetryCondition::FiveXx]);
    let mut plan = Plan::new(Some(&policy));
    for _ in 0..2 {
        assert!(matches!(
            plan.next(SENT, &here(), &budget),
            Decision::Retry { .. }
        ));
        budget.end_retry();
    }
    assert_eq!(
        plan.next(SENT, &here(), &budget),
        Decision::Done(Stop::Exhausted)
    );
    assert_eq!(plan.retries(), 2);
}

#[test]
fn a_body_that_is_gone_forbids_a_retry() {
    let budget = Budget::new(limits(3, None));
    let policy = policy([RetryCondition::FiveXx]);
    let gone = Situation {
        replayable: false,
        ..here()
    };
    assert_eq!(
        Plan::new(Some(&policy)).next(SENT, &gone, &budget),
        Decision::Done(Stop::NotReplayable)
    );
}

#[test]
fn no_retry_begins_at_or_after_the_deadline() {
    let budget = Budget::new(limits(9, None));
    let policy = policy([RetryCondition::FiveXx]);
    let by = |deadline| {
        let late = Situation {
            deadline: Some(Tick(0).plus(Duration::from_micros(deadline))),
            ..here()
        };
        Plan::new(Some(&policy)).next(SENT, &late, &budget)
    };
    assert_eq!(by(12_000), Decision::Done(Stop::Deadline));
    assert!(matches!(by(13_000), Decision::Retry { .. }));
    assert_eq!(budget.active(), 1, "what the deadline forbids is not held");
}

#[test]
fn retries_in_progress_are_a_share_of_requests_in_progress() {
    let budget = Budget::new(limits(3, None));
    let granted = |requests| {
        let mut granted = 0;
        while budget.begin_retry(requests, Tick(0)) {
            granted += 1;
        }
        (0..granted).for_each(|_| budget.end_retry());
        granted
    };
    assert_eq!(granted(0), 3);
    assert_eq!(granted(19), 3);
    assert_eq!(granted(100), 20);
    assert_eq!(budget.active(), 0);
}

#[test]
fn retries_stop_when_the_budget_is_empty() {
    let budget = Budget::new(limits(1, Some(1)));
    let retry = |now| {
        let begun = budget.begin_retry(1, now);
        if begun {
            budget.end_retry();
        }
        begun
    };
    let begun = (0..20).filter(|_| retry(Tick(0))).count();
    assert_eq!(begun, 10, "the reserve");
    let later = Tick(0).plus(Duration::from_secs(2));
    assert_eq!((0..9).filter(|_| retry(later)).count(), 2, "one a second");
    (0..10).for_each(|_| budget.on_request(later));
    assert_eq!((0..9).filter(|_| retry(later)).count(), 2, "one in five");
    assert_eq!(budget.active(), 0);
}

proptest! {
    #[test]
    fn waits_stay_below_their_bound(granted in 0_u32..40, entropy: u64) {
        let backoff = Backoff {
            base: Duration::from_millis(25),
            max: Duration::from_millis(250),
        };
        let bound = 25_u64.saturating_mul(2_u64.saturating_pow(granted)).min(250);
        prop_assert!(wait(backoff, granted, entropy) < Duration::from_millis(bound));
    }

    /// However requests and retries come: no more retries begin than a share of
    /// the requests, what a second is worth, and the reserve.
    #[test]
    fn retries_are_bounded_by_requests_and_time(
        steps in prop::collection::vec((0_u64..50_000_000, 0_u32..8, 0_u32..8), 1..200),
        per_second in 0_u32..50,
    ) {
        let budget = Budget::new(limits(1, Some(per_second)));
        let (mut now, mut requests, mut retries) = (Tick(0), 0_u64, 0_u64);
        for (passed, begun, failed) in steps {
            now = now.plus(Duration::from_nanos(passed));
            for _ in 0..begun {
                budget.on_request(now);
                requests += 1;
            }
            for _ in 0..failed {
                if budget.begin_retry(1, now) {
                    retries += 1;
                    budget.end_retry();
                }
            }
            let reserve = (u64::from(per_second) * 10).max(10);
            let bound = requests * 200_000
                + now.0 / 1_000 * u64::from(per_second)
                + reserve * 1_000_000;
            prop_assert!(retries * 1_000_000 <= bound);
        }
    }
}
