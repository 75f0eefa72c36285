//! Certificates for tests, good and bad, from an authority of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use evenkeel_shared::ir::TlsVersion;
use evenkeel_shared::tls::{
    ALPN_HTTP1, ALPN_HTTP2, ClientRules, ClientSettings, NameRules, Pair, ServerRules,
    ServerSettings, Trust,
};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, SanType, date_time_ymd,
};
use rustls::{ClientConfig, ServerConfig};

/// A private authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub pem: String,
}

/// What stands in a certificate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// Host names and addresses.
    pub hosts: &'a [&'a str],
    /// URIs.
    pub uris: &'a [&'a str],
    /// Whether its time is over.
    pub expired: bool,
    /// Whether its key is RSA instead of ECDSA.
    pub rsa: bool,
}

/// A certificate with its key, PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        params.distinguished_name = subject;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Signs a new certificate.
    ///
    /// # Errors
    /// If a name cannot stand in one.
    pub fn issue(&self, subject: Subject<'_>) -> anyhow::Result<Issued> {
        let hosts: Vec<String> = subject
            .hosts
            .iter()
            .map(|host| (*host).to_owned())
            .collect();
        let mut params = CertificateParams::new(hosts)?;
        for uri in subject.uris {
            let uri = Ia5String::try_from(*uri)?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        if subject.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = if subject.rsa {
            KeyPair::generate_for(&PKCS_RSA_SHA256)?
        } else {
            KeyPair::generate()?
        };
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Writes its certificate to a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        replace(directory, "ca.crt", &self.pem)
    }

    /// A client that trusts this authority alone, for servers of `host`; shows a
    /// certificate if it is given one.
    ///
    /// # Errors
    /// If the certificate makes no sense.
    pub fn client(&self, host: &str, shows: Option<&Issued>) -> anyhow::Result<Arc<ClientConfig>> {
        let settings = ClientSettings {
            server: Some(ServerRules {
                trust: self.trust()?,
                names: NameRules::host(host),
            }),
            certificate: shows.map(Issued::pair).transpose()?,
            lowest: TlsVersion::Tls12,
            alpn: vec![ALPN_HTTP1.to_vec()],
            names_server: true,
        };
        Ok(Arc::new(settings.build()?))
    }

    /// A server with this certificate, which asks clients for one of this
    /// authority if it is to.
    ///
    /// # Errors
    /// If the certificate makes no sense.
    pub fn server(&self, shows: &Issued, asks: bool) -> anyhow::Result<Arc<ServerConfig>> {
        let clients = asks
            .then(|| {
                anyhow::Ok(ClientRules {
                    trust: self.trust()?,
                    required: true,
                    names: NameRules::build(&[])?,
                })
            })
            .transpose()?;
        let settings = ServerSettings {
            certificates: vec![shows.pair()?],
            clients,
            lowest: TlsVersion::Tls12,
            alpn: vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()],
        };
        Ok(Arc::new(settings.build()?))
    }

    fn trust(&self) -> anyhow::Result<Trust> {
        Ok(Trust::read(self.pem.as_bytes(), None)?)
    }
}

impl Issued {
    /// Writes `NAME.crt` and `NAME.key`, each as a whole.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        // The key first: a reader in between sees a pair that does not match,
        // and has to wait.
        let key = replace(directory, &format!("{name}.key"), &self.key)?;
        let certificate = replace(directory, &format!("{name}.crt"), &self.certificate)?;
        Ok((certificate, key))
    }

    fn pair(&self) -> anyhow::Result<Pair> {
        Ok(Pair::read(
            self.certificate.as_bytes(),
            self.key.as_bytes(),
        )?)
    }
}

fn replace(directory: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    let fresh = directory.join(format!(".{name}.new"));
    std::fs::write(&fresh, text).with_context(|| fresh.display().to_string())?;
    std::fs::rename(&fresh, &path).with_context(|| path.display().to_string())?;
    Ok(path)
}
