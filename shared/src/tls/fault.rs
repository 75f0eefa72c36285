//! What can be wrong with certificates and handshakes, in words for people.

use rustls::{CertificateError, Error};

/// Why a certificate, a key or a bundle cannot be used. Never holds any of
/// their bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Text that is not PEM, or is cut.
    #[error("{what} is not PEM: {reason}")]
    NotPem {
        /// Which part.
        what: &'static str,
        /// What the reader says.
        reason: String,
    },
    /// PEM without the section that is needed.
    #[error("{what} is missing")]
    Missing {
        /// Which part.
        what: &'static str,
    },
    /// A certificate that cannot be read.
    #[error("the certificate cannot be read: {0}")]
    BadCertificate(String),
    /// A key of a kind that is not supported.
    #[error(
        "the private key cannot be used: it must be RSA, ECDSA or Ed25519, in PEM, not encrypted"
    )]
    BadKey,
    /// A key of another certificate.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// An authority's certificate that cannot be used as one.
    #[error("certificate {position} of the trusted ones cannot be used: {reason}")]
    BadAuthority {
        /// Which one, from 1.
        position: usize,
        /// Why.
        reason: String,
    },
    /// A list of revoked certificates that cannot be used.
    #[error("the list of revoked certificates cannot be used: {0}")]
    BadRevocations(String),
    /// A pattern for names that cannot be used.
    #[error("the pattern {pattern:?} for names cannot be used: {reason}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// Settings that rustls refuses.
    #[error("TLS cannot be set up: {0}")]
    Settings(String),
}

/// The reason of a failed handshake, as one word for metrics and logs:
/// `expired`, `not_valid_yet`, `unknown_issuer`, `wrong_name`, `revoked`,
/// `no_certificate`, `bad_certificate`, `version`, `no_common_cipher`,
/// `no_common_protocol`, `alert`, `not_tls`, or `other`.
pub fn refusal(error: &Error) -> &'static str {
    use rustls::PeerIncompatible as Incompatible;

    match error {
        Error::InvalidCertificate(certificate) => certificate_refusal(certificate),
        Error::NoCertificatesPresented => "no_certificate",
        Error::PeerIncompatible(
            // Who offers only 1.1 has no such extension, and that is seen first.
            Incompatible::SignatureAlgorithmsExtensionRequired
            | Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled
            | Incompatible::Tls13RequiredForQuic
            | Incompatible::SupportedVersionsExtensionRequired
            | Incompatible::ServerDoesNotSupportTls12Or13
            | Incompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "version",
        Error::PeerIncompatible(
            Incompatible::NoCipherSuitesInCommon | Incompatible::NoKxGroupsInCommon,
        ) => "no_common_cipher",
        Error::NoApplicationProtocol => "no_common_protocol",
        Error::AlertReceived(_) => "alert",
        Error::InvalidMessage(_) => "not_tls",
        _ => "other",
    }
}

fn certificate_refusal(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not_valid_yet"
        }
        // A bad signature is that of another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "unknown_issuer",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "wrong_name"
        }
        CertificateError::Revoked => "revoked",
        _ => "bad_certificate",
    }
}
