//! How TLS, secrets and the PROXY protocol are written, for an Envoy.

use prost::Message as _;

use super::samples::*;
use super::tls_samples::*;
use crate::ir::*;
use crate::xds::wire::{cluster as cds, core, hcm, listener as lds, proxy_protocol_socket, tls};
use crate::xds::{Resource, version};

fn manager_of(listener: &Listener) -> hcm::HttpConnectionManager {
    let message: lds::Listener = message(&Resource::Listener(listener.clone()));
    let filter = &message.filter_chains[0].filters[0];
    let Some(lds::filter::ConfigType::TypedConfig(config)) = &filter.config_type else {
        panic!("no connection manager");
    };
    hcm::HttpConnectionManager::decode(config.value.as_slice()).unwrap()
}

#[test]
fn tls_of_a_listener_is_written_whole() {
    let message: lds::Listener = message(&Resource::Listener(secure_listener()));
    let socket = message.filter_chains[0].transport_socket.as_ref().unwrap();
    assert_eq!(socket.name, "envoy.transport_sockets.tls");
    insta::assert_debug_snapshot!(open::<tls::DownstreamTlsContext>(socket));
    let timeout = message.filter_chains[0].transport_socket_connect_timeout;
    assert_eq!(timeout.unwrap().seconds, 10);
}

#[test]
fn tls_of_a_cluster_is_written_whole_behind_its_header() {
    let message: cds::Cluster = message(&Resource::Cluster(secure_cluster()));
    let outer = message.transport_socket.unwrap();
    assert_eq!(
        outer.name,
        "envoy.transport_sockets.upstream_proxy_protocol"
    );
    let proxied = open::<proxy_protocol_socket::ProxyProtocolUpstreamTransport>(&outer);
    assert_eq!(proxied.config.unwrap().version, 1);
    let inner = proxied.transport_socket.unwrap();
    assert_eq!(inner.name, "envoy.transport_sockets.tls");
    insta::assert_debug_snapshot!(open::<tls::UpstreamTlsContext>(&inner));
}

#[test]
fn what_is_not_verified_has_no_context() {
    let mut cluster = secure_cluster();
    cluster.proxy_protocol = None;
    cluster.tls.as_mut().unwrap().verification = None;
    let message: cds::Cluster = message(&Resource::Cluster(cluster));
    let context: tls::UpstreamTlsContext = open(message.transport_socket.as_ref().unwrap());
    let common = context.common_tls_context.unwrap();
    assert_eq!(common.validation_context_type, None);
}

#[test]
fn what_is_offered_follows_from_the_versions_of_http() {
    for (protocol, expected) in [
        (HttpProtocol::Auto, vec!["h2", "http/1.1"]),
        (HttpProtocol::Http1, vec!["http/1.1"]),
        (HttpProtocol::Http2, vec!["h2"]),
    ] {
        let listener = Listener {
            protocol,
            ..secure_listener()
        };
        let message: lds::Listener = message(&Resource::Listener(listener));
        let socket = message.filter_chains[0].transport_socket.as_ref().unwrap();
        let context: tls::DownstreamTlsContext = open(socket);
        assert_eq!(context.common_tls_context.unwrap().alpn_protocols, expected);
    }
}

#[test]
fn endpoints_are_told_who_a_verified_client_is() {
    let manager = manager_of(&secure_listener());
    assert_eq!(manager.forward_client_cert_details, 3);
    let details = manager.set_current_client_cert_details.unwrap();
    assert!(details.uri && details.dns && details.subject.unwrap().value);
    assert_eq!(manager_of(&listener()).forward_client_cert_details, 0);
}

#[test]
fn secrets_are_written_whole_and_versions_follow_their_content() {
    let secrets = [certificate_secret(), trust_secret()];
    let messages: Vec<tls::Secret> = secrets
        .iter()
        .map(|secret| message(&Resource::Secret(secret.clone())))
        .collect();
    insta::assert_debug_snapshot!(messages);
    let [first, second] = secrets.map(|secret| version(&Resource::Secret(secret)));
    assert_eq!(first.len(), 16);
    assert_ne!(first, second);
}

#[test]
fn files_come_without_a_stream() {
    let mut listener = secure_listener();
    listener.tls.as_mut().unwrap().certificates = vec![CertificateRef::Files {
        chain: "/a".to_owned(),
        key: "/b".to_owned(),
    }];
    let message: lds::Listener = message(&Resource::Listener(listener));
    let socket = message.filter_chains[0].transport_socket.as_ref().unwrap();
    let context: tls::DownstreamTlsContext = open(socket);
    let common = context.common_tls_context.unwrap();
    assert!(common.tls_certificate_sds_secret_configs.is_empty());
    let filename = |path: &str| {
        Some(core::DataSource {
            watched_directory: None,
            specifier: Some(core::data_source::Specifier::Filename(path.to_owned())),
        })
    };
    assert_eq!(common.tls_certificates[0].certificate_chain, filename("/a"));
    assert_eq!(common.tls_certificates[0].private_key, filename("/b"));
}
