//! Clusters whose endpoints are looked up.

use std::net::IpAddr;

use crate::ir;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::values::duration_or;
use crate::xds::decode::{address, assignment};
use crate::xds::wire::{cluster, endpoint, pb};
use cluster::cluster::DnsLookupFamily;

/// How a cluster wants its name to be looked up.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) refresh: Option<pb::Duration>,
    pub(super) respect_ttl: bool,
    pub(super) family: i32,
}

impl Settings {
    /// They have no effect on a cluster of another type.
    pub(super) fn ignore(&self, found: &mut Findings) {
        found.ignore_if([
            ("dns_refresh_rate", set(&self.refresh)),
            ("respect_dns_ttl", self.respect_ttl),
            ("dns_lookup_family", set(&self.family)),
        ]);
    }
}

/// Reads the name and how it is looked up.
pub(super) fn target(
    from: endpoint::ClusterLoadAssignment,
    settings: Settings,
    found: &mut Findings,
) -> Option<ir::DnsTarget> {
    let place = found.at("load_assignment", |found| only_endpoint(from, found));
    let field = "dns_refresh_rate";
    let default = ir::DnsTarget::DEFAULT_REFRESH;
    let refresh = duration_or(settings.refresh, field, default, found)
        .filter(|refresh| *refresh >= ir::DnsTarget::MIN_REFRESH)
        .or_else(|| found.fault(field, "must be at least 500ms"));
    let family = family(settings.family, found);
    let (host, port) = place?;
    Some(ir::DnsTarget {
        host,
        port,
        refresh: refresh?,
        respect_ttl: settings.respect_ttl,
        family: family?,
    })
}

fn family(from: i32, found: &mut Findings) -> Option<ir::DnsFamily> {
    let field = "dns_lookup_family";
    match DnsLookupFamily::try_from(from) {
        // What stands there when nothing is said prefers IPv6.
        Ok(DnsLookupFamily::All | DnsLookupFamily::Auto) => Some(ir::DnsFamily::All),
        Ok(DnsLookupFamily::V4Only) => Some(ir::DnsFamily::V4),
        Ok(DnsLookupFamily::V6Only) => Some(ir::DnsFamily::V6),
        Ok(DnsLookupFamily::V4Preferred) => {
            found.ignore(field);
            Some(ir::DnsFamily::All)
        }
        Err(_) => found.invalid(field, from, "must be a known family"),
    }
}

/// The only endpoint: one name, one port.
fn only_endpoint(
    from: endpoint::ClusterLoadAssignment,
    found: &mut Findings,
) -> Option<(String, u16)> {
    let endpoint::ClusterLoadAssignment {
        cluster_name: _,
        endpoints,
        named_endpoints,
        policy,
    } = from;
    found.unsupported_if([("named_endpoints", set(&named_endpoints))]);
    if let Some(policy) = policy {
        found.at("policy", |found| assignment::check_policy(policy, found));
    }
    let count: usize = endpoints.iter().map(|group| group.lb_endpoints.len()).sum();
    if count != 1 {
        let rule = "must hold exactly one endpoint, as evenkeel looks up one name for a cluster";
        return found.fault("endpoints", rule);
    }
    let groups = found.each("endpoints", endpoints, |group, found| {
        let endpoint::LocalityLbEndpoints {
            // Says where the only endpoint stands; there is no choice by it.
            locality: _,
            metadata: _,
            lb_endpoints,
            load_balancing_weight: _,
            priority,
            proximity,
            lb_config,
        } = group;
        found.unsupported_if([
            ("priority", priority > 0),
            ("lb_config", lb_config.is_some()),
        ]);
        found.ignore_if([("proximity", proximity.is_some())]);
        found.each("lb_endpoints", lb_endpoints, name_and_port)
    })?;
    groups.into_iter().flatten().next()
}

fn name_and_port(from: endpoint::LbEndpoint, found: &mut Findings) -> Option<(String, u16)> {
    let endpoint::LbEndpoint {
        health_status,
        metadata: _,
        // There is nothing to be weighed against.
        load_balancing_weight: _,
        host_identifier,
    } = from;
    if !matches!(
        assignment::health(health_status, found)?,
        ir::Health::Healthy
    ) {
        let rule = "must be HEALTHY or UNKNOWN, as it is said of all addresses of a name";
        found.invalid::<()>("health_status", health_status, rule);
    }
    let address = assignment::address_of(host_identifier, found)?;
    let (host, port) = found.at("endpoint", |found| address::name_parts(address, found))?;
    found.at("endpoint.address.socket_address", |found| {
        if host.parse::<IpAddr>().is_ok() {
            return found.invalid(
                "address",
                &host,
                "must be a host name; addresses are STATIC",
            );
        }
        if !is_name(&host) {
            return found.invalid("address", &host, "must be a host name");
        }
        if port == 0 {
            return found.invalid("port_value", port, "must be at least 1");
        }
        Some((host.to_ascii_lowercase(), port))
    })
}

/// Labels of 1 to 63 printable characters; what more is demanded of them is a
/// matter of the servers.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic())
    };
    name.len() <= 253 && name.split('.').all(label)
}
