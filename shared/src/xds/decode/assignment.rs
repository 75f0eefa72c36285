//! `ClusterLoadAssignment`.

use std::collections::BTreeSet;

use super::address::socket_address;
use super::findings::{Findings, Read, set};
use super::text;
use super::values::number_or;
use crate::ir;
use crate::names::AssignmentName;
use crate::xds::wire::{core, endpoint};

/// Reads an assignment.
pub(in crate::xds) fn assignment(
    from: endpoint::ClusterLoadAssignment,
    found: &mut Findings,
) -> Option<ir::Assignment> {
    let endpoint::ClusterLoadAssignment {
        cluster_name,
        endpoints,
        named_endpoints,
        policy,
    } = from;
    let name = text::name(cluster_name, "cluster_name", found);
    found.unsupported_if([("named_endpoints", set(&named_endpoints))]);
    if let Some(policy) = policy {
        found.at("policy", |found| check_policy(policy, found));
    }
    let groups = found.each("endpoints", endpoints, locality)?;
    let mut endpoints: Vec<ir::Endpoint> = groups.into_iter().flatten().collect();
    endpoints.sort_by_key(|endpoint| endpoint.address);
    check_together(&endpoints, found);
    Some(ir::Assignment {
        name: AssignmentName::new(name?),
        endpoints,
    })
}

fn check_together(endpoints: &[ir::Endpoint], found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for endpoint in endpoints {
        if !seen.insert(endpoint.address) {
            let address = endpoint.address.to_string();
            found.invalid::<()>("endpoints", address, "must not stand there twice");
        }
    }
    let total: u64 = endpoints.iter().map(|e| u64::from(e.weight)).sum();
    if u32::try_from(total).is_err() {
        let reason = "the sum of load_balancing_weight must be at most 4294967295";
        found.fault::<()>("endpoints", reason);
    }
}

pub(super) fn check_policy(from: endpoint::cluster_load_assignment::Policy, found: &mut Findings) {
    let endpoint::cluster_load_assignment::Policy {
        drop_overloads,
        overprovisioning_factor,
        endpoint_stale_after,
        weighted_priority_health,
    } = from;
    let drops = drop_overloads.iter().any(|drop| {
        drop.drop_percentage
            .is_some_and(|share| share.numerator > 0)
    });
    found.unsupported_if([("drop_overloads", drops)]);
    found.ignore_if([
        ("overprovisioning_factor", set(&overprovisioning_factor)),
        ("endpoint_stale_after", set(&endpoint_stale_after)),
        ("weighted_priority_health", weighted_priority_health),
    ]);
}

fn locality(
    from: endpoint::LocalityLbEndpoints,
    found: &mut Findings,
) -> Option<Vec<ir::Endpoint>> {
    let endpoint::LocalityLbEndpoints {
        locality,
        metadata: _,
        lb_endpoints,
        // Has an effect only if the cluster asks for localities by weight,
        // which is refused there.
        load_balancing_weight: _,
        priority,
        proximity,
        lb_config,
    } = from;
    found.unsupported_if([
        ("priority", priority > 0),
        ("lb_config", lb_config.is_some()),
    ]);
    found.ignore_if([("proximity", proximity.is_some())]);
    let core::Locality {
        region,
        zone,
        sub_zone,
    } = locality.unwrap_or_default();
    let place = ir::Locality {
        region,
        zone,
        sub_zone,
    };
    found.each("lb_endpoints", lb_endpoints, |from, found| {
        lb_endpoint(from, place.clone(), found)
    })
}

fn lb_endpoint(
    from: endpoint::LbEndpoint,
    locality: ir::Locality,
    found: &mut Findings,
) -> Option<ir::Endpoint> {
    let endpoint::LbEndpoint {
        health_status,
        metadata: _,
        load_balancing_weight,
        host_identifier,
    } = from;
    let health = health(health_status, found);
    let weight = number_or(load_balancing_weight, 1);
    if weight == 0 {
        found.invalid::<()>("load_balancing_weight", weight, "must be at least 1");
    }
    let address = address_of(host_identifier, found)?;
    let address = found.at("endpoint", |found| socket_address(address, found))?;
    if address.port() == 0 {
        let field = "endpoint.address.socket_address.port_value";
        return found.invalid(field, 0, "must be at least 1");
    }
    Some(ir::Endpoint {
        address,
        weight,
        health: health?,
        locality,
    })
}

pub(super) fn health(from: i32, found: &mut Findings) -> Option<ir::Health> {
    use core::HealthStatus;

    match HealthStatus::try_from(from) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) => Some(ir::Health::Healthy),
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => Some(ir::Health::Unhealthy),
        Ok(HealthStatus::Draining) => Some(ir::Health::Draining),
        Ok(HealthStatus::Degraded) => {
            found.ignore("health_status");
            Some(ir::Health::Healthy)
        }
        Err(_) => found.invalid("health_status", from, "must be a known status"),
    }
}

/// The address of an endpoint, not yet read.
pub(super) fn address_of(
    from: Option<endpoint::lb_endpoint::HostIdentifier>,
    found: &mut Findings,
) -> Read<Option<core::Address>> {
    use endpoint::lb_endpoint::HostIdentifier;

    let endpoint::Endpoint {
        address,
        health_check_config,
        hostname,
        additional_addresses,
        observability_name: _,
    } = match from {
        Some(HostIdentifier::Endpoint(endpoint)) => endpoint,
        Some(HostIdentifier::EndpointName(_)) => return found.unsupported("endpoint_name"),
        None => return found.fault("endpoint", "is missing"),
    };
    found.ignore_if([
        ("endpoint.health_check_config", set(&health_check_config)),
        ("endpoint.hostname", set(&hostname)),
        ("endpoint.additional_addresses", set(&additional_addresses)),
    ]);
    Some(address)
}
