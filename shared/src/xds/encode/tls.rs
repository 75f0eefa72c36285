//! `DownstreamTlsContext` and `UpstreamTlsContext`.

use super::values::{boolean, from_ads, number, string_match};
use crate::ir;
use crate::names::SecretName;
use crate::xds::wire::{MAX_SESSION_KEYS, cluster_alpn, core, listener_alpn, tls};
use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use tls::downstream_tls_context::SessionTicketKeysType;
use tls::subject_alt_name_matcher::SanType;
use tls::tls_parameters::TlsProtocol;

/// TLS of a listener. A name that no certificate carries gets the first one,
/// and sessions are resumed by tickets only, as in our own proxy.
pub(super) fn downstream(
    from: &ir::DownstreamTls,
    protocol: ir::HttpProtocol,
) -> tls::DownstreamTlsContext {
    let clients = from.clients.as_ref();
    let validation = clients.map(|clients| validation(&clients.trust, &clients.names));
    let alpn = listener_alpn(protocol);
    tls::DownstreamTlsContext {
        common_tls_context: Some(common(
            &from.certificates,
            from.min_version,
            validation,
            alpn,
        )),
        require_client_certificate: boolean(clients.is_some_and(|clients| clients.required)),
        full_scan_certs_on_sni_mismatch: boolean(false),
        disable_stateful_session_resumption: true,
        session_ticket_keys_type: Some(SessionTicketKeysType::DisableStatelessSessionResumption(
            false,
        )),
        ..tls::DownstreamTlsContext::default()
    }
}

/// TLS of a cluster.
pub(super) fn upstream(
    from: &ir::UpstreamTls,
    protocol: ir::UpstreamProtocol,
) -> tls::UpstreamTlsContext {
    let server = from.verification.as_ref();
    let validation = server.map(|server| validation(&server.trust, &server.names));
    let certificates = from.certificate.as_slice();
    let alpn = cluster_alpn(protocol);
    tls::UpstreamTlsContext {
        common_tls_context: Some(common(certificates, from.min_version, validation, alpn)),
        sni: from.server_name.clone().unwrap_or_default(),
        max_session_keys: number(MAX_SESSION_KEYS),
        ..tls::UpstreamTlsContext::default()
    }
}

/// What both sides have. Certificates are all secrets or all files: where there
/// are files, secrets have no effect.
fn common(
    certificates: &[ir::CertificateRef],
    lowest: ir::TlsVersion,
    validation: Option<ValidationContextType>,
    alpn: Vec<String>,
) -> tls::CommonTlsContext {
    let mut context = tls::CommonTlsContext {
        tls_params: Some(tls::TlsParameters {
            tls_minimum_protocol_version: version(lowest).into(),
            tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
            ..tls::TlsParameters::default()
        }),
        alpn_protocols: alpn,
        validation_context_type: validation,
        ..tls::CommonTlsContext::default()
    };
    for certificate in certificates {
        match certificate {
            ir::CertificateRef::Secret(name) => context
                .tls_certificate_sds_secret_configs
                .push(by_name(name)),
            ir::CertificateRef::Files { chain, key } => {
                context.tls_certificates.push(tls::TlsCertificate {
                    certificate_chain: Some(file(chain)),
                    private_key: Some(file(key)),
                    ..tls::TlsCertificate::default()
                });
            }
        }
    }
    context
}

fn version(from: ir::TlsVersion) -> TlsProtocol {
    match from {
        ir::TlsVersion::Tls12 => TlsProtocol::TlSv12,
        ir::TlsVersion::Tls13 => TlsProtocol::TlSv13,
    }
}

fn validation(trust: &ir::TrustRef, names: &[ir::AltName]) -> ValidationContextType {
    let mut context = tls::CertificateValidationContext {
        match_typed_subject_alt_names: names.iter().map(alt_name).collect(),
        ..tls::CertificateValidationContext::default()
    };
    match trust {
        ir::TrustRef::File(path) => {
            context.trusted_ca = Some(file(path));
            ValidationContextType::ValidationContext(context)
        }
        ir::TrustRef::Secret(name) => {
            ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
                default_validation_context: Some(context),
                validation_context_sds_secret_config: Some(by_name(name)),
                ..CombinedCertificateValidationContext::default()
            })
        }
    }
}

fn alt_name(from: &ir::AltName) -> tls::SubjectAltNameMatcher {
    let (kind, test) = match from {
        ir::AltName::Uri(test) => (SanType::Uri, test),
        ir::AltName::Dns(test) => (SanType::Dns, test),
    };
    tls::SubjectAltNameMatcher {
        san_type: kind.into(),
        matcher: Some(string_match(test)),
        oid: String::new(),
    }
}

fn by_name(name: &SecretName) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig {
        name: name.as_str().to_owned(),
        sds_config: from_ads(),
    }
}

fn file(path: &str) -> core::DataSource {
    core::DataSource {
        watched_directory: None,
        specifier: Some(core::data_source::Specifier::Filename(path.to_owned())),
    }
}
