//! Small resources and messages with TLS to start from.

use std::time::Duration;

use envoy_types::util::pack_any;
use prost::{Message, Name};

use super::samples::{cluster, listener};
use crate::ir::*;
use crate::secret::SecretBytes;
use crate::xds::wire::{cluster as cds, core, listener as lds, tls};
use crate::xds::{Resource, encode};
use core::data_source::Specifier;
use core::transport_socket::ConfigType;

pub(super) fn secure_listener() -> Listener {
    Listener {
        tls: Some(DownstreamTls {
            certificates: vec![
                CertificateRef::Secret("shop".into()),
                CertificateRef::Secret("admin".into()),
            ],
            min_version: TlsVersion::Tls12,
            clients: Some(ClientVerification {
                trust: TrustRef::Secret("clients".into()),
                required: true,
                names: vec![AltName::Uri(StringMatch::Prefix(
                    "spiffe://shop/".to_owned(),
                ))],
            }),
            handshake_timeout: Some(Duration::from_secs(10)),
        }),
        proxy_protocol_from: vec!["10.0.0.0/8".parse().unwrap()],
        trusted_addresses: vec!["192.0.2.1/32".parse().unwrap()],
        ..listener()
    }
}

pub(super) fn secure_cluster() -> Cluster {
    Cluster {
        tls: Some(UpstreamTls {
            server_name: Some("api.example.com".to_owned()),
            verification: Some(ServerVerification {
                trust: TrustRef::File("/etc/ssl/ca.pem".to_owned()),
                names: vec![AltName::Dns(StringMatch::Exact(
                    "api.example.com".to_owned(),
                ))],
            }),
            certificate: Some(CertificateRef::Secret("proxy".into())),
            min_version: TlsVersion::Tls13,
        }),
        proxy_protocol: Some(ProxyProtocol::V2),
        ..cluster()
    }
}

pub(super) fn certificate_secret() -> Secret {
    Secret {
        name: "shop".into(),
        content: SecretContent::Certificate(CertificateSource {
            chain: DataSource::File("/etc/shop.crt".to_owned()),
            key: DataSource::Inline(SecretBytes::new(b"key".to_vec())),
        }),
    }
}

pub(super) fn trust_secret() -> Secret {
    Secret {
        name: "clients".into(),
        content: SecretContent::Trust(TrustSource {
            certificates: DataSource::Inline(SecretBytes::new(b"authorities".to_vec())),
            revocations: Some(DataSource::File("/etc/revoked.pem".to_owned())),
        }),
    }
}

pub(super) fn message<M: Message + Default>(resource: &Resource) -> M {
    M::decode(encode(resource).value.as_slice()).unwrap()
}

/// What a socket holds.
pub(super) fn open<M: Message + Default>(socket: &core::TransportSocket) -> M {
    let Some(ConfigType::TypedConfig(config)) = &socket.config_type else {
        panic!("an empty socket");
    };
    M::decode(config.value.as_slice()).unwrap()
}

pub(super) fn socket<M: Message + Name>(config: M) -> core::TransportSocket {
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(config))),
    }
}

/// The secure listener with a context that was changed.
pub(super) fn downstream_with(
    change: impl FnOnce(&mut tls::DownstreamTlsContext),
) -> lds::Listener {
    let mut listener: lds::Listener = message(&Resource::Listener(secure_listener()));
    let place = &mut listener.filter_chains[0].transport_socket;
    let mut context = open(place.as_ref().unwrap());
    change(&mut context);
    *place = Some(socket(context));
    listener
}

/// The secure cluster, without the PROXY protocol, with a context that was
/// changed.
pub(super) fn upstream_with(change: impl FnOnce(&mut tls::UpstreamTlsContext)) -> cds::Cluster {
    let plain = Cluster {
        proxy_protocol: None,
        ..secure_cluster()
    };
    let mut cluster: cds::Cluster = message(&Resource::Cluster(plain));
    let mut context = open(cluster.transport_socket.as_ref().unwrap());
    change(&mut context);
    cluster.transport_socket = Some(socket(context));
    cluster
}

pub(super) fn file(path: &str) -> core::DataSource {
    source(Specifier::Filename(path.to_owned()))
}

pub(super) fn inline(text: &str) -> core::DataSource {
    source(Specifier::InlineString(text.to_owned()))
}

pub(super) fn source(specifier: Specifier) -> core::DataSource {
    core::DataSource {
        watched_directory: None,
        specifier: Some(specifier),
    }
}
