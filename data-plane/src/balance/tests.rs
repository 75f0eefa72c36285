use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use evenkeel_shared::ir::{LbPolicy, Maglev, PeakEwma, RingHash};
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

const POLICIES: [LbPolicy; 7] = [
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
    LbPolicy::PeakEwma(PEAK_EWMA),
];

const PEAK_EWMA: PeakEwma = PeakEwma {
    decay: Duration::from_secs(10),
    failure_penalty: Duration::from_secs(5),
};

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

/// Hosts with a latency, of which requests are observed as they end.
struct Timed {
    active: RefCell<Vec<u32>>,
    latencies: Vec<Latency>,
}

impl Loads for Timed {
    fn active(&self, host: HostIndex) -> u32 {
        self.active.borrow()[host.0 as usize]
    }

    fn latency(&self, host: HostIndex) -> Option<&Latency> {
        Some(&self.latencies[host.0 as usize])
    }
}

/// Sends a request every millisecond to ten hosts, of which the fourth behaves
/// like `odd`: milliseconds that it takes, and whether it fails. How many each
/// was sent in ten seconds.
fn sent_by_latency(odd: (u64, bool)) -> Vec<u64> {
    let balancer = Balancer::build(LbPolicy::PeakEwma(PEAK_EWMA), &hosts(&[1; 10]), 0);
    let loads = Timed {
        active: RefCell::new(vec![0; 10]),
        latencies: (0..10).map(|_| Latency::default()).collect(),
    };
    let mut leaving: Vec<(u64, u64, u32)> = Vec::new();
    let mut sent = vec![0; 10];
    let mut entropy = Draws::new(42);
    for now in 0..10_000_u64 {
        let tick = Tick(0).plus(Duration::from_millis(now));
        leaving.retain(|(began, end, host)| {
            let ended = *end <= now;
            if ended {
                loads.active.borrow_mut()[*host as usize] -= 1;
                let took = Duration::from_millis(end - began);
                let failed = *host == 3 && odd.1;
                loads.latencies[*host as usize].observe(took, failed, tick, &PEAK_EWMA);
            }
            !ended
        });
        let pick = Pick {
            now: tick,
            ..question(entropy.below(u64::MAX), &[])
        };
        let host = balancer.pick(&loads, &pick).unwrap().0;
        loads.active.borrow_mut()[host as usize] += 1;
        sent[host as usize] += 1;
        let takes = if host == 3 { odd.0 } else { 20 };
        leaving.push((now, now + takes, host));
    }
    sent
}

#[test]
fn peak_ewma_shares_alike_among_equals() {
    let sent = sent_by_latency((20, false));
    assert!(
        sent.iter().all(|sent| (700..1_300).contains(sent)),
        "{sent:?}"
    );
}

#[test]
fn peak_ewma_hardly_asks_a_slow_host() {
    let sent = sent_by_latency((200, false));
    assert!(sent[3] < 200, "{sent:?}");
}

/// Least request would send it more than any other.
#[test]
fn peak_ewma_is_not_attracted_by_quick_failures() {
    let sent = sent_by_latency((1, true));
    assert!(sent[3] < 200, "{sent:?}");
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
