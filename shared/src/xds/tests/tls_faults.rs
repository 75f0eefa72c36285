//! What of TLS and the PROXY protocol is refused.
#![expect(
    clippy::unnecessary_wraps,
    reason = "every field that holds one of these messages is optional"
)]

use envoy_types::pb::google::protobuf as pb;
use envoy_types::util::pack_any;
use prost::{Message, Name};

use super::samples::*;
use super::tls_samples::*;
use crate::xds::Resource;
use crate::xds::wire::{core, hcm, listener as lds, matcher, proxy_protocol_filter, tls};
use tls::common_tls_context::ValidationContextType;

const CONTEXT: &str = "filter_chains[0].transport_socket.typed_config";

#[track_caller]
pub(super) fn refused<M: Message + Name>(message: &M, expected: &str) {
    let found = faults(message);
    assert!(
        found.iter().any(|fault| fault.starts_with(expected)),
        "no {expected:?} in {found:#?}"
    );
}

#[track_caller]
fn downstream_refused(change: impl FnOnce(&mut tls::CommonTlsContext), expected: &str) {
    let message = downstream_with(|c| change(c.common_tls_context.as_mut().unwrap()));
    refused(
        &message,
        &format!("{CONTEXT}.common_tls_context.{expected}"),
    );
}

fn yes() -> Option<pb::BoolValue> {
    Some(pb::BoolValue { value: true })
}

fn validation(
    change: impl FnOnce(&mut tls::CertificateValidationContext),
) -> Option<ValidationContextType> {
    let mut context = tls::CertificateValidationContext {
        trusted_ca: Some(file("/etc/ca.pem")),
        ..tls::CertificateValidationContext::default()
    };
    change(&mut context);
    Some(ValidationContextType::ValidationContext(context))
}

fn extension() -> Option<core::TypedExtensionConfig> {
    Some(core::TypedExtensionConfig {
        name: "x".to_owned(),
        typed_config: None,
    })
}

pub(super) fn san(kind: i32) -> tls::SubjectAltNameMatcher {
    tls::SubjectAltNameMatcher {
        san_type: kind,
        matcher: Some(matcher::StringMatcher {
            ignore_case: false,
            match_pattern: Some(matcher::string_matcher::MatchPattern::Exact("a".to_owned())),
        }),
        oid: String::new(),
    }
}

#[test]
fn nothing_secret_stands_in_a_context() {
    let pair = |chain, key| {
        vec![tls::TlsCertificate {
            certificate_chain: Some(chain),
            private_key: Some(key),
            ..tls::TlsCertificate::default()
        }]
    };
    downstream_refused(
        |c| c.tls_certificates = pair(file("/a"), inline("key")),
        "tls_certificates[0].private_key: not supported by evenkeel inline: must stand in a Secret",
    );
    downstream_refused(
        |c| c.tls_certificates = pair(inline("chain"), file("/a")),
        "tls_certificates[0].certificate_chain: not supported by evenkeel inline",
    );
    downstream_refused(
        |c| c.validation_context_type = validation(|v| v.trusted_ca = Some(inline("ca"))),
        "validation_context.trusted_ca: not supported by evenkeel inline",
    );
    refused(
        &upstream_with(|c| {
            c.common_tls_context.as_mut().unwrap().tls_certificates =
                pair(file("/a"), inline("key"));
        }),
        "transport_socket.typed_config.common_tls_context.tls_certificates[0].private_key: not",
    );
    refused(
        &downstream_with(|c| {
            c.session_ticket_keys_type = Some(
                tls::downstream_tls_context::SessionTicketKeysType::SessionTicketKeys(
                    tls::TlsSessionTicketKeys {
                        keys: vec![inline("key")],
                    },
                ),
            );
        }),
        &format!("{CONTEXT}.session_ticket_keys: not supported"),
    );
}

#[test]
#[expect(deprecated, reason = "older control planes still send it")]
fn what_would_let_others_pass_is_refused() {
    type Change = fn(&mut tls::CertificateValidationContext);
    let changes: [(Change, &str); 11] = [
        (
            |v| v.allow_expired_certificate = true,
            "allow_expired_certificate",
        ),
        (
            |v| v.trust_chain_verification = 1,
            "trust_chain_verification",
        ),
        (
            |v| v.trust_chain_verification = 7,
            "trust_chain_verification",
        ),
        (
            |v| v.verify_certificate_spki = vec![String::new()],
            "verify_certificate_spki",
        ),
        (
            |v| v.verify_certificate_hash = vec![String::new()],
            "verify_certificate_hash",
        ),
        (
            |v| v.require_signed_certificate_timestamp = yes(),
            "require_signed_certificate_timestamp",
        ),
        (
            |v| v.custom_validator_config = extension(),
            "custom_validator_config",
        ),
        (
            |v| v.only_verify_leaf_cert_crl = true,
            "only_verify_leaf_cert_crl",
        ),
        (
            |v| v.max_verify_depth = Some(pb::UInt32Value { value: 1 }),
            "max_verify_depth",
        ),
        (|v| v.crl = Some(file("/crl")), "crl"),
        (
            |v| v.match_subject_alt_names = vec![matcher::StringMatcher::default()],
            "match_subject_alt_names",
        ),
    ];
    for (change, field) in changes {
        downstream_refused(
            |c| c.validation_context_type = validation(change),
            &format!("validation_context.{field}: not supported"),
        );
    }
}

#[test]
fn what_comes_by_name_is_verified_too() {
    downstream_refused(
        |c| {
            let Some(ValidationContextType::CombinedValidationContext(both)) =
                &mut c.validation_context_type
            else {
                panic!("no combined context");
            };
            let default = both.default_validation_context.as_mut().unwrap();
            default.trust_chain_verification = 1;
        },
        "combined_validation_context.default_validation_context.trust_chain_verification: not",
    );
}

#[test]
fn names_are_verified_together_with_their_signature() {
    downstream_refused(
        |c| {
            c.validation_context_type = validation(|v| {
                v.trusted_ca = None;
                v.match_typed_subject_alt_names = vec![san(3)];
            });
        },
        "validation_context.trusted_ca: is missing",
    );
    refused(
        &downstream_with(|c| {
            c.common_tls_context
                .as_mut()
                .unwrap()
                .validation_context_type = None;
        }),
        &format!("{CONTEXT}.require_client_certificate: not supported by evenkeel without"),
    );
    refused(
        &upstream_with(|c| {
            c.auto_sni_san_validation = true;
            c.common_tls_context
                .as_mut()
                .unwrap()
                .validation_context_type = None;
        }),
        "transport_socket.typed_config.auto_sni_san_validation: not supported by evenkeel without",
    );
}

#[test]
fn names_are_uris_or_dns_names() {
    for (kind, reason) in [
        (0, "\"SAN_TYPE_UNSPECIFIED\": not supported"),
        (1, "\"EMAIL\": not supported"),
        (4, "\"IP_ADDRESS\": not supported"),
        (99, "99: must be a known type"),
    ] {
        downstream_refused(
            |c| {
                c.validation_context_type =
                    validation(|v| v.match_typed_subject_alt_names = vec![san(kind)]);
            },
            &format!(
                "validation_context.match_typed_subject_alt_names[0].san_type: invalid value {reason}"
            ),
        );
    }
}

#[test]
fn old_versions_and_other_handshakes_are_refused() {
    type Change = fn(&mut tls::CommonTlsContext);
    let changes: [(Change, &str); 7] = [
        (
            |c| c.tls_params.as_mut().unwrap().tls_maximum_protocol_version = 2,
            "tls_params.tls_maximum_protocol_version: invalid value \"TLSv1_1\": not supported",
        ),
        (
            |c| {
                let params = c.tls_params.as_mut().unwrap();
                params.tls_minimum_protocol_version = 4;
                params.tls_maximum_protocol_version = 3;
            },
            "tls_params.tls_maximum_protocol_version: must not be below",
        ),
        (
            |c| c.tls_params.as_mut().unwrap().tls_minimum_protocol_version = 9,
            "tls_params.tls_minimum_protocol_version: invalid value 9",
        ),
        (
            |c| c.tls_params.as_mut().unwrap().compliance_policies = vec![0],
            "tls_params.compliance_policies: not supported",
        ),
        (
            |c| c.custom_handshaker = extension(),
            "custom_handshaker: not supported",
        ),
        (
            |c| c.custom_tls_certificate_selector = extension(),
            "custom_tls_certificate_selector: not supported",
        ),
        (
            |c| c.tls_certificate_sds_secret_configs.clear(),
            "tls_certificate_sds_secret_configs: must name at least one",
        ),
    ];
    for (change, expected) in changes {
        downstream_refused(change, expected);
    }
    refused(
        &downstream_with(|c| c.require_sni = yes()),
        &format!("{CONTEXT}.require_sni: not supported"),
    );
    refused(
        &downstream_with(|c| c.ocsp_staple_policy = 2),
        &format!("{CONTEXT}.ocsp_staple_policy: not supported"),
    );
    refused(
        &upstream_with(|c| c.allow_renegotiation = true),
        "transport_socket.typed_config.allow_renegotiation: not supported",
    );
}

#[test]
fn endpoints_have_one_name_and_proxies_one_certificate() {
    let path = "transport_socket.typed_config";
    refused(
        &upstream_with(|c| c.auto_host_sni = true),
        &format!("{path}.auto_host_sni: not supported"),
    );
    refused(
        &upstream_with(|c| c.sni = "a".repeat(256)),
        &format!("{path}.sni: must be at most 255"),
    );
    refused(
        &upstream_with(|c| {
            c.sni.clear();
            c.auto_sni_san_validation = true;
        }),
        &format!("{path}.sni: must not be empty"),
    );
    refused(
        &upstream_with(|c| {
            let named = &mut c
                .common_tls_context
                .as_mut()
                .unwrap()
                .tls_certificate_sds_secret_configs;
            named.push(named[0].clone());
        }),
        &format!("{path}.common_tls_context.tls_certificates: must name at most one"),
    );
}

#[test]
#[expect(deprecated, reason = "older control planes still send it")]
fn a_name_from_the_request_is_refused_where_there_is_tls() {
    let options = Some(core::UpstreamHttpProtocolOptions {
        auto_sni: true,
        auto_san_validation: true,
        override_auto_sni_header: String::new(),
    });
    let mut message = upstream_with(|_| {});
    message.typed_extension_protocol_options.clear();
    message.upstream_http_protocol_options = options;
    refused(
        &message,
        "upstream_http_protocol_options.auto_sni: not supported",
    );
    refused(
        &message,
        "upstream_http_protocol_options.auto_san_validation: not supported",
    );
    message.transport_socket = None;
    assert_eq!(
        accepted(&message).ignored,
        ["upstream_http_protocol_options"]
    );
}

#[test]
fn secrets_come_on_the_same_stream() {
    downstream_refused(
        |c| c.tls_certificate_sds_secret_configs[1].sds_config = None,
        "tls_certificate_sds_secret_configs[1].sds_config: is missing",
    );
    downstream_refused(
        |c| c.tls_certificate_sds_secret_configs[0].name.clear(),
        "tls_certificate_sds_secret_configs[0].name: must not be empty",
    );
}

#[test]
fn sockets_that_are_not_known_are_refused() {
    let mut listener = listener_message();
    listener.filter_chains[0].transport_socket = Some(socket(tls::UpstreamTlsContext::default()));
    refused(
        &listener,
        "filter_chains[0].transport_socket: not supported",
    );
    let mut cluster = cluster_message();
    cluster.transport_socket = Some(socket(tls::DownstreamTlsContext::default()));
    refused(&cluster, "transport_socket: not supported");
}

fn proxied(change: impl FnOnce(&mut proxy_protocol_filter::ProxyProtocol)) -> lds::Listener {
    let mut config = proxy_protocol_filter::ProxyProtocol::default();
    change(&mut config);
    let mut message = listener_message();
    message.listener_filters = vec![lds::ListenerFilter {
        name: "proxy".to_owned(),
        filter_disabled: None,
        config_type: Some(lds::listener_filter::ConfigType::TypedConfig(pack_any(
            config,
        ))),
    }];
    message
}

#[test]
fn a_proxy_protocol_header_is_not_optional() {
    let path = "listener_filters[0].typed_config";
    refused(
        &proxied(|p| p.allow_requests_without_proxy_protocol = true),
        &format!("{path}.allow_requests_without_proxy_protocol: not supported"),
    );
    refused(
        &proxied(|p| p.disallowed_versions = vec![0]),
        &format!("{path}.disallowed_versions: not supported"),
    );
    let mut twice = proxied(|_| {});
    twice
        .listener_filters
        .push(twice.listener_filters[0].clone());
    refused(&twice, "listener_filters[1]: must not stand there twice");
    let mut bare: lds::Listener = message(&Resource::Listener(secure_listener()));
    bare.listener_filters.clear();
    refused(
        &bare,
        "metadata.filter_metadata[\"evenkeel\"]: proxy_protocol_from needs",
    );
}

#[test]
fn what_clients_say_of_certificates_is_not_forwarded() {
    for details in [1, 2, 4, 9] {
        refused(
            &listener_with(|m: &mut hcm::HttpConnectionManager| {
                m.forward_client_cert_details = details;
            }),
            "filter_chains[0].filters[0].typed_config.forward_client_cert_details: not supported",
        );
    }
}
