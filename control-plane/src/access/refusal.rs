//! Why somebody is not let in, or may not do what is asked, and how that is
//! said.

use evenkeel_shared::proto::v1;
use tonic::Status;

use super::grants::role_label;
use crate::store::ResourceKey;

/// How many resources a text names at the most.
const NAMED: usize = 50;

/// Why a caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was shown, and nothing is not enough.
    #[error(
        "this control plane asks for credentials: give a token (`--token-file` or EVENKEEL_TOKEN) or a client certificate (`--cert` and `--key`); the first token is in `admin.token` of its data directory"
    )]
    Nothing,
    /// The `authorization` of the request is not one that is understood.
    #[error(
        "the authorization must be given once, as `Bearer` and a token that begins with `ekt_`"
    )]
    Malformed,
    /// There is no such token, or its secret is another.
    #[error("the token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the token `{0}` has expired: ask an administrator for a new one")]
    Expired(String),
    /// It was ended.
    #[error("the token `{0}` was revoked: ask an administrator for a new one")]
    Revoked(String),
    /// A certificate that names nobody who is let in.
    #[error(
        "the client certificate of {0} names nobody who is let in: an administrator can let it in with `evenkeel token create NAME --certificate SAN`, or give a token"
    )]
    UnknownCertificate(String),
    /// A certificate that ended while its connection was open.
    #[error("the client certificate of {0} has expired: connect again with a new one")]
    ExpiredCertificate(String),
    /// The request did not come through a listener.
    #[error("the connection does not say where it comes from")]
    Nowhere,
}

impl Refusal {
    /// One word for statistics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Nothing => "no_credentials",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown_token",
            Self::Expired(_) => "expired_token",
            Self::Revoked(_) => "revoked_token",
            Self::UnknownCertificate(_) => "unknown_certificate",
            Self::ExpiredCertificate(_) => "expired_certificate",
            Self::Nowhere => "no_address",
        }
    }

    /// Who it was, as far as that is proven.
    pub(super) fn subject(&self) -> &str {
        match self {
            Self::Expired(name)
            | Self::Revoked(name)
            | Self::UnknownCertificate(name)
            | Self::ExpiredCertificate(name) => name,
            Self::Nothing | Self::Malformed | Self::Unknown | Self::Nowhere => "",
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self::unauthenticated(refusal.to_string())
    }
}

/// A resource that the caller may not touch, and the role that it would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Which resource.
    pub key: ResourceKey,
    /// The role.
    pub role: v1::Role,
    /// Whether the caller may know that the resource is concerned.
    pub visible: bool,
}

/// What a caller is told who may not do this.
pub(crate) fn denied_text(subject: &str, denials: &[Denial]) -> String {
    let mut named: Vec<String> = denials
        .iter()
        .filter(|denial| denial.visible)
        .map(|denial| format!("`{}` on {}", role_label(denial.role), denial.key))
        .collect();
    let more = denials.len() - named.len().min(NAMED);
    named.truncate(NAMED);
    if more > 0 {
        named.push(format!("roles on {more} more resources"));
    }
    format!("{subject} may not do this: it needs {}", named.join(", "))
}
