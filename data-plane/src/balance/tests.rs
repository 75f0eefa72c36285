use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use evenkeel_shared::ir::{LbPolicy, Maglev, RingHash};
use proptest::prelude::*;

use super::*;

struct Table(Vec<u32>);

impl Loads for Table {
    fn active(&self, host: HostIndex) -> u32 {
        self.0[host.0 as usize]
    }
}

struct Idle;

impl Loads for Idle {
    fn active(&self, _: HostIndex) -> u32 {
        0
    }
}

const POLICIES: [LbPolicy; 6] = [
    LbPolicy::RoundRobin,
    LbPolicy::LeastRequest { choices: 2 },
    LbPolicy::LeastRequestFullScan,
    LbPolicy::Random,
    LbPolicy::RingHash(RingHash {
        min_size: 64,
        max_size: 1_024,
        balance_factor: None,
    }),
    LbPolicy::Maglev(Maglev {
        table_size: 251,
        balance_factor: Some(150),
    }),
];

fn question(entropy: u64, tried: &[HostIndex]) -> Pick<'_> {
    Pick {
        now: Tick(0),
        entropy,
        affinity: None,
        tried,
    }
}

fn hosts(weights: &[u32]) -> Vec<(HostIndex, u32)> {
    (0..).map(HostIndex).zip(weights.iter().copied()).collect()
}

/// How often each host is picked in so many picks.
fn counts(balancer: &Balancer, loads: &impl Loads, picks: u64) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    let mut entropy = Draws::new(7);
    for _ in 0..picks {
        let number = entropy.below(u64::MAX);
        let host = balancer.pick(loads, &question(number, &[])).unwrap();
        *counts.entry(host.0).or_default() += 1;
    }
    counts
}

#[test]
fn there_is_no_pick_without_a_host() {
    for policy in POLICIES {
        assert_eq!(
            Balancer::build(policy, &[], 3).pick(&Idle, &question(1, &[])),
            None
        );
        let weightless = Balancer::build(policy, &hosts(&[0, 0]), 3);
        assert!(weightless.is_empty());
        assert_eq!(weightless.pick(&Idle, &question(1, &[])), None);
    }
}

#[test]
fn round_robin_begins_where_the_seed_says() {
    let first = |seed| {
        Balancer::build(LbPolicy::RoundRobin, &hosts(&[1; 10]), seed)
            .pick(&Idle, &question(0, &[]))
            .unwrap()
    };
    assert_eq!(first(4), HostIndex(4));
    assert_eq!(first(25), HostIndex(5));
}

#[test]
fn random_follows_the_weights() {
    let balancer = Balancer::build(LbPolicy::Random, &hosts(&[1, 3]), 0);
    let counts = counts(&balancer, &Idle, 40_000);
    assert!((9_000..11_000).contains(&counts[&0]), "{counts:?}");
}

#[test]
fn full_scan_takes_the_least_loaded_by_weight() {
    let balancer = Balancer::build(LbPolicy::LeastRequestFullScan, &hosts(&[1, 4, 1]), 0);
    let loads = Table(vec![1, 6, 2]);
    assert_eq!(balancer.pick(&loads, &question(9, &[])), Some(HostIndex(1)));
}

#[test]
fn full_scan_shares_ties_evenly() {
    let balancer = Balancer::build(LbPolicy::LeastRequestFullScan, &hosts(&[1; 4]), 0);
    let loads = Table(vec![2, 0, 0, 0]);
    let counts = counts(&balancer, &loads, 30_000);
    assert!(!counts.contains_key(&0));
    assert!(
        counts.values().all(|count| (9_400..10_600).contains(count)),
        "{counts:?}"
    );
}

/// Ten hosts, one of which takes ten times as long; requests come one by one
/// and stay for their time.
#[test]
fn least_request_sends_a_slow_host_less_than_its_share() {
    let balancer = Balancer::build(LbPolicy::LeastRequest { choices: 2 }, &hosts(&[1; 10]), 0);
    let loads = RefCell::new(vec![0_u32; 10]);
    let mut leaving: VecDeque<(u64, u32)> = VecDeque::new();
    let mut sent = vec![0_u64; 10];
    let mut entropy = Draws::new(42);
    for now in 0..20_000 {
        leaving.retain(|(end, host)| {
            let ended = *end <= now;
            loads.borrow_mut()[*host as usize] -= u32::from(ended);
            !ended
        });
        let table = Table(loads.borrow().clone());
        let host = balancer
            .pick(&table, &question(entropy.below(u64::MAX), &[]))
            .unwrap()
            .0;
        loads.borrow_mut()[host as usize] += 1;
        sent[host as usize] += 1;
        leaving.push_back((now + if host == 3 { 200 } else { 20 }, host));
    }
    let fair = 20_000 / 10;
    assert!(sent[3] < fair / 2, "{sent:?}");
    let others = sent.iter().enumerate().filter(|(host, _)| *host != 3);
    assert!(others.clone().all(|(_, sent)| *sent > fair * 9 / 10));
}

proptest! {
    #[test]
    fn round_robin_is_exact_over_a_stride(
        weights in prop::collection::vec(1_u32..50, 1..20),
        seed: u64,
    ) {
        let balancer = Balancer::build(LbPolicy::RoundRobin, &hosts(&weights), seed);
        let stride = weights.iter().map(|weight| u64::from(*weight)).sum();
        let counts = counts(&balancer, &Idle, stride);
        for (host, weight) in (0..).zip(&weights) {
            prop_assert_eq!(counts[&host], u64::from(*weight));
        }
    }

    #[test]
    fn a_tried_host_is_avoided_while_there_is_another(
        weights in prop::collection::vec(1_u32..2_000, 2..12),
        tried in prop::collection::vec(0_u32..12, 0..12),
        entropy: u64,
    ) {
        let tried: Vec<HostIndex> = tried.into_iter().map(HostIndex).collect();
        let all = hosts(&weights);
        let untried = all.iter().any(|(host, _)| !tried.contains(host));
        for policy in POLICIES {
            let balancer = Balancer::build(policy, &all, entropy);
            let picked = balancer.pick(&Idle, &question(entropy, &tried)).unwrap();
            prop_assert_eq!(tried.contains(&picked), !untried);
        }
    }

    #[test]
    fn the_same_question_gets_the_same_answer(
        weights in prop::collection::vec(1_u32..9, 1..12),
        entropy: u64,
        seed: u64,
    ) {
        for policy in POLICIES {
            let answer = || Balancer::build(policy, &hosts(&weights), seed)
                .pick(&Idle, &question(entropy, &[]));
            prop_assert_eq!(answer(), answer());
        }
    }

    #[test]
    fn least_request_never_takes_the_most_loaded_of_what_a_scan_sees(
        active in prop::collection::vec(0_u32..100, 2..20),
        entropy: u64,
    ) {
        let balancer =
            Balancer::build(LbPolicy::LeastRequestFullScan, &hosts(&vec![3; active.len()]), 0);
        let least = *active.iter().min().unwrap();
        let loads = Table(active);
        let host = balancer.pick(&loads, &question(entropy, &[])).unwrap();
        prop_assert_eq!(loads.active(host), least);
    }
}
