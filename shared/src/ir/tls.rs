//! TLS of a listener (`DownstreamTlsContext`) and of a cluster
//! (`UpstreamTlsContext`), and the PROXY protocol.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ir::StringMatch;
use crate::names::SecretName;
use crate::units::optional_duration_text;

/// TLS between clients and a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownstreamTls {
    /// Certificates to show, by the name that a client asks for; the first one
    /// if none carries it. Not empty.
    pub certificates: Vec<CertificateRef>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// What is asked of clients; `None` is nothing.
    pub clients: Option<ClientVerification>,
    /// How long a handshake may take; `None` is as long as a connection may be
    /// idle.
    #[serde(with = "optional_duration_text")]
    pub handshake_timeout: Option<Duration>,
}

/// What is asked of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVerification {
    /// Who signs their certificates.
    pub trust: TrustRef,
    /// Whether one without a certificate is refused.
    pub required: bool,
    /// Names of which a certificate must carry one; empty is any.
    pub names: Vec<AltName>,
}

/// TLS between proxies and endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTls {
    /// The host name that is asked for.
    pub server_name: Option<String>,
    /// How the endpoint's certificate is verified; `None` is not at all.
    pub verification: Option<ServerVerification>,
    /// What is shown to endpoints.
    pub certificate: Option<CertificateRef>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

/// How an endpoint's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerVerification {
    /// Who signs it.
    pub trust: TrustRef,
    /// Names of which it must carry one; empty is any.
    pub names: Vec<AltName>,
}

/// Where a certificate with its key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateRef {
    /// A secret, asked for by name (SDS).
    Secret(SecretName),
    /// Files on the proxy; PEM.
    Files {
        /// The chain.
        chain: String,
        /// The private key.
        key: String,
    },
}

/// Where certificates of authorities come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrustRef {
    /// A secret, asked for by name (SDS).
    Secret(SecretName),
    /// A file on the proxy; PEM.
    File(String),
}

/// A name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AltName {
    /// A URI.
    Uri(StringMatch),
    /// A DNS name; an [`StringMatch::Exact`] one also matches a wildcard in the
    /// certificate, as RFC 6125 has it.
    Dns(StringMatch),
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// Versions of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}
