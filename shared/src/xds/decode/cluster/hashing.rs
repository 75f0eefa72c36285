//! Endpoints by the hash of a request.

use crate::ir;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::values::unpack;
use crate::xds::wire::{cluster, lb_common, maglev, pb, ring_hash};
use cluster::cluster::common_lb_config::ConsistentHashingLbConfig as InCommon;
use cluster::cluster::{LbConfig, MaglevLbConfig, RingHashLbConfig};

/// Reads a ring in its old place, where the bound stands with what is common to
/// all algorithms.
pub(super) fn old_ring(
    config: Option<&LbConfig>,
    common: Option<&InCommon>,
    found: &mut Findings,
) -> Option<ir::LbPolicy> {
    use cluster::cluster::ring_hash_lb_config::HashFunction;

    let balance_factor = in_common(common, found);
    let config = match config {
        Some(LbConfig::RingHashLbConfig(config)) => *config,
        _ => RingHashLbConfig::default(),
    };
    let sizes = found.at("ring_hash_lb_config", |found| {
        let RingHashLbConfig {
            minimum_ring_size,
            hash_function,
            maximum_ring_size,
        } = config;
        if HashFunction::try_from(hash_function) != Ok(HashFunction::XxHash) {
            found.unsupported::<()>("hash_function")?;
        }
        sizes(minimum_ring_size, maximum_ring_size, found)
    });
    ring(sizes, balance_factor)
}

/// Reads a table in its old place.
pub(super) fn old_table(
    config: Option<&LbConfig>,
    common: Option<&InCommon>,
    found: &mut Findings,
) -> Option<ir::LbPolicy> {
    let balance_factor = in_common(common, found);
    let size = match config {
        Some(LbConfig::MaglevLbConfig(MaglevLbConfig { table_size })) => *table_size,
        _ => None,
    };
    let size = found.at("maglev_lb_config", |found| table_size(size, found));
    table(size, balance_factor)
}

#[expect(deprecated, reason = "names every field of the message once")]
pub(super) fn ring_policy(config: &pb::Any, found: &mut Findings) -> Option<ir::LbPolicy> {
    use ring_hash::ring_hash::HashFunction;

    let ring_hash::RingHash {
        hash_function,
        minimum_ring_size,
        maximum_ring_size,
        use_hostname_for_hashing,
        hash_balance_factor,
        consistent_hashing_lb_config,
        locality_weighted_lb_config,
    } = unpack(config, found)?;
    found.unsupported_if([
        ("use_hostname_for_hashing", use_hostname_for_hashing),
        (
            "locality_weighted_lb_config",
            set(&locality_weighted_lb_config),
        ),
        (
            "hash_function",
            HashFunction::try_from(hash_function) == Ok(HashFunction::MurmurHash2),
        ),
    ]);
    // The old field counts where the new message is missing.
    let balance_factor = match consistent_hashing_lb_config {
        Some(config) => consistent(config, found),
        None => bound(hash_balance_factor, "hash_balance_factor", found),
    };
    ring(
        sizes(minimum_ring_size, maximum_ring_size, found),
        balance_factor,
    )
}

pub(super) fn maglev_policy(config: &pb::Any, found: &mut Findings) -> Option<ir::LbPolicy> {
    let maglev::Maglev {
        table_size: size,
        consistent_hashing_lb_config,
        locality_weighted_lb_config,
    } = unpack(config, found)?;
    found.unsupported_if([(
        "locality_weighted_lb_config",
        set(&locality_weighted_lb_config),
    )]);
    let balance_factor = match consistent_hashing_lb_config {
        Some(config) => consistent(config, found),
        None => Some(None),
    };
    table(table_size(size, found), balance_factor)
}

fn ring(sizes: Option<(u32, u32)>, balance_factor: Read<Option<u32>>) -> Option<ir::LbPolicy> {
    let (min_size, max_size) = sizes?;
    Some(ir::LbPolicy::RingHash(ir::RingHash {
        min_size,
        max_size,
        balance_factor: balance_factor?,
    }))
}

fn table(size: Option<u32>, balance_factor: Read<Option<u32>>) -> Option<ir::LbPolicy> {
    Some(ir::LbPolicy::Maglev(ir::Maglev {
        table_size: size?,
        balance_factor: balance_factor?,
    }))
}

fn sizes(
    min: Option<pb::UInt64Value>,
    max: Option<pb::UInt64Value>,
    found: &mut Findings,
) -> Option<(u32, u32)> {
    use ir::RingHash;

    let mut size = |from: Option<pb::UInt64Value>, field: &str, default| {
        let value = from.map_or(u64::from(default), |from| from.value);
        let fits = u32::try_from(value).ok();
        fits.filter(|size| (1..=RingHash::MAX_SIZE).contains(size))
            .or_else(|| found.invalid(field, value, "must be between 1 and 8388608"))
    };
    let min = size(min, "minimum_ring_size", RingHash::DEFAULT_MIN_SIZE);
    let max = size(max, "maximum_ring_size", RingHash::MAX_SIZE);
    let (min, max) = (min?, max?);
    if min > max {
        return found.invalid("minimum_ring_size", min, "must be at most the maximum");
    }
    Some((min, max))
}

fn table_size(from: Option<pb::UInt64Value>, found: &mut Findings) -> Option<u32> {
    use ir::Maglev;

    let size = from.map_or(u64::from(Maglev::DEFAULT_TABLE_SIZE), |from| from.value);
    let fits = u32::try_from(size).ok();
    fits.filter(|size| Maglev::is_table_size(*size))
        .or_else(|| found.invalid("table_size", size, "must be a prime of at most 5000011"))
}

fn in_common(from: Option<&InCommon>, found: &mut Findings) -> Read<Option<u32>> {
    let Some(InCommon {
        use_hostname_for_hashing,
        hash_balance_factor,
    }) = from.copied()
    else {
        return Some(None);
    };
    let config = lb_common::ConsistentHashingLbConfig {
        use_hostname_for_hashing,
        hash_balance_factor,
        ..lb_common::ConsistentHashingLbConfig::default()
    };
    found.at("common_lb_config", |found| consistent(config, found))
}

fn consistent(
    from: lb_common::ConsistentHashingLbConfig,
    found: &mut Findings,
) -> Read<Option<u32>> {
    found.at("consistent_hashing_lb_config", |found| {
        let lb_common::ConsistentHashingLbConfig {
            use_hostname_for_hashing,
            hash_balance_factor,
            hash_policy,
        } = from;
        found.unsupported_if([
            ("use_hostname_for_hashing", use_hostname_for_hashing),
            ("hash_policy", set(&hash_policy)),
        ]);
        bound(hash_balance_factor, "hash_balance_factor", found)
    })
}

fn bound(from: Option<pb::UInt32Value>, field: &str, found: &mut Findings) -> Read<Option<u32>> {
    match from.map(|from| from.value) {
        Some(factor) if factor < ir::Maglev::MIN_BALANCE_FACTOR => {
            found.invalid(field, factor, "must be at least 100")
        }
        factor => Some(factor),
    }
}
