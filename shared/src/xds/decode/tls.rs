//! `DownstreamTlsContext` and `UpstreamTlsContext`.

mod certificate;
mod source;
mod validation;

pub(super) use certificate::certificate;
pub(super) use validation::{Context, context};

use super::findings::{Findings, set};
use super::values::{is_true, number_or, unpack};
use crate::ir::{
    AltName, CertificateRef, ClientVerification, DownstreamTls, ServerVerification, StringMatch,
    TlsVersion, UpstreamTls,
};
use crate::xds::wire::{MAX_SESSION_KEYS, MAX_SNI_BYTES, pb, tls};
use tls::downstream_tls_context::{OcspStaplePolicy, SessionTicketKeysType};
use tls::tls_parameters::TlsProtocol;
use validation::Validation;

/// What is said of certificates that would be taken from anybody.
const UNVERIFIED: &str = "not supported by evenkeel without a validation context with trusted_ca";

/// Reads TLS of a listener, without its handshake timeout, and what it offers
/// by ALPN. To Envoy, names make certificates required unless `optional_names`.
pub(super) fn downstream(
    config: &pb::Any,
    optional_names: bool,
    found: &mut Findings,
) -> Option<(DownstreamTls, Vec<String>)> {
    let tls::DownstreamTlsContext {
        common_tls_context,
        require_client_certificate,
        require_sni,
        // There are no sessions but in tickets.
        disable_stateful_session_resumption: _,
        session_timeout,
        ocsp_staple_policy,
        full_scan_certs_on_sni_mismatch,
        prefer_client_ciphers,
        session_ticket_keys_type,
    } = unpack(config, found)?;
    let staples = OcspStaplePolicy::try_from(ocsp_staple_policy);
    found.unsupported_if([
        ("require_sni", is_true(require_sni.as_ref())),
        (
            "ocsp_staple_policy",
            !matches!(
                staples,
                Ok(OcspStaplePolicy::LenientStapling | OcspStaplePolicy::StrictStapling)
            ),
        ),
    ]);
    found.ignore_if([
        ("session_timeout", set(&session_timeout)),
        (
            "full_scan_certs_on_sni_mismatch",
            is_true(full_scan_certs_on_sni_mismatch.as_ref()),
        ),
        ("prefer_client_ciphers", prefer_client_ciphers),
    ]);
    resumption(session_ticket_keys_type.as_ref(), found);
    let required = is_true(require_client_certificate.as_ref());
    let common = common(common_tls_context, found)?;
    if common.certificates.is_empty() {
        let rule = "must name at least one certificate";
        return found.fault(
            "common_tls_context.tls_certificate_sds_secret_configs",
            rule,
        );
    }
    let clients = match common.validation {
        None if required => return found.fault("require_client_certificate", UNVERIFIED),
        None => None,
        Some(Validation { trust, names }) => Some(ClientVerification {
            trust,
            required: required || (!names.is_empty() && !optional_names),
            names,
        }),
    };
    let tls = DownstreamTls {
        certificates: common.certificates,
        min_version: common.lowest,
        clients,
        handshake_timeout: None,
    };
    Some((tls, common.alpn))
}

/// Each proxy makes the keys of its tickets itself. Keys in a listener are
/// refused all the same, because a listener is no place for them.
fn resumption(from: Option<&SessionTicketKeysType>, found: &mut Findings) {
    match from {
        Some(SessionTicketKeysType::SessionTicketKeys(_)) => {
            found.unsupported::<()>("session_ticket_keys");
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(_)) => {
            found.ignore("session_ticket_keys_sds_secret_config");
        }
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(off)) => {
            found.ignore_if([("disable_stateless_session_resumption", *off)]);
        }
        None => {}
    }
}

/// Reads TLS of a cluster, and what it offers by ALPN.
#[expect(deprecated, reason = "names every field of the message once")]
pub(super) fn upstream(
    config: &pb::Any,
    found: &mut Findings,
) -> Option<(UpstreamTls, Vec<String>)> {
    let tls::UpstreamTlsContext {
        common_tls_context,
        sni,
        auto_host_sni,
        auto_sni_san_validation,
        allow_renegotiation,
        max_session_keys,
        enforce_rsa_key_usage,
    } = unpack(config, found)?;
    found.unsupported_if([
        ("auto_host_sni", auto_host_sni),
        ("allow_renegotiation", allow_renegotiation),
    ]);
    let sessions = number_or(max_session_keys, MAX_SESSION_KEYS);
    found.ignore_if([
        ("max_session_keys", sessions != MAX_SESSION_KEYS),
        ("enforce_rsa_key_usage", set(&enforce_rsa_key_usage)),
    ]);
    if sni.len() > MAX_SNI_BYTES {
        found.fault::<()>("sni", "must be at most 255 bytes long");
    }
    let common = common(common_tls_context, found)?;
    let mut certificates = common.certificates.into_iter();
    let certificate = certificates.next();
    if certificates.next().is_some() {
        let rule = "must name at most one certificate";
        return found.fault("common_tls_context.tls_certificates", rule);
    }
    let verification = match common.validation {
        None if auto_sni_san_validation => {
            return found.fault("auto_sni_san_validation", UNVERIFIED);
        }
        None => None,
        Some(Validation { trust, names }) => Some(ServerVerification {
            trust,
            names: if auto_sni_san_validation {
                sni_only(&sni, found)?
            } else {
                names
            },
        }),
    };
    let tls = UpstreamTls {
        server_name: Some(sni).filter(|name| !name.is_empty()),
        verification,
        certificate,
        min_version: common.lowest,
    };
    Some((tls, common.alpn))
}

/// The one name that stands in place of all others when it is derived.
fn sni_only(sni: &str, found: &mut Findings) -> Option<Vec<AltName>> {
    if sni.is_empty() {
        return found.fault("sni", "must not be empty with auto_sni_san_validation");
    }
    Some(vec![AltName::Dns(StringMatch::Exact(sni.to_owned()))])
}

/// What both sides have.
struct Common {
    lowest: TlsVersion,
    certificates: Vec<CertificateRef>,
    validation: Option<Validation>,
    alpn: Vec<String>,
}

#[expect(deprecated, reason = "names every field of the message once")]
fn common(from: Option<tls::CommonTlsContext>, found: &mut Findings) -> Option<Common> {
    found.at("common_tls_context", |found| {
        let tls::CommonTlsContext {
            tls_params,
            tls_certificates,
            tls_certificate_sds_secret_configs,
            tls_certificate_provider_instance,
            custom_tls_certificate_selector,
            tls_certificate_certificate_provider,
            tls_certificate_certificate_provider_instance,
            alpn_protocols,
            custom_handshaker,
            key_log,
            validation_context_type,
        } = from.unwrap_or_default();
        found.unsupported_if([
            (
                "tls_certificate_provider_instance",
                set(&tls_certificate_provider_instance),
            ),
            (
                "custom_tls_certificate_selector",
                set(&custom_tls_certificate_selector),
            ),
            (
                "tls_certificate_certificate_provider",
                set(&tls_certificate_certificate_provider),
            ),
            (
                "tls_certificate_certificate_provider_instance",
                set(&tls_certificate_certificate_provider_instance),
            ),
            ("custom_handshaker", set(&custom_handshaker)),
        ]);
        found.ignore_if([("key_log", set(&key_log))]);
        let lowest = lowest(tls_params, found);
        let certificates =
            certificate::references(tls_certificates, tls_certificate_sds_secret_configs, found);
        let validation = validation::validation(validation_context_type, found);
        Some(Common {
            lowest: lowest?,
            certificates: certificates?,
            validation: validation?,
            alpn: alpn_protocols,
        })
    })
}

/// The lowest version; 1.2 is what Envoy takes unless told otherwise, and what
/// is taken of all below it. That only 1.2 is wished for has no effect.
fn lowest(from: Option<tls::TlsParameters>, found: &mut Findings) -> Option<TlsVersion> {
    found.at("tls_params", |found| {
        let tls::TlsParameters {
            tls_minimum_protocol_version: lowest,
            tls_maximum_protocol_version: highest,
            cipher_suites,
            ecdh_curves,
            signature_algorithms,
            compliance_policies,
        } = from.unwrap_or_default();
        found.unsupported_if([("compliance_policies", set(&compliance_policies))]);
        found.ignore_if([
            ("cipher_suites", set(&cipher_suites)),
            ("ecdh_curves", set(&ecdh_curves)),
            ("signature_algorithms", set(&signature_algorithms)),
        ]);
        let field = "tls_minimum_protocol_version";
        let lowest = match TlsProtocol::try_from(lowest) {
            Ok(TlsProtocol::TlsAuto | TlsProtocol::TlSv12) => Some(TlsVersion::Tls12),
            Ok(TlsProtocol::TlSv10 | TlsProtocol::TlSv11) => {
                found.ignore(field);
                Some(TlsVersion::Tls12)
            }
            Ok(TlsProtocol::TlSv13) => Some(TlsVersion::Tls13),
            Err(_) => found.invalid(field, lowest, "must be a known version"),
        };
        let field = "tls_maximum_protocol_version";
        match TlsProtocol::try_from(highest) {
            Ok(TlsProtocol::TlsAuto | TlsProtocol::TlSv13) => {}
            Ok(TlsProtocol::TlSv12) if lowest != Some(TlsVersion::Tls13) => found.ignore(field),
            Ok(TlsProtocol::TlSv12) => {
                found.fault::<()>(field, "must not be below tls_minimum_protocol_version");
            }
            Ok(older @ (TlsProtocol::TlSv10 | TlsProtocol::TlSv11)) => {
                let rule = "not supported by evenkeel: must be at least TLSv1_2";
                found.invalid::<()>(field, older.as_str_name(), rule);
            }
            Err(_) => {
                found.invalid::<()>(field, highest, "must be a known version");
            }
        }
        lowest
    })
}
