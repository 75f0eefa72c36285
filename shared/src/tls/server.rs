//! The accepting side of a handshake.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

use super::certificate::{Identity, Pair};
use super::fault::TlsFault;
use super::names::NameRules;
use super::trust::Trust;
use super::{provider, versions};
use crate::ir::TlsVersion;

/// What a server shows and asks.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Certificates by the name that is asked for; the first one if none carries
    /// it. At least one.
    pub certificates: Vec<Pair>,
    /// What is asked of clients; `None` is nothing.
    pub clients: Option<ClientRules>,
    /// The lowest version.
    pub lowest: TlsVersion,
    /// Protocols offered, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
}

/// What is asked of clients.
#[derive(Debug, Clone)]
pub struct ClientRules {
    /// Who signs their certificates.
    pub trust: Trust,
    /// Whether one without a certificate is refused.
    pub required: bool,
    /// Which names they must carry.
    pub names: NameRules,
}

impl ServerSettings {
    /// The settings as rustls takes them. Sessions are resumed by tickets, which
    /// end with these settings; so after a change of certificates or authorities
    /// everybody is asked again.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn build(self) -> Result<ServerConfig, TlsFault> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(self.lowest))
            .map_err(|error| TlsFault::Settings(error.to_string()))?;
        let builder = match self.clients {
            Some(rules) => builder.with_client_cert_verifier(Arc::new(Gate::build(rules)?)),
            None => builder.with_no_client_auth(),
        };
        let shown = Shown::new(&self.certificates)?;
        let mut config = builder.with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = self.alpn;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(|error| TlsFault::Settings(error.to_string()))?;
        Ok(config)
    }
}

/// Chooses the certificate by the name that a client asks for.
#[derive(Debug)]
struct Shown {
    first: Arc<CertifiedKey>,
    names: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Shown {
    fn new(pairs: &[Pair]) -> Result<Self, TlsFault> {
        let first = pairs.first().ok_or(TlsFault::Missing {
            what: "a certificate",
        })?;
        let mut names: BTreeMap<String, Vec<Arc<CertifiedKey>>> = BTreeMap::new();
        for pair in pairs {
            for name in &pair.identity.dns {
                names
                    .entry(name.clone())
                    .or_default()
                    .push(Arc::clone(&pair.key));
            }
        }
        Ok(Self {
            first: Arc::clone(&first.key),
            names,
        })
    }

    /// Those that carry a name, else those whose wildcard covers it.
    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let wildcard = |name: &str| {
            let (_, parent) = name.split_once('.')?;
            self.names.get(&format!("*.{parent}"))
        };
        self.names.get(name).or_else(|| wildcard(name))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            // rustls hands it over in lower case.
            let named = self.named(name)?;
            let fits = |pair: &&Arc<CertifiedKey>| {
                let schemes = hello.signature_schemes();
                pair.key.choose_scheme(schemes).is_some()
            };
            named.iter().find(fits).or_else(|| named.first())
        });
        Some(Arc::clone(named.unwrap_or(&self.first)))
    }
}

/// Lets clients in whose certificate is signed and named as wanted.
#[derive(Debug)]
struct Gate {
    chain: Arc<dyn ClientCertVerifier>,
    names: NameRules,
}

impl Gate {
    fn build(rules: ClientRules) -> Result<Self, TlsFault> {
        let Trust { roots, revocations } = rules.trust;
        let builder =
            WebPkiClientVerifier::builder_with_provider(roots, provider()).with_crls(revocations);
        let builder = if rules.required {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        let chain = builder
            .build()
            .map_err(|error| TlsFault::Settings(error.to_string()))?;
        Ok(Self {
            chain,
            names: rules.names,
        })
    }
}

impl ClientCertVerifier for Gate {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(certificate, chain, now)?;
        let identity = Identity::read(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if self.names.allow(&identity) {
            Ok(verified)
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
