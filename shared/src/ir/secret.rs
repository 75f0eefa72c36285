//! `envoy.extensions.transport_sockets.tls.v3.Secret`.

use serde::Serialize;

use crate::names::SecretName;
use crate::secret::SecretBytes;

/// A certificate with its key, or certificates to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// What it holds.
    pub content: SecretContent,
}

/// What a secret holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum SecretContent {
    /// A certificate chain with its private key.
    Certificate(CertificateSource),
    /// Certificates of authorities to trust.
    Trust(TrustSource),
}

/// Where a certificate chain and its key are; PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateSource {
    /// The chain, the certificate itself first.
    pub chain: DataSource,
    /// The private key.
    pub key: DataSource,
}

/// Where certificates of authorities are; PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustSource {
    /// The certificates.
    pub certificates: DataSource,
    /// Lists of revoked certificates.
    pub revocations: Option<DataSource>,
}

/// Where bytes are. What is inline is taken for a secret, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum DataSource {
    /// A file, which the proxy reads again whenever it changes.
    File(String),
    /// Here.
    Inline(SecretBytes),
}

impl DataSource {
    /// Whether the bytes are here.
    pub const fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
    }
}
