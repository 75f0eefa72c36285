//! How an endpoint is chosen.

use crate::ir;
use crate::xds::encode::values::{extension, large_number, number};
use crate::xds::wire::{
    cluster, core, lb_common, least_request, maglev as maglev_policy, random,
    ring_hash as ring_policy, round_robin,
};

/// The algorithm, in the old field for gRPC of old and in the list that wins
/// where it is known.
pub(super) fn policy(
    policy: ir::LbPolicy,
) -> (cluster::cluster::LbPolicy, cluster::LoadBalancingPolicy) {
    use cluster::cluster::LbPolicy;
    use least_request::least_request::SelectionMethod;

    const LEAST_REQUEST: &str = "envoy.load_balancing_policies.least_request";
    let least = |choices, method: SelectionMethod| {
        extension(
            LEAST_REQUEST,
            least_request::LeastRequest {
                choice_count: choices,
                selection_method: method.into(),
                ..least_request::LeastRequest::default()
            },
        )
    };
    let (named, config) = match policy {
        ir::LbPolicy::RoundRobin => (
            LbPolicy::RoundRobin,
            extension(
                "envoy.load_balancing_policies.round_robin",
                round_robin::RoundRobin::default(),
            ),
        ),
        ir::LbPolicy::LeastRequest { choices } => (
            LbPolicy::LeastRequest,
            least(number(choices), SelectionMethod::NChoices),
        ),
        // Its settings travel in our metadata.
        ir::LbPolicy::PeakEwma(_) => (
            LbPolicy::LeastRequest,
            least(number(2), SelectionMethod::NChoices),
        ),
        ir::LbPolicy::LeastRequestFullScan => (
            LbPolicy::LeastRequest,
            least(None, SelectionMethod::FullScan),
        ),
        ir::LbPolicy::Random => (
            LbPolicy::Random,
            extension(
                "envoy.load_balancing_policies.random",
                random::Random::default(),
            ),
        ),
        ir::LbPolicy::RingHash(ring) => (LbPolicy::RingHash, ring_hash(ring)),
        ir::LbPolicy::Maglev(table) => (LbPolicy::Maglev, maglev(table)),
    };
    let policies = vec![cluster::load_balancing_policy::Policy {
        typed_extension_config: Some(config),
    }];
    (named, cluster::LoadBalancingPolicy { policies })
}

fn ring_hash(from: ir::RingHash) -> core::TypedExtensionConfig {
    extension(
        "envoy.load_balancing_policies.ring_hash",
        ring_policy::RingHash {
            hash_function: ring_policy::ring_hash::HashFunction::XxHash.into(),
            minimum_ring_size: large_number(from.min_size),
            maximum_ring_size: large_number(from.max_size),
            consistent_hashing_lb_config: bound(from.balance_factor),
            ..ring_policy::RingHash::default()
        },
    )
}

fn maglev(from: ir::Maglev) -> core::TypedExtensionConfig {
    extension(
        "envoy.load_balancing_policies.maglev",
        maglev_policy::Maglev {
            table_size: large_number(from.table_size),
            consistent_hashing_lb_config: bound(from.balance_factor),
            ..maglev_policy::Maglev::default()
        },
    )
}

fn bound(balance_factor: Option<u32>) -> Option<lb_common::ConsistentHashingLbConfig> {
    balance_factor.map(|factor| lb_common::ConsistentHashingLbConfig {
        hash_balance_factor: number(factor),
        ..lb_common::ConsistentHashingLbConfig::default()
    })
}
