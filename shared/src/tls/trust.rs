//! Whom to trust.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::certificates;
use super::fault::TlsFault;

/// Authorities, and what they took back.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The authorities.
    pub roots: Arc<RootCertStore>,
    /// What they took back; empty is that nobody asks.
    pub revocations: Vec<CertificateRevocationListDer<'static>>,
}

impl Trust {
    /// Reads authorities, and lists of revoked certificates if there are some,
    /// from PEM.
    ///
    /// # Errors
    /// What is wrong with them; one bad certificate is enough.
    pub fn read(pem: &[u8], revocations: Option<&[u8]>) -> Result<Self, TlsFault> {
        let mut roots = RootCertStore::empty();
        let read = certificates(pem, "the bundle of trusted certificates")?;
        for (index, certificate) in read.into_iter().enumerate() {
            roots
                .add(certificate)
                .map_err(|error| TlsFault::BadAuthority {
                    position: index + 1,
                    reason: error.to_string(),
                })?;
        }
        let revocations: Result<_, _> =
            CertificateRevocationListDer::pem_slice_iter(revocations.unwrap_or_default()).collect();
        let revocations =
            revocations.map_err(|error| TlsFault::BadRevocations(error.to_string()))?;
        Ok(Self {
            roots: Arc::new(roots),
            revocations,
        })
    }
}
