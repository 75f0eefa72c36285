//! How an endpoint is chosen.

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::load_balancer::Policy as Algorithm;

use crate::model::defaults;
use crate::model::fields::{self, within};

/// Reads how an endpoint is chosen.
pub(super) fn load_balancing(
    balancer: &v1::LoadBalancer,
    faults: &mut Faults,
) -> ir::LoadBalancing {
    let v1::LoadBalancer {
        panic_threshold,
        policy,
    } = balancer;
    let policy = match policy {
        Some(Algorithm::RoundRobin(v1::RoundRobin {})) => ir::LbPolicy::RoundRobin,
        Some(Algorithm::Random(v1::Random {})) => ir::LbPolicy::Random,
        Some(Algorithm::LeastRequest(least)) => least_request(*least, faults),
        Some(Algorithm::RingHash(ring)) => {
            within(faults, "ringHash", |faults| ring_hash(*ring, faults))
        }
        Some(Algorithm::Maglev(table)) => within(faults, "maglev", |faults| maglev(*table, faults)),
        Some(Algorithm::PeakEwma(latency)) => {
            within(faults, "peakEwma", |faults| peak_ewma(*latency, faults))
        }
        None => least_request(v1::LeastRequest::default(), faults),
    };
    ir::LoadBalancing {
        policy,
        panic_threshold: fields::percent(*panic_threshold, "panicThreshold", faults),
    }
}

/// `choices` is a setting of the algorithm: naming the algorithm without it
/// means 2, whatever a layer further away says.
fn least_request(least: v1::LeastRequest, faults: &mut Faults) -> ir::LbPolicy {
    let v1::LeastRequest { choices, full_scan } = least;
    if full_scan && choices.is_some() {
        faults.add(
            "leastRequest.choices",
            "has no effect together with `fullScan`",
        );
    }
    if full_scan {
        return ir::LbPolicy::LeastRequestFullScan;
    }
    let choices = choices.unwrap_or(2);
    ir::LbPolicy::LeastRequest {
        choices: fields::range(choices, 2..=100, "leastRequest.choices", faults),
    }
}

fn ring_hash(ring: v1::RingHash, faults: &mut Faults) -> ir::LbPolicy {
    let v1::RingHash {
        min_size,
        max_size,
        balance_factor,
    } = ring;
    let sizes = 1..=ir::RingHash::MAX_SIZE;
    let min = min_size.unwrap_or(ir::RingHash::DEFAULT_MIN_SIZE);
    let max = max_size.unwrap_or(ir::RingHash::MAX_SIZE);
    let min_size = fields::range(min, sizes.clone(), "minSize", faults);
    let max_size = fields::range(max, sizes, "maxSize", faults);
    if min > max {
        faults.add(
            "minSize",
            format!("invalid value {min}: must be at most `maxSize`, which is {max}"),
        );
    }
    ir::LbPolicy::RingHash(ir::RingHash {
        min_size,
        max_size,
        balance_factor: bound(balance_factor, faults),
    })
}

fn maglev(table: v1::Maglev, faults: &mut Faults) -> ir::LbPolicy {
    let v1::Maglev {
        table_size,
        balance_factor,
    } = table;
    let table_size = table_size.unwrap_or(ir::Maglev::DEFAULT_TABLE_SIZE);
    if !ir::Maglev::is_table_size(table_size) {
        let most = ir::Maglev::MAX_TABLE_SIZE;
        faults.add(
            "tableSize",
            format!("invalid value {table_size}: must be a prime of at most {most}"),
        );
    }
    ir::LbPolicy::Maglev(ir::Maglev {
        table_size,
        balance_factor: bound(balance_factor, faults),
    })
}

fn peak_ewma(latency: v1::PeakEwma, faults: &mut Faults) -> ir::LbPolicy {
    let v1::PeakEwma {
        decay,
        failure_penalty,
    } = latency;
    let decay = decay.or(Some(defaults::DECAY));
    let penalty = failure_penalty.or(Some(defaults::FAILURE_PENALTY));
    ir::LbPolicy::PeakEwma(ir::PeakEwma {
        decay: fields::positive(decay, "decay", faults),
        failure_penalty: fields::timeout(penalty, "failurePenalty", faults).unwrap_or_default(),
    })
}

fn bound(balance_factor: Option<u32>, faults: &mut Faults) -> Option<u32> {
    let least = ir::Maglev::MIN_BALANCE_FACTOR;
    fields::at_least(balance_factor, least, "balanceFactor", faults);
    balance_factor
}
