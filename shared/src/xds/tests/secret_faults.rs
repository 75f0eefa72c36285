//! What of secrets is refused, and that nothing secret is told in doing so.
#![expect(
    clippy::unnecessary_wraps,
    reason = "every field that holds one of these messages is optional"
)]

use prost::Message as _;

use super::samples::*;
use super::tls_faults::{refused, san};
use super::tls_samples::*;
use crate::xds::wire::{core, tls};
use crate::xds::{Resource, ResourceType, decode};
use core::data_source::Specifier;
use tls::common_tls_context::ValidationContextType;

fn secret_of(kind: tls::secret::Type) -> tls::Secret {
    tls::Secret {
        name: "shop".to_owned(),
        r#type: Some(kind),
    }
}

fn pair_with(change: impl FnOnce(&mut tls::TlsCertificate)) -> tls::Secret {
    let mut pair = tls::TlsCertificate {
        certificate_chain: Some(inline("CANARY")),
        private_key: Some(source(Specifier::InlineBytes(b"CANARY".to_vec()))),
        ..tls::TlsCertificate::default()
    };
    change(&mut pair);
    secret_of(tls::secret::Type::TlsCertificate(pair))
}

fn trust_with(change: impl FnOnce(&mut tls::CertificateValidationContext)) -> tls::Secret {
    let mut trust = tls::CertificateValidationContext {
        trusted_ca: Some(inline("CANARY")),
        crl: Some(inline("CANARY")),
        ..tls::CertificateValidationContext::default()
    };
    change(&mut trust);
    secret_of(tls::secret::Type::ValidationContext(trust))
}

/// Secrets that are refused, with the fault.
type Refused = Vec<(tls::Secret, &'static str)>;

fn canary() -> Option<core::DataSource> {
    Some(inline("CANARY"))
}

fn variable() -> Option<core::DataSource> {
    Some(source(Specifier::EnvironmentVariable("CANARY".to_owned())))
}

fn bad_secrets() -> Refused {
    [bad_kinds(), bad_pairs(), bad_trusts()].concat()
}

fn bad_kinds() -> Refused {
    vec![
        (
            secret_of(tls::secret::Type::GenericSecret(tls::GenericSecret {
                secret: canary(),
                ..tls::GenericSecret::default()
            })),
            "generic_secret: not supported",
        ),
        (
            secret_of(tls::secret::Type::SessionTicketKeys(
                tls::TlsSessionTicketKeys {
                    keys: vec![inline("CANARY")],
                },
            )),
            "session_ticket_keys: not supported",
        ),
        (
            tls::Secret {
                name: "shop".to_owned(),
                r#type: None,
            },
            "must hold a tls_certificate or",
        ),
    ]
}

fn bad_pairs() -> Refused {
    vec![
        (
            pair_with(|p| p.pkcs12 = canary()),
            "tls_certificate.pkcs12: not supported",
        ),
        (
            pair_with(|p| p.password = canary()),
            "tls_certificate.password: not supported",
        ),
        (
            pair_with(|p| p.ocsp_staple = canary()),
            "tls_certificate.ocsp_staple: not supported",
        ),
        (
            pair_with(|p| p.private_key_provider = Some(tls::PrivateKeyProvider::default())),
            "tls_certificate.private_key_provider: not supported",
        ),
        (
            pair_with(|p| p.tls_params = Some(tls::TlsParameters::default())),
            "tls_certificate.tls_params: not supported",
        ),
        (
            pair_with(|p| p.private_key = variable()),
            "tls_certificate.private_key.environment_variable: not supported",
        ),
        (
            pair_with(|p| p.private_key = Some(core::DataSource::default())),
            "tls_certificate.private_key: must have a filename or be inline",
        ),
        (
            pair_with(|p| p.private_key = None),
            "tls_certificate.private_key: is missing",
        ),
        (
            pair_with(|p| p.certificate_chain = Some(inline(""))),
            "tls_certificate.certificate_chain.inline_string: must not be empty",
        ),
    ]
}

fn bad_trusts() -> Refused {
    vec![
        (
            trust_with(|v| v.trusted_ca = None),
            "validation_context.trusted_ca: is missing",
        ),
        (
            trust_with(|v| v.trusted_ca = variable()),
            "validation_context.trusted_ca.environment_variable: not supported",
        ),
        (
            trust_with(|v| v.trust_chain_verification = 1),
            "validation_context.trust_chain_verification: not supported",
        ),
        (
            trust_with(|v| v.match_typed_subject_alt_names = vec![san(3)]),
            "validation_context.match_typed_subject_alt_names: not supported by evenkeel in a",
        ),
    ]
}

#[test]
fn a_secret_that_cannot_be_used_is_refused_by_the_field() {
    for (secret, expected) in bad_secrets() {
        refused(&secret, expected);
    }
}

/// Both as text and as the list of numbers that bytes are shown as.
#[track_caller]
fn tells_nothing(shown: &impl std::fmt::Debug) {
    let text = format!("{shown:?}");
    let numbers = format!("{:?}", b"CANARY");
    assert!(!text.contains("CANARY"), "{text}");
    assert!(!text.contains(numbers.trim_matches(['[', ']'])), "{text}");
}

#[test]
fn no_fault_tells_what_is_secret() {
    for (secret, _) in bad_secrets() {
        let refused = read(&secret).unwrap_err();
        tells_nothing(&refused);
        for fault in &refused.faults {
            assert!(!fault.to_string().contains("CANARY"), "{fault}");
        }
    }
    let pair = tls::TlsCertificate {
        certificate_chain: Some(inline("CANARY")),
        private_key: Some(inline("CANARY")),
        ..tls::TlsCertificate::default()
    };
    let in_listener = downstream_with(|c| {
        let common = c.common_tls_context.as_mut().unwrap();
        common.tls_certificates = vec![pair.clone()];
        common.validation_context_type = Some(ValidationContextType::ValidationContext(
            tls::CertificateValidationContext {
                trusted_ca: canary(),
                ..tls::CertificateValidationContext::default()
            },
        ));
    });
    tells_nothing(&read(&in_listener).unwrap_err());
    let in_cluster = upstream_with(|c| {
        c.common_tls_context.as_mut().unwrap().tls_certificates = vec![pair];
    });
    tells_nothing(&read(&in_cluster).unwrap_err());
}

#[test]
fn what_is_accepted_tells_nothing_either() {
    for secret in [pair_with(|_| {}), trust_with(|_| {})] {
        let decoded = accepted(&secret);
        tells_nothing(&decoded);
        let Resource::Secret(secret) = &decoded.resource else {
            panic!("no secret");
        };
        assert!(!serde_json::to_string(secret).unwrap().contains("CANARY"));
    }
}

#[test]
fn a_damaged_secret_tells_nothing() {
    let whole = pair_with(|_| {}).encode_to_vec();
    for length in 0..whole.len() {
        if let Err(refused) = decode(ResourceType::Secret, &whole[..length]) {
            tells_nothing(&refused);
        }
    }
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] = 0xff;
        if let Err(refused) = decode(ResourceType::Secret, &damaged) {
            tells_nothing(&refused);
        }
    }
}
