use proptest::prelude::*;

use super::*;

fn settings() -> ir::HealthCheck {
    ir::HealthCheck {
        probe: ir::Probe::Tcp,
        interval: Duration::from_secs(5),
        no_traffic_interval: Duration::from_mins(1),
        jitter_percent: 10,
        timeout: Duration::from_secs(1),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    }
}

fn at(seconds: u64) -> Tick {
    Tick(0).plus(Duration::from_secs(seconds))
}

fn moment(seconds: u64) -> Moment {
    Moment {
        now: at(seconds),
        entropy: 0,
        used: true,
    }
}

fn one_host() -> Checks {
    let mut checks = Checks::default();
    checks.settle([1]);
    checks
}

/// What each answer makes of the host.
fn heard(checks: &mut Checks, answers: &[Result<(), Failure>]) -> Vec<Option<Standing>> {
    let mut hear = |answer: &Result<(), Failure>| checks.heard(1, *answer, &settings(), moment(0));
    answers.iter().map(&mut hear).collect()
}

const TIMEOUT: Result<(), Failure> = Err(Failure::Timeout);
const FAILING: Option<Standing> = Some(Standing::Failing(Failure::Timeout));
const WELL: Option<Standing> = Some(Standing::Well);

#[test]
fn the_first_answer_decides() {
    assert_eq!(one_host().standing(1), Standing::Unknown);
    assert_eq!(heard(&mut one_host(), &[Ok(())]), [WELL]);
    assert_eq!(heard(&mut one_host(), &[TIMEOUT]), [FAILING]);
}

#[test]
fn failures_in_a_row_take_a_host_out_and_successes_bring_it_back() {
    let mut checks = one_host();
    let answers = [Ok(()), TIMEOUT, TIMEOUT, Ok(()), TIMEOUT, TIMEOUT, TIMEOUT];
    let expected = [WELL, None, None, None, None, None, FAILING];
    assert_eq!(heard(&mut checks, &answers), expected);
    let answers = [Ok(()), TIMEOUT, Ok(()), Ok(())];
    assert_eq!(heard(&mut checks, &answers), [None, None, None, WELL]);
}

#[test]
fn a_host_that_says_no_is_believed_at_once() {
    let mut checks = one_host();
    let answers = [Ok(()), Err(Failure::Status(503))];
    let failing = Some(Standing::Failing(Failure::Status(503)));
    assert_eq!(heard(&mut checks, &answers), [WELL, failing]);
}

#[test]
fn hosts_that_were_in_use_are_trusted_and_new_ones_are_not() {
    let mut checks = Checks::trusting([1, 2]);
    checks.settle([2, 3]);
    assert_eq!(checks.standing(2), Standing::Well);
    assert_eq!(checks.standing(3), Standing::Unknown);
    assert_eq!(checks.ask(10, at(0)), [2, 3]);
    assert_eq!(checks.heard(1, TIMEOUT, &settings(), moment(0)), None);
}

#[test]
fn a_host_is_asked_again_an_interval_after_its_answer() {
    let mut checks = one_host();
    assert_eq!(checks.ask(10, at(0)), [1]);
    assert_eq!(checks.ask(10, at(100)), [0; 0]);
    checks.heard(1, Ok(()), &settings(), moment(101));
    assert_eq!(checks.ask(10, at(105)), [0; 0]);
    assert_eq!(checks.ask(10, at(106)), [1]);
    let idle = Moment {
        used: false,
        ..moment(106)
    };
    checks.heard(1, Ok(()), &settings(), idle);
    assert_eq!(checks.ask(10, at(165)), [0; 0]);
    assert_eq!(checks.ask(10, at(166)), [1]);
}

#[test]
fn no_more_are_asked_than_there_is_room_for() {
    let mut checks = Checks::default();
    checks.settle(0..5);
    assert_eq!(checks.ask(3, at(0)), [0, 1, 2]);
    assert_eq!(checks.ask(3, at(0)), [3, 4]);
}

proptest! {
    #[test]
    fn the_jitter_stays_within_its_share(entropy: u64) {
        let moment = Moment { entropy, ..moment(0) };
        let pause = pause(&settings(), moment);
        prop_assert!(pause >= Duration::from_secs(5));
        prop_assert!(pause <= Duration::from_millis(5_500));
    }

    #[test]
    fn a_standing_changes_only_after_a_row_of_answers(
        answers in prop::collection::vec(any::<bool>(), 1..100),
    ) {
        let mut checks = one_host();
        let (mut row, mut last, mut standing) = (0_u32, None, Standing::Unknown);
        for good in answers {
            row = if last == Some(good) { row + 1 } else { 1 };
            last = Some(good);
            let answer = if good { Ok(()) } else { TIMEOUT };
            let change = checks.heard(1, answer, &settings(), moment(0));
            if let Some(change) = change {
                prop_assert_ne!(change, standing);
                let needed = match (standing, change) {
                    (Standing::Unknown, _) => 1,
                    (_, Standing::Well) => 2,
                    _ => 3,
                };
                prop_assert!(row >= needed, "after {row}");
                standing = change;
            }
            prop_assert_eq!(checks.standing(1), standing);
        }
    }
}
