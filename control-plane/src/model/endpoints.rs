//! `Endpoints`, checked and complete, and names that stand for them.

use std::net::{IpAddr, SocketAddr};

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::units::format_duration;

use super::fields;

/// Reads a list of endpoints, whose paths begin at `path`; the result is
/// ordered by address.
pub(super) fn from_proto(
    endpoints: &[v1::Endpoint],
    path: &str,
    faults: &mut Faults,
) -> Vec<ir::Endpoint> {
    let mut read: Vec<ir::Endpoint> = Vec::with_capacity(endpoints.len());
    let mut seen = std::collections::BTreeSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let Some(endpoint) = fields::within(faults, &at, |faults| read_endpoint(endpoint, faults))
        else {
            continue;
        };
        if !seen.insert(endpoint.address) {
            faults.add(
                format!("{at}.address"),
                format!(
                    "invalid value {:?}: is given twice",
                    endpoint.address.to_string()
                ),
            );
        }
        read.push(endpoint);
    }
    read.sort_by_key(|endpoint| endpoint.address);
    read
}

fn read_endpoint(endpoint: &v1::Endpoint, faults: &mut Faults) -> Option<ir::Endpoint> {
    let v1::Endpoint {
        address,
        weight,
        health,
    } = endpoint;
    let address = read_address(address, faults);
    let weight = fields::range(weight.unwrap_or(1), 1..=1000, "weight", faults);
    let health = read_health(*health, faults);
    Some(ir::Endpoint {
        address: address?,
        weight,
        health: health?,
        locality: ir::Locality::default(),
    })
}

fn read_address(text: &str, faults: &mut Faults) -> Option<SocketAddr> {
    if text.is_empty() {
        faults.add("address", "required");
        return None;
    }
    let rule = match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => "the port must not be 0",
        Ok(address) if address.ip().is_unspecified() => "must be an address that can be reached",
        Ok(address) => return Some(address),
        Err(_) => {
            "must be an IP address and a port, such as 127.0.0.1:9001; a name belongs into `dns` of a `Cluster`"
        }
    };
    faults.add("address", format!("invalid value {text:?}: {rule}"));
    None
}

/// Reads a name that proxies look up.
pub(super) fn dns(proto: &v1::DnsEndpoints, faults: &mut Faults) -> Option<ir::DnsTarget> {
    let v1::DnsEndpoints {
        host,
        port,
        refresh,
    } = proto;
    let host = read_host(host, faults);
    let port = u16::try_from(*port).ok().filter(|port| *port > 0);
    if port.is_none() {
        let reason = if proto.port == 0 {
            "required: 1 to 65535".to_owned()
        } else {
            format!("invalid value {}: must be between 1 and 65535", proto.port)
        };
        faults.add("port", reason);
    }
    let refresh = match refresh {
        None => ir::DnsTarget::DEFAULT_REFRESH,
        Some(refresh) => fields::positive(Some(*refresh), "refresh", faults),
    };
    // Zero is another fault, and noted.
    if !refresh.is_zero() && refresh < ir::DnsTarget::MIN_REFRESH {
        let least = format_duration(ir::DnsTarget::MIN_REFRESH);
        let value = format_duration(refresh);
        faults.add(
            "refresh",
            format!("invalid value {value}: must be at least {least}"),
        );
    }
    Some(ir::DnsTarget {
        host: host?,
        port: port?,
        refresh,
        // Container networks let an answer live for minutes while their members
        // change.
        respect_ttl: false,
        family: ir::DnsFamily::All,
    })
}

/// A name in lower case; a dot at its end keeps search domains away.
fn read_host(text: &str, faults: &mut Faults) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let rule = if text.is_empty() {
        faults.add("host", "required");
        return None;
    } else if text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        "is an address, which is not looked up: use `static`"
    } else if name.contains(':') {
        "must be a host name; the port stands in `port`"
    } else if fields::is_hostname(name) {
        return Some(text.to_ascii_lowercase());
    } else {
        "must be a host name"
    };
    faults.add("host", format!("invalid value {text:?}: {rule}"));
    None
}

fn read_health(health: i32, faults: &mut Faults) -> Option<ir::Health> {
    match v1::EndpointHealth::try_from(health) {
        Ok(v1::EndpointHealth::Unspecified | v1::EndpointHealth::Healthy) => {
            Some(ir::Health::Healthy)
        }
        Ok(v1::EndpointHealth::Unhealthy) => Some(ir::Health::Unhealthy),
        Ok(v1::EndpointHealth::Draining) => Some(ir::Health::Draining),
        Err(_) => {
            faults.add(
                "health",
                format!("invalid value {health}: must be HEALTHY, UNHEALTHY or DRAINING"),
            );
            None
        }
    }
}
