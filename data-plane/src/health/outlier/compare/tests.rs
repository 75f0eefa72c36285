use proptest::prelude::*;

use super::*;
use crate::health::outlier::Tally;
use crate::outcome::Outcome;

fn off() -> ir::Outlier {
    ir::Outlier {
        consecutive_5xx: 0,
        consecutive_gateway_failure: 0,
        consecutive_local_origin_failure: 0,
        split_local_origin: true,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_time: Duration::from_mins(5),
        max_ejection_percent: 50,
        always_eject_one: true,
        success_rate: None,
        failure_percentage: None,
        latency: None,
        return_when_healthy: true,
    }
}

fn success_rate() -> ir::Outlier {
    ir::Outlier {
        success_rate: Some(ir::SuccessRate {
            minimum_hosts: 5,
            request_volume: 100,
            stdev_factor: 1900,
            enforcing: 100,
            enforcing_local_origin: 70,
        }),
        ..off()
    }
}

fn failure_percentage() -> ir::Outlier {
    ir::Outlier {
        failure_percentage: Some(ir::FailurePercentage {
            threshold: 85,
            minimum_hosts: 2,
            request_volume: 50,
            enforcing: 100,
            enforcing_local_origin: 0,
        }),
        ..off()
    }
}

fn latency() -> ir::Outlier {
    ir::Outlier {
        latency: Some(ir::LatencyOutlier {
            minimum_hosts: 3,
            request_volume: 50,
            mad_factor: 5000,
            minimum_difference: Duration::from_millis(50),
            enforcing: 100,
        }),
        ..off()
    }
}

fn counted(answers: u64, server_errors: u64, local_failures: u64) -> Totals {
    Totals {
        answers,
        server_errors,
        local_failures,
        ..Totals::default()
    }
}

/// A host that answered so often, always in this time.
fn timed(answers: u32, millis: u64) -> Totals {
    let tally = Tally::default();
    for _ in 0..answers {
        let outcome = Outcome::Response {
            status: 200,
            grpc_status: None,
        };
        tally.observe(outcome, Duration::from_millis(millis));
    }
    let mut totals = Totals::default();
    totals.add(&tally);
    totals
}

/// What is found among hosts 1, 2, 3 and so on.
fn found(hosts: &[Totals], settings: &ir::Outlier) -> Vec<(u64, Cause)> {
    let hosts: Vec<(u64, Totals)> = (1..).zip(hosts.iter().cloned()).collect();
    let found = findings(&hosts, settings);
    found.iter().map(|one| (one.host, one.cause)).collect()
}

#[test]
fn a_host_far_below_the_mean_of_success_is_found() {
    let mut hosts = vec![counted(1000, 10, 0); 9];
    hosts.push(counted(1000, 100, 0));
    assert_eq!(found(&hosts, &success_rate()), [(10, Cause::SuccessRate)]);
}

#[test]
fn hosts_that_fail_alike_are_no_outliers() {
    let hosts = vec![counted(1000, 400, 300); 6];
    assert_eq!(found(&hosts, &success_rate()), []);
}

#[test]
fn too_few_hosts_or_requests_are_not_compared() {
    let mut few = vec![counted(1000, 0, 0); 3];
    few.push(counted(1000, 900, 0));
    assert_eq!(found(&few, &success_rate()), []);
    let mut quiet = vec![counted(1000, 0, 0); 9];
    quiet.push(counted(99, 99, 0));
    assert_eq!(found(&quiet, &success_rate()), []);
}

#[test]
fn local_failures_are_compared_apart_when_split() {
    let mut hosts = vec![counted(1000, 0, 0); 9];
    hosts.push(counted(800, 0, 200));
    let split = success_rate();
    assert_eq!(found(&hosts, &split), [(10, Cause::LocalOriginSuccessRate)]);
    let whole: Vec<(u64, Totals)> = (1..).zip(hosts.clone()).collect();
    assert_eq!(findings(&whole, &split)[0].enforcing, 70);
    let together = ir::Outlier {
        split_local_origin: false,
        ..split
    };
    assert_eq!(found(&hosts, &together), [(10, Cause::SuccessRate)]);
}

#[test]
fn a_share_of_failures_is_too_much_wherever_the_others_are() {
    let hosts = [
        counted(100, 84, 0),
        counted(100, 85, 0),
        counted(100, 100, 0),
        counted(49, 49, 0),
    ];
    assert_eq!(
        found(&hosts, &failure_percentage()),
        [(3, Cause::FailurePercentage), (2, Cause::FailurePercentage)]
    );
}

#[test]
fn a_slow_host_among_fast_ones_is_found() {
    let hosts = [
        timed(100, 10),
        timed(100, 11),
        timed(100, 12),
        timed(100, 400),
    ];
    assert_eq!(found(&hosts, &latency()), [(4, Cause::Latency)]);
}

#[test]
fn what_is_slower_but_not_by_much_stays() {
    let near = [timed(100, 1), timed(100, 1), timed(100, 1), timed(100, 40)];
    assert_eq!(found(&near, &latency()), []);
    let spread = [
        timed(100, 100),
        timed(100, 200),
        timed(100, 300),
        timed(100, 400),
        timed(100, 500),
    ];
    assert_eq!(found(&spread, &latency()), []);
    let quiet = [timed(100, 1), timed(100, 1), timed(100, 1), timed(49, 900)];
    assert_eq!(found(&quiet, &latency()), []);
}

#[test]
fn how_often_a_finding_is_obeyed_is_a_share_of_the_numbers() {
    let finding = |enforcing| Finding {
        host: 1,
        cause: Cause::Latency,
        enforcing,
    };
    let obeyed = |enforcing| {
        (0..1000)
            .filter(|n| finding(enforcing).is_enforced(*n))
            .count()
    };
    assert_eq!((obeyed(0), obeyed(30), obeyed(100)), (0, 300, 1000));
}

proptest! {
    #[test]
    fn only_hosts_with_enough_requests_are_found_and_never_all(
        hosts in prop::collection::vec((0_u64..300, 0_u64..300, 0_u64..300), 0..12),
        split: bool,
    ) {
        let hosts: Vec<(u64, Totals)> = (0..)
            .zip(hosts)
            .map(|(host, (answers, errors, local))| {
                (host, counted(answers, errors.min(answers), local))
            })
            .collect();
        let settings = ir::Outlier { split_local_origin: split, ..success_rate() };
        let found = findings(&hosts, &settings);
        for finding in &found {
            let totals = &hosts[usize::try_from(finding.host).unwrap()].1;
            prop_assert!(totals.answers + totals.local_failures >= 100);
        }
        for cause in [Cause::SuccessRate, Cause::LocalOriginSuccessRate] {
            let count = found.iter().filter(|one| one.cause == cause).count();
            prop_assert!(count == 0 || count < hosts.len());
        }
    }

    #[test]
    fn at_most_half_of_the_hosts_are_slow(
        times in prop::collection::vec(0_u64..30_000, 0..12),
    ) {
        let hosts: Vec<Totals> = times.iter().map(|millis| timed(50, *millis)).collect();
        prop_assert!(found(&hosts, &latency()).len() <= hosts.len() / 2);
    }
}
