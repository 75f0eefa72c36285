//! A certificate chain with its private key, and the names in a certificate.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::Error;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::fault::TlsFault;
use super::provider;

/// What a certificate says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// URIs among its alternative names.
    pub uris: Vec<String>,
    /// DNS names among its alternative names.
    pub dns: Vec<String>,
    /// Addresses among its alternative names.
    pub addresses: Vec<IpAddr>,
    /// The subject, in the form of RFC 2253.
    pub subject: String,
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
}

impl Identity {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is not an X.509 certificate.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, TlsFault> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| TlsFault::BadCertificate(error.to_string()))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| TlsFault::BadCertificate(error.to_string()))?;
        let names = names.map(|names| names.value.general_names.as_slice());
        let mut identity = Self {
            uris: Vec::new(),
            dns: Vec::new(),
            addresses: Vec::new(),
            subject: parsed.subject().to_string(),
            fingerprint: hexadecimal(&Sha256::digest(certificate)),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        };
        for name in names.unwrap_or_default() {
            match name {
                GeneralName::URI(uri) => identity.uris.push((*uri).to_owned()),
                GeneralName::DNSName(dns) => identity.dns.push(dns.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => identity.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(identity)
    }

    /// All alternative names: DNS names, then addresses, then URIs.
    pub fn names(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let dns = self.dns.iter().cloned();
        dns.chain(addresses)
            .chain(self.uris.iter().cloned())
            .collect()
    }

    /// The name to show for the holder: its first URI, else its first DNS name,
    /// else the subject.
    pub fn label(&self) -> &str {
        let name = self.uris.first().or_else(|| self.dns.first());
        name.unwrap_or(&self.subject)
    }
}

/// An address of four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let short = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    short.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A certificate chain with its private key, which belong together.
#[derive(Clone)]
pub struct Pair {
    /// Chain and key, as rustls takes them.
    pub key: Arc<CertifiedKey>,
    /// What the certificate says of its holder.
    pub identity: Identity,
}

impl Pair {
    /// Reads a chain and its key from PEM.
    ///
    /// # Errors
    /// What is wrong with them, without any of the key's bytes.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, TlsFault> {
        let chain = certificates(chain, "the certificate chain")?;
        let first = chain.first().ok_or(TlsFault::Missing {
            what: "the certificate chain",
        })?;
        let identity = Identity::read(first)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFault::BadKey)?;
        let certified = CertifiedKey::from_der(chain, key, &provider());
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(_) => TlsFault::Mismatch,
            Error::InvalidCertificate(reason) => TlsFault::BadCertificate(reason.to_string()),
            _ => TlsFault::BadKey,
        })?;
        Ok(Self {
            key: Arc::new(certified),
            identity,
        })
    }
}

/// Without the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// All certificates of a PEM text; at least one.
pub(super) fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| TlsFault::NotPem {
        what,
        reason: error.to_string(),
    })?;
    if certificates.is_empty() {
        return Err(TlsFault::Missing { what });
    }
    Ok(certificates)
}
