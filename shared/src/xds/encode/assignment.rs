//! `ClusterLoadAssignment`.

use std::collections::BTreeMap;

use super::values::{address, number};
use crate::ir;
use crate::xds::wire::{core, endpoint};

/// Writes an assignment, its endpoints grouped by locality.
pub(in crate::xds) fn assignment(from: &ir::Assignment) -> endpoint::ClusterLoadAssignment {
    let mut groups: BTreeMap<&ir::Locality, Vec<&ir::Endpoint>> = BTreeMap::new();
    for endpoint in &from.endpoints {
        groups.entry(&endpoint.locality).or_default().push(endpoint);
    }
    let total: u64 = from.endpoints.iter().map(|e| u64::from(e.weight)).sum();
    let by_share = u32::try_from(total).is_ok();
    endpoint::ClusterLoadAssignment {
        cluster_name: from.name.as_str().to_owned(),
        endpoints: groups
            .into_iter()
            .map(|(place, members)| locality(place, &members, by_share))
            .collect(),
        ..endpoint::ClusterLoadAssignment::default()
    }
}

/// gRPC leaves out localities without a weight, and shares requests among them
/// by it; the sum of the endpoints' weights gives each endpoint its own share.
fn locality(
    place: &ir::Locality,
    members: &[&ir::Endpoint],
    by_share: bool,
) -> endpoint::LocalityLbEndpoints {
    let weight = if by_share {
        members
            .iter()
            .fold(0_u32, |sum, member| sum.saturating_add(member.weight))
    } else {
        1
    };
    endpoint::LocalityLbEndpoints {
        locality: Some(core::Locality {
            region: place.region.clone(),
            zone: place.zone.clone(),
            sub_zone: place.sub_zone.clone(),
        }),
        lb_endpoints: members.iter().map(|member| lb_endpoint(member)).collect(),
        load_balancing_weight: number(weight.max(1)),
        priority: 0,
        ..endpoint::LocalityLbEndpoints::default()
    }
}

fn lb_endpoint(from: &ir::Endpoint) -> endpoint::LbEndpoint {
    let health = match from.health {
        ir::Health::Healthy => core::HealthStatus::Healthy,
        ir::Health::Unhealthy => core::HealthStatus::Unhealthy,
        ir::Health::Draining => core::HealthStatus::Draining,
    };
    endpoint::LbEndpoint {
        health_status: health.into(),
        load_balancing_weight: number(from.weight),
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint {
                address: address(from.address),
                ..endpoint::Endpoint::default()
            },
        )),
        ..endpoint::LbEndpoint::default()
    }
}
