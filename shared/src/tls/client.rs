//! The connecting side of a handshake.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::{Identity, Pair};
use super::fault::TlsFault;
use super::names::NameRules;
use super::trust::Trust;
use super::{provider, versions};
use crate::ir::TlsVersion;

/// What a client asks and shows.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// What is asked of the server; `None` is nothing at all, for tests.
    pub server: Option<ServerRules>,
    /// What is shown to a server that asks.
    pub certificate: Option<Pair>,
    /// The lowest version.
    pub lowest: TlsVersion,
    /// Protocols offered, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// Whether the server is told which name is meant (SNI).
    pub names_server: bool,
}

/// What is asked of a server.
#[derive(Debug, Clone)]
pub struct ServerRules {
    /// Who signs its certificate.
    pub trust: Trust,
    /// Which names it must carry.
    pub names: NameRules,
}

impl ClientSettings {
    /// The settings as rustls takes them; sessions are resumed as long as they
    /// live. The name given with a connection is only told to the server; which
    /// names are accepted stands in the settings.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn build(self) -> Result<ClientConfig, TlsFault> {
        let verifier: Arc<dyn ServerCertVerifier> = match self.server {
            Some(rules) => Arc::new(Check::build(rules)?),
            None => Arc::new(Anybody(provider().signature_verification_algorithms)),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(self.lowest))
            .map_err(|error| TlsFault::Settings(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.certificate {
            Some(pair) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.enable_sni = self.names_server;
        Ok(config)
    }
}

/// Takes servers whose certificate is signed and named as wanted.
#[derive(Debug)]
struct Check {
    chain: Arc<WebPkiServerVerifier>,
    names: NameRules,
}

impl Check {
    fn build(rules: ServerRules) -> Result<Self, TlsFault> {
        let Trust { roots, revocations } = rules.trust;
        let chain = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(revocations)
            .build()
            .map_err(|error| TlsFault::Settings(error.to_string()))?;
        Ok(Self {
            chain,
            names: rules.names,
        })
    }
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .chain
            .verify_server_cert(certificate, chain, name, ocsp, now);
        match verified {
            Ok(_)
            // The name is looked at last, so all else is well; and which name it
            // must be is decided here.
            | Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(error) => return Err(error),
        }
        let identity = Identity::read(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if self.names.allow(&identity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForNameContext {
                    expected: name.to_owned(),
                    presented: identity.names(),
                },
            ))
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

/// Takes any server that holds the key of the certificate it shows.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
