//! An authority for one run, and the certificate that every proxy shows.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::load::SERVER_NAME;

/// Files with certificates.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// The proxies' certificate: ECDSA with P-256.
    pub(crate) chain: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Both in one file.
    pub(crate) bundle: PathBuf,
}

impl Certificates {
    /// Makes them in `directory`.
    ///
    /// # Errors
    /// If there are no keys to be had, or the files cannot be written.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        let certificate = params.signed_by(&key, &issuer)?;

        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            anyhow::Ok(path)
        };
        let both = format!("{}{}", certificate.pem(), key.serialize_pem());
        Ok(Self {
            authority: write("authority.pem", authority.pem())?,
            chain: write("proxy.pem", certificate.pem())?,
            key: write("proxy.key", key.serialize_pem())?,
            bundle: write("proxy-and-key.pem", both)?,
        })
    }
}
