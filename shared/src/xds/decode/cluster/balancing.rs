//! How an endpoint is chosen.

use super::hashing;
use crate::ir::{LbPolicy, PeakEwma};
use crate::units::Percent;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::values::{holds, is_true, number_or, percent_or, unpack};
use crate::xds::extras;
use crate::xds::wire::{
    cluster, lb_common, least_request, maglev, pb, random, ring_hash, round_robin,
};
use cluster::cluster::{LbConfig, LbPolicy as Named};

/// Envoy's number of draws, unless told otherwise.
const DEFAULT_CHOICES: u32 = 2;
/// Envoy's threshold, unless told otherwise.
const DEFAULT_PANIC: Percent = Percent::whole(50);

/// The fields of a cluster that name the algorithm.
pub(super) struct Wire<'a> {
    /// By an old name.
    pub(super) named: i32,
    /// With old settings.
    pub(super) config: Option<LbConfig>,
    /// In a list of extensions.
    pub(super) list: Option<cluster::LoadBalancingPolicy>,
    /// With what is common to all algorithms.
    pub(super) common: Option<&'a cluster::cluster::CommonLbConfig>,
}

/// Reads the algorithm. Of the list the first that is known is taken, and where
/// there is a list the old field says nothing.
pub(super) fn policy(from: Wire<'_>, found: &mut Findings) -> Option<LbPolicy> {
    let Wire {
        named,
        config,
        list,
        common,
    } = from;
    let common = common.and_then(|common| common.consistent_hashing_lb_config.as_ref());
    if let Some(cluster::LoadBalancingPolicy { policies }) = list {
        found.ignore_if([
            ("lb_config", config.is_some()),
            (
                "common_lb_config.consistent_hashing_lb_config",
                common.is_some(),
            ),
        ]);
        return found.at("load_balancing_policy", |found| {
            first_known(policies, found)
        });
    }
    let named = Named::try_from(named).map_err(|_| named);
    if !matches!(named, Ok(Named::RingHash | Named::Maglev)) {
        found.ignore_if([(
            "common_lb_config.consistent_hashing_lb_config",
            common.is_some(),
        )]);
    }
    match named {
        Ok(Named::RingHash) => hashing::old_ring(config.as_ref(), common, found),
        Ok(Named::Maglev) => hashing::old_table(config.as_ref(), common, found),
        Ok(Named::RoundRobin) => {
            if let Some(LbConfig::RoundRobinLbConfig(from)) = config {
                let slow = from.slow_start_config.is_some();
                found.ignore_if([("round_robin_lb_config.slow_start_config", slow)]);
            }
            Some(LbPolicy::RoundRobin)
        }
        Ok(Named::LeastRequest) => match config {
            Some(LbConfig::LeastRequestLbConfig(from)) => {
                found.at("least_request_lb_config", |found| draws(from, found))
            }
            _ => Some(LbPolicy::LeastRequest {
                choices: DEFAULT_CHOICES,
            }),
        },
        Ok(Named::Random) => Some(LbPolicy::Random),
        Ok(other) => found.invalid(
            "lb_policy",
            other.as_str_name(),
            "not supported by evenkeel",
        ),
        Err(unknown) => found.invalid("lb_policy", unknown, "must be a known policy"),
    }
}

/// Puts the algorithm that only we know in place of the one that stands for it.
pub(super) fn by_latency(
    policy: Option<LbPolicy>,
    settings: Option<PeakEwma>,
    found: &mut Findings,
) -> Option<LbPolicy> {
    match settings {
        None => policy,
        Some(settings) if settings.decay.is_zero() => {
            let field = format!("{}.peak_ewma.decay", extras::PATH);
            found.fault(&field, "must be longer than zero")
        }
        Some(settings) => policy.map(|_| LbPolicy::PeakEwma(settings)),
    }
}

/// Envoy draws from two at least.
fn choices(from: Option<pb::UInt32Value>, found: &mut Findings) -> Option<LbPolicy> {
    let choices = number_or(from, DEFAULT_CHOICES);
    if choices < 2 {
        return found.invalid("choice_count", choices, "must be at least 2");
    }
    Some(LbPolicy::LeastRequest { choices })
}

fn draws(from: cluster::cluster::LeastRequestLbConfig, found: &mut Findings) -> Option<LbPolicy> {
    let cluster::cluster::LeastRequestLbConfig {
        choice_count,
        active_request_bias,
        slow_start_config,
    } = from;
    found.ignore_if([
        ("active_request_bias", set(&active_request_bias)),
        ("slow_start_config", set(&slow_start_config)),
    ]);
    choices(choice_count, found)
}

fn first_known(
    policies: Vec<cluster::load_balancing_policy::Policy>,
    found: &mut Findings,
) -> Option<LbPolicy> {
    for (index, policy) in policies.into_iter().enumerate() {
        let Some(config) = policy.typed_extension_config.and_then(|e| e.typed_config) else {
            continue;
        };
        let field = format!("policies[{index}].typed_extension_config.typed_config");
        let read = if holds::<round_robin::RoundRobin>(&config) {
            round_robin_policy
        } else if holds::<least_request::LeastRequest>(&config) {
            least_request_policy
        } else if holds::<random::Random>(&config) {
            random_policy
        } else if holds::<ring_hash::RingHash>(&config) {
            hashing::ring_policy
        } else if holds::<maglev::Maglev>(&config) {
            hashing::maglev_policy
        } else {
            continue;
        };
        return found.at(&field, |found| read(&config, found));
    }
    found.fault("policies", "holds no policy that evenkeel supports")
}

fn round_robin_policy(config: &pb::Any, found: &mut Findings) -> Option<LbPolicy> {
    let round_robin::RoundRobin {
        slow_start_config,
        locality_lb_config,
    } = unpack(config, found)?;
    found.ignore_if([("slow_start_config", set(&slow_start_config))]);
    locality(locality_lb_config.as_ref(), found);
    Some(LbPolicy::RoundRobin)
}

fn random_policy(config: &pb::Any, found: &mut Findings) -> Option<LbPolicy> {
    let random::Random { locality_lb_config } = unpack(config, found)?;
    locality(locality_lb_config.as_ref(), found);
    Some(LbPolicy::Random)
}

#[expect(deprecated, reason = "names every field of the message once")]
fn least_request_policy(config: &pb::Any, found: &mut Findings) -> Option<LbPolicy> {
    use least_request::least_request::SelectionMethod;

    let least_request::LeastRequest {
        choice_count,
        active_request_bias,
        slow_start_config,
        locality_lb_config,
        enable_full_scan,
        selection_method,
    } = unpack(config, found)?;
    found.ignore_if([
        ("active_request_bias", set(&active_request_bias)),
        ("slow_start_config", set(&slow_start_config)),
    ]);
    locality(locality_lb_config.as_ref(), found);
    match SelectionMethod::try_from(selection_method) {
        Ok(SelectionMethod::NChoices) if !is_true(enable_full_scan.as_ref()) => {
            choices(choice_count, found)
        }
        Ok(SelectionMethod::NChoices | SelectionMethod::FullScan) => {
            Some(LbPolicy::LeastRequestFullScan)
        }
        Err(_) => found.invalid(
            "selection_method",
            selection_method,
            "must be a known method",
        ),
    }
}

/// Localities by weight steer traffic; nearness is a preference, and has an
/// effect only in a proxy that knows its own zone.
fn locality(config: Option<&lb_common::LocalityLbConfig>, found: &mut Findings) {
    use lb_common::locality_lb_config::LocalityConfigSpecifier;

    let specifier = config.and_then(|config| config.locality_config_specifier.as_ref());
    match specifier {
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => {
            found.unsupported::<()>("locality_lb_config.locality_weighted_lb_config");
        }
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
            found.ignore("locality_lb_config.zone_aware_lb_config");
        }
        None => {}
    }
}

/// Reads what is common to all algorithms.
pub(super) fn panic_threshold(
    from: Option<cluster::cluster::CommonLbConfig>,
    found: &mut Findings,
) -> Option<Percent> {
    use cluster::cluster::common_lb_config::LocalityConfigSpecifier;

    let Some(from) = from else {
        return Some(DEFAULT_PANIC);
    };
    found.at("common_lb_config", |found| {
        let cluster::cluster::CommonLbConfig {
            healthy_panic_threshold,
            update_merge_window,
            ignore_new_hosts_until_first_hc,
            close_connections_on_host_set_change,
            // Read with the algorithm that it is for.
            consistent_hashing_lb_config: _,
            override_host_status,
            locality_config_specifier,
        } = from;
        found.ignore_if([
            ("update_merge_window", set(&update_merge_window)),
            (
                "ignore_new_hosts_until_first_hc",
                ignore_new_hosts_until_first_hc,
            ),
            (
                "close_connections_on_host_set_change",
                close_connections_on_host_set_change,
            ),
            ("override_host_status", set(&override_host_status)),
        ]);
        match locality_config_specifier {
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => {
                found.unsupported::<()>("locality_weighted_lb_config");
            }
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
                found.ignore("zone_aware_lb_config");
            }
            None => {}
        }
        percent_or(
            healthy_panic_threshold,
            "healthy_panic_threshold",
            DEFAULT_PANIC,
            found,
        )
    })
}
