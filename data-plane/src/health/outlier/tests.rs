use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::outcome::{Outcome, TlsFailure};

fn settings() -> ir::Outlier {
    ir::Outlier {
        consecutive_5xx: 5,
        consecutive_gateway_failure: 0,
        consecutive_local_origin_failure: 5,
        split_local_origin: false,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_time: Duration::from_secs(100),
        max_ejection_percent: 50,
        always_eject_one: true,
        success_rate: None,
        failure_percentage: None,
        latency: None,
        return_when_healthy: true,
    }
}

fn at(seconds: u64) -> Tick {
    Tick(0).plus(Duration::from_secs(seconds))
}

fn status(status: u16) -> Outcome {
    Outcome::Response {
        status,
        grpc_status: None,
    }
}

/// What the outcomes lead to, one by one.
fn causes(outcomes: &[Outcome], settings: &ir::Outlier) -> Vec<Option<Cause>> {
    let counters = Counters::default();
    let observe = |outcome: &Outcome| counters.observe(*outcome, settings);
    outcomes.iter().map(observe).collect()
}

const RESET: Outcome = Outcome::Reset { unsent: false };

#[test]
fn five_failures_in_a_row_fire_and_begin_again() {
    let mut expected = vec![None; 12];
    expected[4] = Some(Cause::Consecutive5xx);
    expected[9] = Some(Cause::Consecutive5xx);
    assert_eq!(causes(&[status(500); 12], &settings()), expected);
}

#[test]
fn a_success_breaks_the_row() {
    let row = [&[status(500); 4][..], &[status(404)], &[status(500); 4]].concat();
    assert_eq!(causes(&row, &settings()), vec![None; 9]);
}

#[test]
fn local_failures_count_as_5xx_unless_split() {
    let row = [
        Outcome::ConnectFailure,
        Outcome::TlsFailure(TlsFailure::Expired),
        Outcome::PerTryTimeout,
        status(500),
        Outcome::BadResponse,
    ];
    assert_eq!(
        causes(&row, &settings()).pop().unwrap(),
        Some(Cause::Consecutive5xx)
    );
}

#[test]
fn split_failures_are_counted_apart() {
    let split = ir::Outlier {
        split_local_origin: true,
        ..settings()
    };
    let mixed = [&[RESET; 4][..], &[status(500); 4]].concat();
    assert_eq!(causes(&mixed, &split), vec![None; 8]);
    let answered = [&[RESET; 4][..], &[status(500)], &[RESET; 4]].concat();
    assert_eq!(causes(&answered, &split), vec![None; 9]);
    assert_eq!(
        causes(&[RESET; 5], &split).pop().unwrap(),
        Some(Cause::ConsecutiveLocalOriginFailure)
    );
}

#[test]
fn a_500_breaks_the_row_of_gateway_failures_only() {
    let gateway = ir::Outlier {
        consecutive_gateway_failure: 3,
        consecutive_5xx: 6,
        ..settings()
    };
    let row = [502, 503, 500, 502, 503, 504].map(status);
    let mut expected = vec![None; 6];
    expected[5] = Some(Cause::ConsecutiveGatewayFailure);
    assert_eq!(causes(&row, &gateway), expected);
    assert_eq!(
        causes(&[500; 6].map(status), &gateway).pop().unwrap(),
        Some(Cause::Consecutive5xx)
    );
}

#[test]
fn a_grpc_status_is_judged_instead_of_the_http_status() {
    let grpc = |code| Outcome::Response {
        status: 200,
        grpc_status: Some(code),
    };
    assert_eq!(
        causes(&[grpc(14); 5], &settings()).pop().unwrap(),
        Some(Cause::Consecutive5xx)
    );
    assert_eq!(causes(&[grpc(5); 5], &settings()), vec![None; 5]);
}

#[test]
fn a_threshold_of_zero_switches_its_detector_off() {
    let off = ir::Outlier {
        consecutive_5xx: 0,
        ..settings()
    };
    assert_eq!(causes(&[status(500); 50], &off), vec![None; 50]);
}

#[test]
fn a_threshold_lowered_below_the_count_fires_with_the_next_failure() {
    let counters = Counters::default();
    for _ in 0..4 {
        assert_eq!(counters.observe(RESET, &settings()), None);
    }
    let lower = ir::Outlier {
        consecutive_5xx: 2,
        ..settings()
    };
    assert_eq!(counters.observe(RESET, &lower), Some(Cause::Consecutive5xx));
    assert_eq!(counters.observe(RESET, &lower), None);
}

#[test]
fn of_many_workers_one_sees_the_detector_fire() {
    let counters = Counters::default();
    let fired: usize = std::thread::scope(|scope| {
        let worker = || (0..1_000).filter(|_| counters.observe(RESET, &settings()).is_some());
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(move || worker().count()))
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    assert_eq!(fired, 4_000 / 5);
}

fn eject(ejections: &mut Ejections, host: u64, hosts: usize, now: Tick) -> Verdict {
    ejections.on_trigger(host, Cause::Consecutive5xx, hosts, now, &settings())
}

#[test]
fn an_ejected_host_returns_with_the_first_sweep_after_its_time() {
    let mut ejections = Ejections::default();
    let verdict = eject(&mut ejections, 7, 4, at(5));
    assert_eq!(verdict, Verdict::Ejected { until: at(35) });
    assert_eq!(eject(&mut ejections, 7, 4, at(6)), Verdict::AlreadyOut);
    assert_eq!(ejections.next_due(), Some(at(35)));
    assert!(ejections.sweep(at(34), &settings()).is_empty());
    assert_eq!(ejections.sweep(at(40), &settings()), [7]);
    assert_eq!(ejections.count(), 0);
}

#[test]
fn ejections_last_longer_each_time_up_to_the_maximum() {
    let mut ejections = Ejections::default();
    let mut now = at(0);
    let mut times = Vec::new();
    for _ in 0..6 {
        let Verdict::Ejected { until } = eject(&mut ejections, 1, 4, now) else {
            panic!("not ejected");
        };
        times.push(until.since(now).as_secs());
        now = until;
        ejections.sweep(now, &settings());
    }
    assert_eq!(times, [30, 60, 90, 100, 100, 100]);
}

#[test]
fn good_conduct_shortens_the_next_ejection() {
    let mut ejections = Ejections::default();
    eject(&mut ejections, 1, 4, at(0));
    ejections.sweep(at(30), &settings());
    eject(&mut ejections, 1, 4, at(30));
    ejections.sweep(at(90), &settings());
    ejections.sweep(at(100), &settings());
    let verdict = eject(&mut ejections, 1, 4, at(101));
    assert_eq!(verdict, Verdict::Ejected { until: at(161) });
    ejections.sweep(at(161), &settings());
    ejections.sweep(at(400), &settings());
    let verdict = eject(&mut ejections, 1, 4, at(401));
    assert_eq!(verdict, Verdict::Ejected { until: at(431) });
}

#[test]
fn the_share_that_may_be_out_holds() {
    let mut ejections = Ejections::default();
    let mut verdicts = (1..=4).map(|host| eject(&mut ejections, host, 5, at(0)));
    assert!(matches!(verdicts.next(), Some(Verdict::Ejected { .. })));
    assert!(matches!(verdicts.next(), Some(Verdict::Ejected { .. })));
    assert_eq!(verdicts.next(), Some(Verdict::Overflow));
}

#[test]
fn one_may_always_be_out_but_never_the_last() {
    let few = ir::Outlier {
        max_ejection_percent: 10,
        ..settings()
    };
    let eject = |hosts, settings: &ir::Outlier| {
        let cause = Cause::Consecutive5xx;
        Ejections::default().on_trigger(1, cause, hosts, at(0), settings)
    };
    assert!(matches!(eject(2, &few), Verdict::Ejected { .. }));
    assert_eq!(eject(1, &few), Verdict::Overflow);
    let never = ir::Outlier {
        always_eject_one: false,
        ..few
    };
    assert_eq!(eject(9, &never), Verdict::Overflow);
    assert!(matches!(eject(10, &never), Verdict::Ejected { .. }));
}

#[test]
fn a_host_that_left_has_no_past() {
    let mut ejections = Ejections::default();
    eject(&mut ejections, 1, 2, at(0));
    ejections.forget(1);
    assert_eq!(ejections.get(1), None);
    assert_eq!(
        eject(&mut ejections, 1, 2, at(1)),
        Verdict::Ejected { until: at(31) }
    );
}

proptest! {
    #[test]
    fn the_share_holds_and_every_ejected_host_returns(
        events in prop::collection::vec((0_u64..20_000, 0_u64..12, any::<bool>()), 1..200),
        max_ejection_percent in 0_u32..=100,
        always_eject_one: bool,
    ) {
        let settings = ir::Outlier { max_ejection_percent, always_eject_one, ..settings() };
        let hosts = 12_u32;
        let (mut ejections, mut out) = (Ejections::default(), BTreeSet::new());
        let mut now = Tick(0);
        for (millis, host, sweep) in events {
            now = now.plus(Duration::from_millis(millis));
            if sweep {
                for returned in ejections.sweep(now, &settings) {
                    prop_assert!(out.remove(&returned));
                }
                continue;
            }
            match ejections.on_trigger(host, Cause::Consecutive5xx, 12, now, &settings) {
                Verdict::Ejected { until } => {
                    prop_assert!(out.insert(host));
                    prop_assert!(until.since(now) <= settings.max_ejection_time);
                    prop_assert!(until.since(now) >= settings.base_ejection_time);
                }
                Verdict::AlreadyOut => prop_assert!(out.contains(&host)),
                Verdict::Overflow => prop_assert!(!out.contains(&host)),
            }
            let count = u32::try_from(out.len()).unwrap();
            prop_assert_eq!(ejections.count(), out.len());
            let share_holds = 100 * count <= max_ejection_percent * hosts;
            prop_assert!(share_holds || (always_eject_one && count == 1));
            prop_assert!(count < hosts);
        }
        let end = now.plus(settings.max_ejection_time);
        let returned: BTreeSet<u64> = ejections.sweep(end, &settings).into_iter().collect();
        prop_assert_eq!(returned, out);
    }
}
