use std::collections::BTreeMap;
use std::net::SocketAddr;

use evenkeel_shared::ir::{self, LbPolicy};
use proptest::prelude::*;

use crate::balance::xxhash::xxhash64;
use crate::balance::{Balancer, HostIndex, Loads, Pick, Usable};
use crate::tick::Tick;

struct Table(Vec<u32>);

impl Loads for Table {
    fn active(&self, host: HostIndex) -> u32 {
        self.0[host.0 as usize]
    }
}

fn ring(min_size: u32, balance_factor: Option<u32>) -> LbPolicy {
    LbPolicy::RingHash(ir::RingHash {
        min_size,
        max_size: ir::RingHash::MAX_SIZE,
        balance_factor,
    })
}

fn maglev(table_size: u32, balance_factor: Option<u32>) -> LbPolicy {
    LbPolicy::Maglev(ir::Maglev {
        table_size,
        balance_factor,
    })
}

/// Hosts at the ports from 90 on.
fn hosts(weights: &[u32]) -> Vec<Usable> {
    let hosts = (0_u32..).zip(weights).map(|(index, weight)| Usable {
        host: HostIndex(index),
        weight: *weight,
        address: SocketAddr::from(([127, 0, 0, 1], 90 + u16::try_from(index).unwrap())),
    });
    hosts.collect()
}

fn pick(balancer: &Balancer, hash: u64, loads: &Table, tried: &[HostIndex]) -> u32 {
    let pick = Pick {
        now: Tick(0),
        entropy: 7,
        affinity: Some(hash),
        tried,
    };
    balancer.pick(loads, &pick).unwrap().0
}

/// The host of each of so many requests that have nothing in common.
fn places(balancer: &Balancer, requests: u64, hosts: usize) -> Vec<u32> {
    let idle = Table(vec![0; hosts]);
    let hash = |request: u64| xxhash64(&request.to_le_bytes(), 3);
    (0..requests)
        .map(|request| pick(balancer, hash(request), &idle, &[]))
        .collect()
}

/// The ring that Envoy documents for six hosts with two points each.
#[test]
fn a_ring_is_that_of_envoy() {
    let balancer = Balancer::over(ring(12, None), &hosts(&[1; 6]), 0);
    let points = [
        (833_437_586_790_550_860, 4),
        (928_266_305_478_181_108, 2),
        (1_033_482_794_131_418_490, 0),
        (3_551_244_743_356_806_947, 5),
        (3_851_675_632_748_031_481, 3),
        (5_583_722_120_771_150_861, 1),
        (6_311_230_543_546_372_928, 1),
        (7_700_377_290_971_790_572, 3),
        (13_144_177_310_400_110_813, 5),
        (13_444_792_449_719_432_967, 2),
        (15_516_499_411_664_133_160, 4),
        (16_117_243_373_044_804_889, 0),
    ];
    let idle = Table(vec![0; 6]);
    let next = points.iter().cycle().skip(1);
    for ((hash, owner), (_, after)) in points.iter().zip(next) {
        assert_eq!(pick(&balancer, *hash, &idle, &[]), *owner, "{hash}");
        assert_eq!(pick(&balancer, hash + 1, &idle, &[]), *after, "{hash}");
    }
    assert_eq!(pick(&balancer, 0, &idle, &[]), 4);
    assert_eq!(pick(&balancer, u64::MAX, &idle, &[]), 4);
}

/// The table that Envoy documents for six hosts and seven entries.
#[test]
fn a_table_is_that_of_envoy() {
    let balancer = Balancer::over(maglev(7, None), &hosts(&[1; 6]), 0);
    let idle = Table(vec![0; 6]);
    let owners = (0..21).map(|hash| pick(&balancer, hash, &idle, &[]));
    let envoys = [2, 4, 0, 1, 5, 0, 3];
    assert!(owners.eq(envoys.iter().copied().cycle().take(21)));
}

#[test]
fn a_request_that_nothing_ties_goes_anywhere() {
    for policy in [ring(1_024, None), maglev(65_537, None)] {
        let balancer = Balancer::over(policy, &hosts(&[1; 4]), 0);
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for request in 0..4_000_u64 {
            let untied = Pick {
                now: Tick(0),
                entropy: xxhash64(&request.to_le_bytes(), 0),
                affinity: None,
                tried: &[],
            };
            let host = balancer.pick(&Table(vec![0; 4]), &untied).unwrap();
            *counts.entry(host.0).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count > 700), "{counts:?}");
        assert_eq!(counts.len(), 4);
    }
}

#[test]
fn requests_are_shared_by_weight() {
    let weights = [1, 2, 4, 1];
    for policy in [ring(100_000, None), maglev(65_537, None)] {
        let balancer = Balancer::over(policy, &hosts(&weights), 0);
        let places = places(&balancer, 40_000, weights.len());
        for (host, weight) in (0..).zip(weights) {
            let own = places.iter().filter(|place| **place == host).count();
            let fair = 40_000 * weight as usize / 8;
            assert!(own.abs_diff(fair) < fair / 10, "{host}: {own} of {fair}");
        }
    }
}

/// All requests have one hash: without a bound one host would have them all.
#[test]
fn a_bound_spreads_what_one_host_would_get() {
    for policy in [ring(1_024, Some(125)), maglev(65_537, Some(125))] {
        let balancer = Balancer::over(policy, &hosts(&[1, 1, 2, 1]), 0);
        let mut active = vec![0_u32; 4];
        for total in 0_u32..400 {
            let host = pick(&balancer, 99, &Table(active.clone()), &[]) as usize;
            active[host] += 1;
            // 125 % of a fair share, rounded up; as in Envoy a host that is
            // exactly full is given one more.
            let fair = (f64::from(total + 1) * 1.25).ceil();
            let share = if host == 2 { 0.4 } else { 0.2 };
            let most = (fair * share).ceil().max(1.0) + 1.0;
            assert!(f64::from(active[host]) <= most, "{total}: {active:?}");
        }
        let again = || pick(&balancer, 99, &Table(vec![50, 0, 50, 0]), &[]);
        assert_eq!(again(), again(), "who gets the rest is the hash's choice");
    }
}

struct Crowded;

impl Loads for Crowded {
    fn active(&self, host: HostIndex) -> u32 {
        [90, 70, 80][host.0 as usize]
    }
    // What a gauge of the cluster may say while hosts come and go.
    fn total(&self, _: &[HostIndex]) -> u32 {
        0
    }
}

#[test]
fn without_room_anywhere_the_one_nearest_to_it_is_taken() {
    let balancer = Balancer::over(ring(1_024, Some(100)), &hosts(&[1; 3]), 0);
    let picked = |tried: &[HostIndex]| {
        let question = Pick {
            now: Tick(0),
            entropy: 0,
            affinity: Some(5),
            tried,
        };
        balancer.pick(&Crowded, &question)
    };
    assert_eq!(picked(&[]), Some(HostIndex(1)));
    assert_eq!(picked(&[HostIndex(1)]), Some(HostIndex(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Its own requests go elsewhere, and of the others no more than what the
    /// points or entries that the rest gets instead take along.
    #[test]
    fn few_requests_move_when_a_host_leaves(count in 3_usize..12, leaving in 0_usize..12) {
        let leaving = leaving % count;
        let before = hosts(&vec![1; count]);
        let mut after = before.clone();
        after.remove(leaving);
        for (policy, strays) in [(ring(4_096, None), 0.25), (maglev(65_537, None), 0.15)] {
            let old = places(&Balancer::over(policy, &before, 0), 2_000, count);
            let new = places(&Balancer::over(policy, &after, 0), 2_000, count);
            let others = old.iter().zip(&new).filter(|(old, _)| **old as usize != leaving);
            let moved = others.clone().filter(|(old, new)| old != new).count();
            let share = f64::from(u32::try_from(moved).unwrap())
                / f64::from(u32::try_from(others.count()).unwrap());
            prop_assert!(share < strays, "{share} of the others moved: {policy:?}");
        }
    }

    /// What differs between two proxies does not matter: the seed, and the
    /// moment.
    #[test]
    fn all_proxies_agree(weights in prop::collection::vec(1_u32..9, 2..9), hash: u64, seed: u64) {
        for policy in [ring(64, None), maglev(251, None), maglev(251, Some(100))] {
            let idle = Table(vec![0; weights.len()]);
            let one = Balancer::over(policy, &hosts(&weights), 0);
            let other = Balancer::over(policy, &hosts(&weights), seed);
            prop_assert_eq!(pick(&one, hash, &idle, &[]), pick(&other, hash, &idle, &[]));
        }
    }

    /// Whatever is full, and however few points a host has.
    #[test]
    fn a_tried_host_is_avoided_while_there_is_another(
        weights in prop::collection::vec(1_u32..2_000, 2..9),
        tried in prop::collection::vec(0_u32..9, 0..9),
        active in prop::collection::vec(0_u32..50, 9),
        hash: u64,
    ) {
        let tried: Vec<HostIndex> = tried.into_iter().map(HostIndex).collect();
        let all = hosts(&weights);
        let untried = all.iter().any(|host| !tried.contains(&host.host));
        for policy in [ring(1, None), ring(64, Some(100)), maglev(2, None), maglev(251, Some(120))] {
            let balancer = Balancer::over(policy, &all, 0);
            let picked = pick(&balancer, hash, &Table(active.clone()), &tried);
            prop_assert_eq!(tried.contains(&HostIndex(picked)), !untried);
        }
    }
}
