//! What other control planes send of TLS, secrets and the PROXY protocol.

use envoy_types::pb::google::protobuf as pb;
use envoy_types::util::pack_any;
use prost::{Message, Name};

use super::samples::*;
use super::tls_samples::*;
use crate::ir::*;
use crate::xds::Resource;
use crate::xds::wire::{
    cluster as cds, core, listener as lds, matcher, proxy_protocol_filter, proxy_protocol_socket,
    raw_buffer, tls,
};
use tls::common_tls_context::ValidationContextType;

fn listener_of<M: Message + Name>(message: &M) -> Listener {
    match accepted(message).resource {
        Resource::Listener(listener) => listener,
        other => panic!("{other:?}"),
    }
}

fn cluster_of(message: &cds::Cluster) -> Cluster {
    match accepted(message).resource {
        Resource::Cluster(cluster) => cluster,
        other => panic!("{other:?}"),
    }
}

fn by_name(name: &str) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(core::ConfigSource {
            config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                core::AggregatedConfigSource {},
            )),
            ..core::ConfigSource::default()
        }),
    }
}

fn bare_downstream() -> tls::DownstreamTlsContext {
    tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![by_name("shop")],
            ..tls::CommonTlsContext::default()
        }),
        ..tls::DownstreamTlsContext::default()
    }
}

fn listener_with_socket(context: tls::DownstreamTlsContext) -> lds::Listener {
    let mut message = listener_message();
    message.filter_chains[0].transport_socket = Some(socket(context));
    message
}

fn cluster_with_socket(socket: core::TransportSocket) -> cds::Cluster {
    let mut message = cluster_message();
    message.transport_socket = Some(socket);
    message
}

#[test]
fn an_unset_field_of_tls_means_what_envoy_means() {
    let message = listener_with_socket(bare_downstream());
    assert_eq!(
        listener_of(&message).tls,
        Some(DownstreamTls {
            certificates: vec![CertificateRef::Secret("shop".into())],
            min_version: TlsVersion::Tls12,
            clients: None,
            handshake_timeout: None,
        })
    );
    assert_eq!(accepted(&message).ignored, Vec::<String>::new());
    let message = cluster_with_socket(socket(tls::UpstreamTlsContext::default()));
    assert_eq!(
        cluster_of(&message).tls,
        Some(UpstreamTls {
            server_name: None,
            verification: None,
            certificate: None,
            min_version: TlsVersion::Tls12,
        })
    );
}

#[test]
fn sockets_that_change_nothing_are_no_tls() {
    let raw = || socket(raw_buffer::RawBuffer {});
    assert_eq!(cluster_of(&cluster_with_socket(raw())).tls, None);
    let mut message = listener_message();
    message.filter_chains[0].transport_socket = Some(raw());
    assert_eq!(listener_of(&message).tls, None);
}

#[test]
fn names_make_certificates_required() {
    let secret = |required: Option<bool>, names: bool| {
        let mut context = bare_downstream();
        context.require_client_certificate = required.map(|value| pb::BoolValue { value });
        let san = tls::SubjectAltNameMatcher {
            san_type: 3,
            matcher: Some(matcher::StringMatcher {
                ignore_case: false,
                match_pattern: Some(matcher::string_matcher::MatchPattern::Exact("a".to_owned())),
            }),
            oid: String::new(),
        };
        context
            .common_tls_context
            .as_mut()
            .unwrap()
            .validation_context_type = Some(ValidationContextType::ValidationContext(
            tls::CertificateValidationContext {
                trusted_ca: Some(file("/etc/ca.pem")),
                match_typed_subject_alt_names: if names { vec![san] } else { Vec::new() },
                ..tls::CertificateValidationContext::default()
            },
        ));
        let message = listener_with_socket(context);
        listener_of(&message).tls.unwrap().clients.unwrap().required
    };
    assert!(!secret(None, false));
    assert!(!secret(Some(false), false));
    assert!(secret(Some(true), false));
    assert!(secret(Some(false), true));
}

#[test]
fn an_optional_certificate_with_a_name_is_ours_alone() {
    let mut listener = secure_listener();
    listener
        .tls
        .as_mut()
        .unwrap()
        .clients
        .as_mut()
        .unwrap()
        .required = false;
    let message: lds::Listener = message(&Resource::Listener(listener.clone()));
    assert_eq!(listener_of(&message), listener);
    let mut forgotten = message;
    forgotten.metadata = None;
    assert!(
        listener_of(&forgotten)
            .tls
            .unwrap()
            .clients
            .unwrap()
            .required
    );
}

#[test]
fn authorities_may_be_named_alone() {
    let message = downstream_with(|c| {
        c.common_tls_context
            .as_mut()
            .unwrap()
            .validation_context_type = Some(
            ValidationContextType::ValidationContextSdsSecretConfig(by_name("istio-ca")),
        );
    });
    let clients = listener_of(&message).tls.unwrap().clients.unwrap();
    assert_eq!(clients.trust, TrustRef::Secret("istio-ca".into()));
    assert_eq!(clients.names, Vec::new());
}

#[test]
fn what_verifies_nothing_is_no_verification() {
    let message = upstream_with(|c| {
        c.common_tls_context
            .as_mut()
            .unwrap()
            .validation_context_type = Some(ValidationContextType::ValidationContext(
            tls::CertificateValidationContext {
                trust_chain_verification: 1,
                ..tls::CertificateValidationContext::default()
            },
        ));
    });
    assert_eq!(cluster_of(&message).tls.unwrap().verification, None);
}

#[test]
fn a_name_may_be_derived_from_the_one_that_is_asked_for() {
    let message = upstream_with(|c| {
        c.sni = "db.example.com".to_owned();
        c.auto_sni_san_validation = true;
    });
    let names = cluster_of(&message)
        .tls
        .unwrap()
        .verification
        .unwrap()
        .names;
    let expected = AltName::Dns(StringMatch::Exact("db.example.com".to_owned()));
    assert_eq!(names, [expected]);
}

#[test]
fn dns_names_are_compared_without_heed_to_case() {
    let message = upstream_with(|c| {
        let common = c.common_tls_context.as_mut().unwrap();
        let Some(ValidationContextType::ValidationContext(context)) =
            &mut common.validation_context_type
        else {
            panic!("no validation context");
        };
        let san = &mut context.match_typed_subject_alt_names[0];
        san.matcher.as_mut().unwrap().ignore_case = true;
    });
    let names = cluster_of(&message)
        .tls
        .unwrap()
        .verification
        .unwrap()
        .names;
    let expected = AltName::Dns(StringMatch::Exact("api.example.com".to_owned()));
    assert_eq!(names, [expected]);
}

#[test]
fn what_only_tunes_tls_is_left_out_and_reported() {
    let message = downstream_with(|c| {
        c.prefer_client_ciphers = true;
        let common = c.common_tls_context.as_mut().unwrap();
        common.alpn_protocols = vec!["http/1.1".to_owned()];
        let params = common.tls_params.as_mut().unwrap();
        params.tls_minimum_protocol_version = 1;
        params.tls_maximum_protocol_version = 3;
        params.cipher_suites = vec!["AES".to_owned()];
    });
    let context = "filter_chains[0].transport_socket.typed_config";
    let expected = [
        "prefer_client_ciphers",
        "common_tls_context.tls_params.cipher_suites",
        "common_tls_context.tls_params.tls_minimum_protocol_version",
        "common_tls_context.tls_params.tls_maximum_protocol_version",
        "common_tls_context.alpn_protocols",
    ]
    .map(|field| format!("{context}.{field}"));
    assert_eq!(accepted(&message).ignored, expected);
    let tls = listener_of(&message).tls.unwrap();
    assert_eq!(tls.min_version, TlsVersion::Tls12);
}

#[test]
fn endpoints_are_told_of_verified_clients_all_the_same() {
    let mut message: lds::Listener = message(&Resource::Listener(secure_listener()));
    message.filter_chains[0].filters = listener_message().filter_chains.remove(0).filters;
    assert_eq!(
        accepted(&message).ignored,
        ["filter_chains[0].filters[0].typed_config.forward_client_cert_details"]
    );
}

#[test]
fn a_header_is_wanted_from_everywhere_unless_we_say_from_where() {
    let mut message = listener_message();
    message.listener_filters = vec![lds::ListenerFilter {
        name: "proxy".to_owned(),
        filter_disabled: None,
        config_type: Some(lds::listener_filter::ConfigType::TypedConfig(pack_any(
            proxy_protocol_filter::ProxyProtocol::default(),
        ))),
    }];
    let everywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
    assert_eq!(listener_of(&message).proxy_protocol_from, everywhere);
}

#[test]
fn a_proxy_protocol_header_goes_in_front_of_plain_connections() {
    let inner = |transport_socket| {
        socket(proxy_protocol_socket::ProxyProtocolUpstreamTransport {
            transport_socket,
            ..proxy_protocol_socket::ProxyProtocolUpstreamTransport::default()
        })
    };
    let raw = Some(socket(raw_buffer::RawBuffer {}));
    let cluster = cluster_of(&cluster_with_socket(inner(raw)));
    assert_eq!(cluster.proxy_protocol, Some(ProxyProtocol::V1));
    assert_eq!(cluster.tls, None);
    assert_eq!(
        faults(&cluster_with_socket(inner(None))),
        ["transport_socket.typed_config.transport_socket: is missing"]
    );
    let twice = cluster_with_socket(inner(Some(inner(None))));
    assert_eq!(
        faults(&twice),
        ["transport_socket.typed_config.transport_socket: not supported by evenkeel"]
    );
}

#[test]
fn directories_to_watch_are_reported() {
    let mut message: tls::Secret = message(&Resource::Secret(certificate_secret()));
    let directory = core::WatchedDirectory {
        path: "/etc".to_owned(),
        ..core::WatchedDirectory::default()
    };
    let Some(tls::secret::Type::TlsCertificate(pair)) = &mut message.r#type else {
        panic!("no certificate");
    };
    pair.watched_directory = Some(directory.clone());
    pair.certificate_chain.as_mut().unwrap().watched_directory = Some(directory);
    assert_eq!(
        accepted(&message).ignored,
        [
            "tls_certificate.watched_directory",
            "tls_certificate.certificate_chain.watched_directory"
        ]
    );
}
