//! `Endpoints`, checked and complete.

use std::net::SocketAddr;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;

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
            "must be an IP address and a port, such as 127.0.0.1:9001; names are not looked up"
        }
    };
    faults.add("address", format!("invalid value {text:?}: {rule}"));
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
