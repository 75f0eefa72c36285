//! Certificates for tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evenkeel_shared::ir::{
    CertificateRef, CertificateSource, DataSource, DownstreamTls, Secret, SecretContent,
    ServerVerification, TlsVersion, TrustRef, TrustSource, UpstreamTls,
};
use evenkeel_shared::secret::SecretBytes;
use evenkeel_shared::tls::{Pair, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate with its key, in PEM.
pub(crate) struct Pem {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Valid for a name, which may be an address, for a long time.
    pub(crate) fn pair(&self, name: &str) -> Pem {
        self.pair_until(name, 4096)
    }

    /// Valid until the beginning of a year.
    pub(crate) fn pair_until(&self, name: &str, year: i32) -> Pem {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.signed(&params)
    }

    /// Valid for so long from now on.
    pub(crate) fn pair_for(&self, name: &str, time: Duration) -> Pem {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        last(&mut params, time);
        self.signed(&params)
    }

    /// As it trusts itself.
    pub(crate) fn trust(&self) -> Trust {
        Trust::read(self.pem.as_bytes(), None).unwrap()
    }

    /// With a key of its own.
    pub(crate) fn signed(&self, params: &CertificateParams) -> Pem {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pem {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Pem {
    pub(crate) fn read(&self) -> Pair {
        Pair::read(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

/// Makes a certificate end so long from now on.
pub(crate) fn last(params: &mut CertificateParams, time: Duration) {
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now) + time;
}

/// Writes a pair as `web.pem` and `web.key`.
pub(crate) fn write(directory: &Path, pair: &Pem) -> (PathBuf, PathBuf) {
    let (chain, key) = (directory.join("web.pem"), directory.join("web.key"));
    std::fs::write(&chain, &pair.chain).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    (chain, key)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn inline(pem: &str) -> DataSource {
    DataSource::Inline(SecretBytes::new(pem.as_bytes().to_vec()))
}

/// A listener that shows these certificates and asks nothing.
pub(crate) fn downstream(certificates: Vec<CertificateRef>) -> DownstreamTls {
    DownstreamTls {
        certificates,
        min_version: TlsVersion::Tls12,
        clients: None,
        handshake_timeout: None,
    }
}

/// A cluster that trusts and shows nothing.
pub(crate) fn upstream(trust: TrustRef) -> UpstreamTls {
    UpstreamTls {
        server_name: Some("shop.test".to_owned()),
        verification: Some(ServerVerification {
            trust,
            names: Vec::new(),
        }),
        certificate: None,
        min_version: TlsVersion::Tls12,
    }
}

pub(crate) fn files((chain, key): &(PathBuf, PathBuf)) -> CertificateRef {
    CertificateRef::Files {
        chain: text(chain),
        key: text(key),
    }
}

/// A secret that holds a pair itself.
pub(crate) fn inline_pair(name: &str, pair: &Pem) -> Secret {
    Secret {
        name: name.into(),
        content: SecretContent::Certificate(CertificateSource {
            chain: inline(&pair.chain),
            key: inline(&pair.key),
        }),
    }
}

/// A secret that says where a pair is.
pub(crate) fn file_pair(name: &str, (chain, key): &(PathBuf, PathBuf)) -> Secret {
    Secret {
        name: name.into(),
        content: SecretContent::Certificate(CertificateSource {
            chain: DataSource::File(text(chain)),
            key: DataSource::File(text(key)),
        }),
    }
}

/// A secret that holds an authority itself.
pub(crate) fn inline_trust(name: &str, authority: &Authority) -> Secret {
    Secret {
        name: name.into(),
        content: SecretContent::Trust(TrustSource {
            certificates: inline(&authority.pem),
            revocations: None,
        }),
    }
}
