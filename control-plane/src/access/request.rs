//! What is asked for when a token is to be made, checked. Pure.

use evenkeel_shared::error::Invalid;
use evenkeel_shared::proto::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::{bootstrap, caller::Method, grants};

/// The longest name, in bytes.
const NAME_LIMIT: usize = 63;

/// The longest name in a certificate, in bytes; the longest that SPIFFE allows.
const CERTIFICATE_LIMIT: usize = 2048;

/// The longest lifetime, in seconds: a hundred years. Longer is meant for ever.
const LIFETIME_LIMIT: i64 = 100 * 366 * 24 * 3600;

/// A token that can be made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub name: String,
    pub grants: Vec<v1::Grant>,
    /// In seconds.
    pub lifetime: Option<i64>,
    /// Empty for a token.
    pub certificate: String,
}

/// Reads a request.
///
/// # Errors
/// All its faults at once.
pub(super) fn check(request: v1::CreateTokenRequest) -> Result<Wanted, Vec<Invalid>> {
    let v1::CreateTokenRequest {
        name,
        grants,
        lifetime,
        mut certificate,
    } = request;
    let mut faults = Vec::new();
    if let Some(reason) = name_fault(&name) {
        faults.push(Invalid::new("name", reason));
    }
    if let Err(more) = grants::check(&grants) {
        faults.extend(more);
    }
    let lifetime = lifetime.map(|lifetime| lifetime.seconds);
    if lifetime.is_some_and(|seconds| !(1..=LIFETIME_LIMIT).contains(&seconds)) {
        let reason = "must be at least a second and at most a hundred years";
        faults.push(Invalid::new("lifetime", reason));
    }
    if !certificate.contains("://") {
        // DNS names are compared in lower case.
        certificate.make_ascii_lowercase();
    }
    if let Some(reason) = certificate_fault(&certificate) {
        faults.push(Invalid::new("certificate", reason));
    }
    if faults.is_empty() {
        Ok(Wanted {
            name,
            grants,
            lifetime,
            certificate,
        })
    } else {
        Err(faults)
    }
}

fn name_fault(name: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(fits) {
        Some("must be 1 to 63 letters, digits and `-_.@`")
    } else if [Method::Local.label(), bootstrap::NAME, bootstrap::MAKER].contains(&name) {
        Some("is a name that the control plane uses itself")
    } else {
        None
    }
}

fn certificate_fault(name: &str) -> Option<&'static str> {
    let broken = |c: char| c.is_whitespace() || c.is_control() || c == '*';
    if name.len() > CERTIFICATE_LIMIT {
        Some("must be at most 2048 bytes")
    } else if name.contains(broken) {
        Some("must be a URI or a DNS name as it stands in a certificate, without `*`")
    } else {
        None
    }
}

/// Faults, as a caller is told.
pub(super) fn refuse(faults: &[Invalid]) -> Status {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let violations: Vec<_> = faults
        .iter()
        .map(|fault| FieldViolation::new(&fault.path, &fault.reason))
        .collect();
    let details = ErrorDetails::with_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, texts.join("; "), details)
}
