//! `CertificateValidationContext`, in a context and by name.

use super::certificate::secret_name;
use super::source;
use crate::ir::{AltName, DataSource, TrustRef};
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::text::string_match;
use crate::xds::decode::values::is_true;
use crate::xds::wire::{matcher, tls};
use matcher::string_matcher::MatchPattern;
use tls::certificate_validation_context::TrustChainVerification;
use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use tls::subject_alt_name_matcher::SanType;

/// Whose certificates are taken.
pub(super) struct Validation {
    pub(super) trust: TrustRef,
    pub(super) names: Vec<AltName>,
}

/// What a validation context says, wherever it stands.
pub(in crate::xds::decode) struct Context {
    /// Authorities.
    pub(in crate::xds::decode) trust: Option<DataSource>,
    /// Lists of revoked certificates.
    pub(in crate::xds::decode) revocations: Option<DataSource>,
    /// Names of which a certificate must carry one.
    pub(in crate::xds::decode) names: Vec<AltName>,
    /// Whether a certificate is taken whoever signed it.
    pub(in crate::xds::decode) untrusted: bool,
}

/// Reads whose certificates are taken; `Some(None)` if nobody looks.
#[expect(deprecated, reason = "names every kind once")]
pub(super) fn validation(
    from: Option<ValidationContextType>,
    found: &mut Findings,
) -> Read<Option<Validation>> {
    match from {
        None => Some(None),
        Some(ValidationContextType::ValidationContext(from)) => {
            found.at("validation_context", |found| from_files(from, found))
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(from)) => {
            let name = found.at("validation_context_sds_secret_config", |found| {
                secret_name(from, found)
            });
            Some(Some(Validation {
                trust: TrustRef::Secret(name?),
                names: Vec::new(),
            }))
        }
        Some(ValidationContextType::CombinedValidationContext(from)) => {
            let both = found.at("combined_validation_context", |found| combined(from, found));
            both.map(Some)
        }
        Some(ValidationContextType::ValidationContextCertificateProvider(_)) => {
            found.unsupported("validation_context_certificate_provider")
        }
        Some(ValidationContextType::ValidationContextCertificateProviderInstance(_)) => {
            found.unsupported("validation_context_certificate_provider_instance")
        }
    }
}

/// Without authorities nothing is verified, so nothing may ask for it.
fn from_files(
    from: tls::CertificateValidationContext,
    found: &mut Findings,
) -> Read<Option<Validation>> {
    let Context {
        trust,
        revocations,
        names,
        untrusted,
    } = context(from, found)?;
    if revocations.is_some() {
        found.fault::<()>(
            "crl",
            "not supported by evenkeel here: must stand in a Secret (SDS)",
        );
    }
    let Some(trust) = trust else {
        if !names.is_empty() {
            return found.fault("trusted_ca", "is missing: names alone prove nothing");
        }
        return Some(None);
    };
    if untrusted {
        found.unsupported::<()>("trust_chain_verification");
    }
    Some(Some(Validation {
        trust: TrustRef::File(source::path(trust, "trusted_ca", found)?),
        names,
    }))
}

#[expect(deprecated, reason = "names every field of the message once")]
fn combined(
    from: CombinedCertificateValidationContext,
    found: &mut Findings,
) -> Option<Validation> {
    let CombinedCertificateValidationContext {
        default_validation_context,
        validation_context_sds_secret_config,
        validation_context_certificate_provider,
        validation_context_certificate_provider_instance,
    } = from;
    found.unsupported_if([
        (
            "validation_context_certificate_provider",
            set(&validation_context_certificate_provider),
        ),
        (
            "validation_context_certificate_provider_instance",
            set(&validation_context_certificate_provider_instance),
        ),
    ]);
    let names = found.at("default_validation_context", |found| {
        let Context {
            trust,
            revocations,
            names,
            untrusted,
        } = context(default_validation_context.unwrap_or_default(), found)?;
        // Those of the secret stand in their place.
        found.ignore_if([("trusted_ca", trust.is_some())]);
        if revocations.is_some() {
            let rule = "not supported by evenkeel here: must stand in the Secret (SDS)";
            found.fault::<()>("crl", rule);
        }
        found.unsupported_if([("trust_chain_verification", untrusted)]);
        Some(names)
    });
    let field = "validation_context_sds_secret_config";
    let name = match validation_context_sds_secret_config {
        Some(from) => found.at(field, |found| secret_name(from, found)),
        None => found.fault(field, "is missing"),
    };
    Some(Validation {
        trust: TrustRef::Secret(name?),
        names: names?,
    })
}

/// Reads what a validation context says. What would let pass more, or fewer,
/// than is let pass here is refused.
#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(in crate::xds::decode) fn context(
    from: tls::CertificateValidationContext,
    found: &mut Findings,
) -> Option<Context> {
    let tls::CertificateValidationContext {
        trusted_ca,
        ca_certificate_provider_instance,
        system_root_certs,
        watched_directory,
        verify_certificate_spki,
        verify_certificate_hash,
        match_typed_subject_alt_names,
        match_subject_alt_names,
        require_signed_certificate_timestamp,
        crl,
        allow_expired_certificate,
        trust_chain_verification,
        custom_validator_config,
        only_verify_leaf_cert_crl,
        max_verify_depth,
        suppress_client_ca_list,
    } = from;
    let chain = TrustChainVerification::try_from(trust_chain_verification);
    let untyped = set(&match_subject_alt_names);
    let typed = set(&match_typed_subject_alt_names);
    found.unsupported_if([
        (
            "ca_certificate_provider_instance",
            set(&ca_certificate_provider_instance),
        ),
        (
            "system_root_certs",
            system_root_certs.is_some() && trusted_ca.is_none(),
        ),
        ("verify_certificate_spki", set(&verify_certificate_spki)),
        ("verify_certificate_hash", set(&verify_certificate_hash)),
        (
            "require_signed_certificate_timestamp",
            is_true(require_signed_certificate_timestamp.as_ref()),
        ),
        ("allow_expired_certificate", allow_expired_certificate),
        ("trust_chain_verification", chain.is_err()),
        ("custom_validator_config", set(&custom_validator_config)),
        ("only_verify_leaf_cert_crl", only_verify_leaf_cert_crl),
        ("max_verify_depth", set(&max_verify_depth)),
    ]);
    if untyped && !typed {
        let rule = "not supported by evenkeel: must be match_typed_subject_alt_names";
        found.fault::<()>("match_subject_alt_names", rule);
    }
    found.ignore_if([
        ("match_subject_alt_names", untyped && typed),
        ("watched_directory", set(&watched_directory)),
        ("suppress_client_ca_list", suppress_client_ca_list),
    ]);
    let trust = source::optional(trusted_ca, "trusted_ca", found);
    let revocations = source::optional(crl, "crl", found);
    let names = found.each(
        "match_typed_subject_alt_names",
        match_typed_subject_alt_names,
        alt_name,
    );
    Some(Context {
        trust: trust?,
        revocations: revocations?,
        names: names?,
        untrusted: chain == Ok(TrustChainVerification::AcceptUntrusted),
    })
}

/// DNS names are compared without heed to case, whatever is said of it.
fn alt_name(from: tls::SubjectAltNameMatcher, found: &mut Findings) -> Option<AltName> {
    let tls::SubjectAltNameMatcher {
        san_type,
        matcher,
        // Belongs to names of other kinds.
        oid: _,
    } = from;
    let wrap = match SanType::try_from(san_type) {
        Ok(SanType::Uri) => AltName::Uri,
        Ok(SanType::Dns) => AltName::Dns,
        Ok(other) => {
            let rule = "not supported by evenkeel: must be URI or DNS";
            return found.invalid("san_type", other.as_str_name(), rule);
        }
        Err(_) => return found.invalid("san_type", san_type, "must be a known type"),
    };
    let Some(mut matcher) = matcher else {
        return found.fault("matcher", "is missing");
    };
    if san_type == i32::from(SanType::Dns)
        && matches!(matcher.match_pattern, Some(MatchPattern::Exact(_)))
    {
        matcher.ignore_case = false;
    }
    string_match(matcher, "matcher", found).map(wrap)
}
