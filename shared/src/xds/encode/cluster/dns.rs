//! Clusters whose endpoints are looked up.

use crate::ir;
use crate::xds::encode::values::number;
use crate::xds::wire::{cluster, core, endpoint};

/// The name in the place of an address, in one locality.
pub(super) fn assignment(cluster: &str, target: &ir::DnsTarget) -> endpoint::ClusterLoadAssignment {
    use core::socket_address::{PortSpecifier, Protocol};
    use endpoint::lb_endpoint::HostIdentifier;

    let socket = core::SocketAddress {
        protocol: Protocol::Tcp.into(),
        address: target.host.clone(),
        port_specifier: Some(PortSpecifier::PortValue(target.port.into())),
        ..core::SocketAddress::default()
    };
    let address = core::Address {
        address: Some(core::address::Address::SocketAddress(socket)),
    };
    let member = endpoint::LbEndpoint {
        load_balancing_weight: number(1),
        host_identifier: Some(HostIdentifier::Endpoint(endpoint::Endpoint {
            address: Some(address),
            ..endpoint::Endpoint::default()
        })),
        ..endpoint::LbEndpoint::default()
    };
    endpoint::ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: vec![endpoint::LocalityLbEndpoints {
            locality: Some(core::Locality::default()),
            lb_endpoints: vec![member],
            load_balancing_weight: number(1),
            ..endpoint::LocalityLbEndpoints::default()
        }],
        ..endpoint::ClusterLoadAssignment::default()
    }
}

/// Which addresses count, always said: Envoy's own choice is one family.
pub(super) fn family(family: ir::DnsFamily) -> cluster::cluster::DnsLookupFamily {
    use cluster::cluster::DnsLookupFamily;

    match family {
        ir::DnsFamily::All => DnsLookupFamily::All,
        ir::DnsFamily::V4 => DnsLookupFamily::V4Only,
        ir::DnsFamily::V6 => DnsLookupFamily::V6Only,
    }
}
