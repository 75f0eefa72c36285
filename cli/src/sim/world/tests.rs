use crate::sim::report::Report;
use crate::sim::shipped;

use super::*;

fn scenario(text: &str) -> Scenario {
    let scenario: Scenario = serde_saphyr::from_str(text).unwrap();
    scenario.check().unwrap();
    scenario
}

fn shown(scenario: &Scenario, seed: u64) -> Shown {
    let tiers = scenario.proxies.iter().copied();
    let count = tiers.chain([scenario.endpoints.count]).max().unwrap();
    let settings = Settings::of_policy(&scenario.policy, count).unwrap();
    World::new(scenario, settings, seed).run()
}

fn report(scenario: &Scenario) -> Report {
    Report::new(scenario, 1, &shown(scenario, 1))
}

/// A scenario that comes with the program, cut short where its trouble allows it.
fn shipped(name: &str) -> Scenario {
    let mut scenario = shipped::find(name).unwrap();
    scenario.duration = scenario.duration.min(Duration::from_secs(30));
    scenario
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let scenario = shipped("s7b-retry-storm-two-tiers");
    let told = |seed| {
        let report = Report::new(&scenario, 1, &shown(&scenario, seed));
        serde_json::to_string(&report).unwrap()
    };
    assert_eq!(told(1), told(1));
    assert_ne!(told(1), told(2));
}

#[test]
fn every_request_ends_once_and_nothing_is_left_open() {
    for name in [
        "s3-crash",
        "s3b-freeze",
        "s5-overload",
        "s7b-retry-storm-two-tiers",
    ] {
        let scenario = shipped(name);
        let settings = Settings::of_policy(&scenario.policy, 10).unwrap();
        let mut world = World::new(&scenario, settings, 1);
        world.play();
        assert!(world.books.begun > 25_000, "{name}");
        assert_eq!(
            world.books.begun,
            world.books.entries.len() as u64,
            "{name}"
        );
        assert_eq!((world.visits.len(), world.calls.len()), (0, 0), "{name}");
        for proxy in world.tiers.iter().flatten() {
            assert!(proxy.is_idle(), "{name}");
        }
    }
}

/// One server, arrivals at random, exponential times: requests stay for
/// `1 / (service rate - arrival rate)` on average, waiting included.
#[test]
fn a_queue_is_as_long_as_the_theory_says() {
    for (rate, millis) in [(50.0, 20.0), (80.0, 50.0)] {
        let text = format!(
            "{{name: mm1, about: M/M/1, duration: 40m, warmUp: 0s, \
              clients: {{rate: {rate}, timeout: 1h, slo: 1h}}, \
              policy: {{timeouts: {{request: 0s, perTry: 0s}}}}, \
              endpoints: {{count: 1, slots: 1, queue: 100000, roundTrip: 0s, \
                service: {{mean: 10ms, distribution: exponential}}}}}}"
        );
        let books = shown(&scenario(&text), 3).books;
        let sum: f64 = books
            .entries
            .iter()
            .map(|entry| f64::from(entry.micros))
            .sum();
        let count = f64::from(u32::try_from(books.entries.len()).unwrap());
        let mean = sum / count / 1000.0;
        assert!((mean - millis).abs() < millis * 0.05, "{rate}: {mean}");
    }
}

/// The number of customers is the rate at which they come round, times the time
/// that takes (Little's law).
#[test]
fn customers_come_round_as_often_as_they_can() {
    let scenario = scenario(
        "{name: closed, about: closed, duration: 100s, warmUp: 0s, \
          clients: {customers: 50, think: 90ms}, \
          endpoints: {count: 50, slots: 1, roundTrip: 0s, \
            service: {mean: 10ms, distribution: constant}}}",
    );
    let begun = shown(&scenario, 1).books.begun;
    // Two of 50 hosts are drawn, so that hardly anybody waits.
    assert!((48_000..=50_500).contains(&begun), "{begun}");
}

#[test]
fn an_endpoint_that_fails_all_is_taken_out_and_clients_see_nothing_of_it() {
    let report = report(&shipped("s2b-black-hole"));
    assert!(report.ejections >= 3, "{report:?}");
    assert!(report.time_to_eject_seconds.unwrap() <= 1.0);
    assert!(report.outage_seconds < 0.1, "{}", report.outage_seconds);
}

#[test]
fn a_slow_endpoint_is_taken_out_by_its_latency_and_by_nothing_else() {
    let mut scenario = shipped("s1-slow-replica");
    assert_eq!(report(&scenario).ejections, 0);
    scenario.policy = serde_json::from_str(r#"{"outlierDetection": {"latency": {}}}"#).unwrap();
    assert_eq!(report(&scenario).ejections, scenario.proxies[0]);
}

#[test]
fn without_retries_and_ejection_clients_see_the_failures() {
    let mut scenario = shipped("s2b-black-hole");
    scenario.policy = serde_json::from_str(
        r#"{"retry": {"retries": 0}, "loadBalancer": {"random": {}},
            "outlierDetection": {"consecutive5xx": 0, "consecutiveGatewayFailure": 0,
                                 "consecutiveLocalOriginFailure": 0}}"#,
    )
    .unwrap();
    let report = report(&scenario);
    let during = &report.phases[1].sums;
    assert!((0.09..0.11).contains(&during.errors), "{during:?}");
    assert_eq!((report.ejections, report.retries), (0, 0));
    assert_eq!(report.time_to_eject_seconds, None);
}

#[test]
fn retries_stay_within_their_budget() {
    let mut scenario = shipped("s7-retry-storm");
    scenario.clients.retries = 0;
    let shown = shown(&scenario, 1);
    let requests = shown.books.begun;
    let seconds = scenario.duration.as_secs();
    // A fifth of the requests, ten a second, and a reserve of a hundred; by three.
    let bound = requests / 5 + 3 * (10 * seconds + 100);
    assert!(shown.counts.retries <= bound, "{:?}", shown.counts);
    assert!(shown.counts.retries > 3_000, "{:?}", shown.counts);
}

/// Two clients, ten requests per second each, and what a bucket holds at first.
#[test]
fn a_rate_limit_lets_through_what_it_says() {
    let scenario = scenario(
        "{name: limited, about: limited, duration: 100s, warmUp: 0s, \
          clients: {rate: 200, addresses: 2}, \
          policy: {rateLimit: {tokens: 10, key: {clientAddress: {}}}}}",
    );
    let shown = shown(&scenario, 1);
    let passed = shown.books.begun - shown.counts.limited;
    assert!((1_990..=2_020).contains(&passed), "{passed}");
}

/// What the inner tier has given up after tries of its own, the outer one passes
/// on.
#[test]
fn a_tier_does_not_try_again_what_the_next_one_has_given_up() {
    let scenario = scenario(
        "{name: dark, about: dark, duration: 20s, proxies: [2, 3], clients: {rate: 50}, \
          faults: [{at: 6s, for: 10s, what: crash}]}",
    );
    let settings = Settings::of_policy(&scenario.policy, 10).unwrap();
    let mut world = World::new(&scenario, settings, 1);
    world.play();
    let retries = |tier: &Vec<Proxy>| tier.iter().map(|proxy| proxy.counts.retries).sum();
    let retries: Vec<u64> = world.tiers.iter().map(retries).collect();
    assert_eq!(retries[0], 0);
    assert!(retries[1] > 100, "{retries:?}");
}

#[test]
fn a_drained_endpoint_costs_nobody_anything() {
    let report = report(&shipped::find("s13-rolling-replace").unwrap());
    assert!(report.phases.iter().all(|phase| phase.sums.errors == 0.0));
}
