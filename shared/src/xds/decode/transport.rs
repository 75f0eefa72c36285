//! What happens to the bytes of a connection: TLS, and the PROXY protocol in
//! front of it.

use std::time::Duration;

use super::findings::{Findings, Read, set};
use super::tls;
use super::values::{holds, timeout, unpack};
use crate::ir::{DownstreamTls, HttpProtocol, ProxyProtocol, UpstreamProtocol, UpstreamTls};
use crate::xds::wire::{
    RAW_SOCKET, cluster_alpn, core, listener_alpn, pb, proxy_protocol_socket, raw_buffer,
    tls as messages,
};
use core::transport_socket::ConfigType;

/// TLS of a listener, and what it offers by ALPN.
pub(super) struct Downstream {
    pub(super) tls: DownstreamTls,
    alpn: Vec<String>,
}

impl Downstream {
    /// What is offered follows from the HTTP versions; notes a list that says
    /// otherwise.
    pub(super) fn check_alpn(&self, protocol: HttpProtocol, found: &mut Findings) {
        check_alpn(
            "transport_socket.typed_config",
            &self.alpn,
            &listener_alpn(protocol),
            found,
        );
    }
}

/// Of the connections of a cluster, and what TLS offers by ALPN.
#[derive(Default)]
pub(super) struct Upstream {
    pub(super) tls: Option<UpstreamTls>,
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    alpn: Vec<String>,
}

impl Upstream {
    /// As [`Downstream::check_alpn`].
    pub(super) fn check_alpn(&self, version: UpstreamProtocol, found: &mut Findings) {
        let field = if self.proxy_protocol.is_some() {
            "transport_socket.typed_config.transport_socket.typed_config"
        } else {
            "transport_socket.typed_config"
        };
        check_alpn(field, &self.alpn, &cluster_alpn(version), found);
    }
}

/// Reads what a listener does to the bytes. `optional_names` as in
/// [`crate::xds::extras::ListenerExtras`].
pub(super) fn downstream(
    from: Option<core::TransportSocket>,
    handshake: Option<pb::Duration>,
    optional_names: bool,
    found: &mut Findings,
) -> Read<Option<Downstream>> {
    const HANDSHAKE: &str = "transport_socket_connect_timeout";

    let Some(config) = found.at("transport_socket", |found| content(from, found))? else {
        found.ignore_if([(HANDSHAKE, set(&handshake))]);
        return Some(None);
    };
    if !holds::<messages::DownstreamTlsContext>(&config) {
        return found.unsupported("transport_socket");
    }
    let handshake_timeout = timeout(handshake, HANDSHAKE, Duration::ZERO, found);
    let (mut tls, alpn) = found.at("transport_socket.typed_config", |found| {
        tls::downstream(&config, optional_names, found)
    })?;
    tls.handshake_timeout = handshake_timeout?;
    Some(Some(Downstream { tls, alpn }))
}

/// Reads what a cluster does to the bytes.
pub(super) fn upstream(
    from: Option<core::TransportSocket>,
    found: &mut Findings,
) -> Option<Upstream> {
    found.at("transport_socket", |found| {
        let Some(config) = content(from, found)? else {
            return Some(Upstream::default());
        };
        if !holds::<proxy_protocol_socket::ProxyProtocolUpstreamTransport>(&config) {
            return upstream_tls(&config, found);
        }
        found.at("typed_config", |found| {
            proxied(unpack(&config, found)?, found)
        })
    })
}

fn upstream_tls(config: &pb::Any, found: &mut Findings) -> Option<Upstream> {
    if !holds::<messages::UpstreamTlsContext>(config) {
        return found.unsupported("");
    }
    let (tls, alpn) = found.at("typed_config", |found| tls::upstream(config, found))?;
    Some(Upstream {
        tls: Some(tls),
        proxy_protocol: None,
        alpn,
    })
}

fn proxied(
    from: proxy_protocol_socket::ProxyProtocolUpstreamTransport,
    found: &mut Findings,
) -> Option<Upstream> {
    let proxy_protocol_socket::ProxyProtocolUpstreamTransport {
        config,
        transport_socket,
        allow_unspecified_address,
        // Tells connections apart by TLVs, and none are passed on.
        tlv_as_pool_key: _,
    } = from;
    found.ignore_if([("allow_unspecified_address", allow_unspecified_address)]);
    let version = found.at("config", |found| header(config.unwrap_or_default(), found));
    let inner = found.at("transport_socket", |found| match transport_socket {
        None => found.fault("", "is missing"),
        some => match content(some, found)? {
            Some(config) => upstream_tls(&config, found),
            None => Some(Upstream::default()),
        },
    });
    Some(Upstream {
        proxy_protocol: Some(version?),
        ..inner?
    })
}

fn header(from: core::ProxyProtocolConfig, found: &mut Findings) -> Option<ProxyProtocol> {
    use core::proxy_protocol_config::Version;

    let core::ProxyProtocolConfig {
        version,
        pass_through_tlvs,
        added_tlvs,
    } = from;
    found.unsupported_if([
        ("pass_through_tlvs", set(&pass_through_tlvs)),
        ("added_tlvs", set(&added_tlvs)),
    ]);
    match Version::try_from(version) {
        Ok(Version::V1) => Some(ProxyProtocol::V1),
        Ok(Version::V2) => Some(ProxyProtocol::V2),
        Err(_) => found.invalid("version", version, "must be a known version"),
    }
}

/// What a socket does; nothing if it leaves the bytes as they are.
fn content(from: Option<core::TransportSocket>, found: &mut Findings) -> Read<Option<pb::Any>> {
    let Some(core::TransportSocket { name, config_type }) = from else {
        return Some(None);
    };
    match config_type {
        Some(ConfigType::TypedConfig(config)) if holds::<raw_buffer::RawBuffer>(&config) => {
            Some(None)
        }
        Some(ConfigType::TypedConfig(config)) => Some(Some(config)),
        None if name == RAW_SOCKET => Some(None),
        None => found.unsupported(""),
    }
}

fn check_alpn(field: &str, said: &[String], offered: &[String], found: &mut Findings) {
    let differs = !said.is_empty() && said != offered;
    found.at(field, |found| {
        found.ignore_if([("common_tls_context.alpn_protocols", differs)]);
    });
}
