//! `Secret`. No fault of one holds anything of its content.

use super::findings::Findings;
use super::{text, tls as parts};
use crate::ir;
use crate::names::SecretName;
use crate::xds::wire::tls;

/// Reads a secret.
pub(in crate::xds) fn secret(from: tls::Secret, found: &mut Findings) -> Option<ir::Secret> {
    let tls::Secret { name, r#type } = from;
    let name = text::name(name, "name", found);
    let content = match r#type {
        Some(tls::secret::Type::TlsCertificate(from)) => found
            .at("tls_certificate", |found| parts::certificate(from, found))
            .map(ir::SecretContent::Certificate),
        Some(tls::secret::Type::ValidationContext(from)) => found
            .at("validation_context", |found| trust(from, found))
            .map(ir::SecretContent::Trust),
        Some(tls::secret::Type::SessionTicketKeys(_)) => found.unsupported("session_ticket_keys"),
        Some(tls::secret::Type::GenericSecret(_)) => found.unsupported("generic_secret"),
        None => found.fault("", "must hold a tls_certificate or a validation_context"),
    };
    Some(ir::Secret {
        name: SecretName::new(name?),
        content: content?,
    })
}

/// Whose certificates are taken is said here, for which names where it is used.
fn trust(from: tls::CertificateValidationContext, found: &mut Findings) -> Option<ir::TrustSource> {
    let parts::Context {
        trust,
        revocations,
        names,
        untrusted,
    } = parts::context(from, found)?;
    found.unsupported_if([("trust_chain_verification", untrusted)]);
    if !names.is_empty() {
        let rule = "not supported by evenkeel in a Secret: must stand in the listener or cluster";
        found.fault::<()>("match_typed_subject_alt_names", rule);
    }
    let Some(certificates) = trust else {
        return found.fault("trusted_ca", "is missing");
    };
    Some(ir::TrustSource {
        certificates,
        revocations,
    })
}
