//! What happens to the bytes of a connection: TLS, and the PROXY protocol in
//! front of it.

use envoy_types::util::pack_any;
use prost::{Message, Name};

use super::tls;
use crate::ir;
use crate::xds::wire::{
    PROXY_PROTOCOL_SOCKET, RAW_SOCKET, TLS_SOCKET, core, proxy_protocol_socket, raw_buffer,
};

/// Of the connections of a listener; nothing in the clear.
pub(super) fn listener(from: &ir::Listener) -> Option<core::TransportSocket> {
    let tls = from.tls.as_ref()?;
    Some(socket(TLS_SOCKET, tls::downstream(tls, from.protocol)))
}

/// Of the connections of a cluster; nothing in the clear.
pub(super) fn cluster(from: &ir::Cluster) -> Option<core::TransportSocket> {
    let inner = from
        .tls
        .as_ref()
        .map(|tls| socket(TLS_SOCKET, tls::upstream(tls, from.protocol)));
    let Some(version) = from.proxy_protocol else {
        return inner;
    };
    let raw = || socket(RAW_SOCKET, raw_buffer::RawBuffer {});
    let outer = proxy_protocol_socket::ProxyProtocolUpstreamTransport {
        config: Some(core::ProxyProtocolConfig {
            version: proxy_protocol_version(version).into(),
            ..core::ProxyProtocolConfig::default()
        }),
        transport_socket: Some(inner.unwrap_or_else(raw)),
        ..proxy_protocol_socket::ProxyProtocolUpstreamTransport::default()
    };
    Some(socket(PROXY_PROTOCOL_SOCKET, outer))
}

fn proxy_protocol_version(from: ir::ProxyProtocol) -> core::proxy_protocol_config::Version {
    match from {
        ir::ProxyProtocol::V1 => core::proxy_protocol_config::Version::V1,
        ir::ProxyProtocol::V2 => core::proxy_protocol_config::Version::V2,
    }
}

fn socket<T: Name + Message>(name: &str, config: T) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(pack_any(
            config,
        ))),
    }
}
