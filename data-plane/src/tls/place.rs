//! Where certificates and keys come from.

use std::fmt;
use std::sync::Arc;

use evenkeel_shared::ir::{
    CertificateRef, CertificateSource, DataSource, SecretContent, TrustRef, TrustSource,
};
use evenkeel_shared::names::SecretName;

use super::plan::Plan;

/// One place that certificates come from; read once however many use it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A secret of the control plane.
    Secret(SecretName),
    /// Files that a listener or cluster names.
    Pair {
        /// The chain.
        chain: String,
        /// The private key.
        key: String,
    },
    /// A file with certificates to trust that a listener or cluster names.
    Trust(String),
}

impl Place {
    /// A short name for labels: that of a secret, or the file of the certificates.
    pub fn label(&self) -> &str {
        match self {
            Self::Secret(name) => name.as_str(),
            Self::Pair { chain, .. } => chain,
            Self::Trust(path) => path,
        }
    }

    /// What is to be read there; `None` if the control plane has not said.
    pub(super) fn content(&self, plan: &Plan) -> Option<SecretContent> {
        let file = |path: &String| DataSource::File(path.clone());
        match self {
            Self::Secret(name) => Some(plan.secrets.get(name)?.content.clone()),
            Self::Pair { chain, key } => Some(SecretContent::Certificate(CertificateSource {
                chain: file(chain),
                key: file(key),
            })),
            Self::Trust(path) => Some(SecretContent::Trust(TrustSource {
                certificates: file(path),
                revocations: None,
            })),
        }
    }
}

impl From<&CertificateRef> for Place {
    fn from(from: &CertificateRef) -> Self {
        match from {
            CertificateRef::Secret(name) => Self::Secret(name.clone()),
            CertificateRef::Files { chain, key } => Self::Pair {
                chain: chain.clone(),
                key: key.clone(),
            },
        }
    }
}

impl From<&TrustRef> for Place {
    fn from(from: &TrustRef) -> Self {
        match from {
            TrustRef::Secret(name) => Self::Secret(name.clone()),
            TrustRef::File(path) => Self::Trust(path.clone()),
        }
    }
}

/// For people: the name of a secret, or the file of the certificates.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => write!(f, "secret {:?}", name.as_str()),
            Self::Pair { chain, .. } => write!(f, "certificate {chain:?}"),
            Self::Trust(path) => write!(f, "trusted certificates {path:?}"),
        }
    }
}

/// Why nothing can be had of a place that is not known.
pub(super) fn unknown(place: &Place) -> Arc<str> {
    format!("{place} is missing: the control plane has not sent it").into()
}
