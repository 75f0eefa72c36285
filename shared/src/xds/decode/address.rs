//! Addresses: IP and TCP port; a name only where it is looked up.

use std::net::{IpAddr, SocketAddr};

use super::findings::{Findings, set};
use crate::xds::wire::core;

/// Reads an address that stands at `address`.
pub(super) fn socket_address(
    from: Option<core::Address>,
    found: &mut Findings,
) -> Option<SocketAddr> {
    let (host, port) = name_parts(from, found)?;
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, port)),
        Err(_) => found.at("address.socket_address", |found| {
            found.invalid("address", &host, "must be an IP address")
        }),
    }
}

/// Reads host and port of an address that stands at `address`; what may be a
/// host is left to the caller.
pub(super) fn name_parts(
    from: Option<core::Address>,
    found: &mut Findings,
) -> Option<(String, u16)> {
    use core::address::Address;

    match from.and_then(|from| from.address) {
        Some(Address::SocketAddress(socket)) => found.at("address.socket_address", |found| {
            socket_parts(socket, found)
        }),
        Some(Address::Pipe(_)) => found.unsupported("address.pipe"),
        Some(Address::EnvoyInternalAddress(_)) => {
            found.unsupported("address.envoy_internal_address")
        }
        None => found.fault("address", "is missing"),
    }
}

fn socket_parts(from: core::SocketAddress, found: &mut Findings) -> Option<(String, u16)> {
    use core::socket_address::{PortSpecifier, Protocol};

    let core::SocketAddress {
        protocol,
        address,
        resolver_name,
        ipv4_compat,
        network_namespace_filepath,
        port_specifier,
    } = from;
    found.unsupported_if([
        ("protocol", protocol != i32::from(Protocol::Tcp)),
        ("resolver_name", set(&resolver_name)),
        (
            "network_namespace_filepath",
            set(&network_namespace_filepath),
        ),
    ]);
    found.ignore_if([("ipv4_compat", ipv4_compat)]);
    let port = match port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(port)
            .ok()
            .or_else(|| found.invalid("port_value", port, "must be at most 65535")),
        Some(PortSpecifier::NamedPort(_)) => found.unsupported("named_port"),
        None => found.fault("port_value", "is missing"),
    };
    Some((address, port?))
}
