//! TLS of the load generator. It offers one cipher suite and one group, so that
//! every proxy does the same cryptography.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Handshakes;

/// Sessions that a connection remembers.
const SESSIONS: usize = 8;

pub(super) fn client(authority: &Path, handshakes: Handshakes) -> anyhow::Result<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority);
    roots.add(certificate.with_context(|| authority.display().to_string())?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = match handshakes {
        Handshakes::Resumed => Resumption::in_memory_sessions(SESSIONS),
        Handshakes::Kept | Handshakes::Full => Resumption::disabled(),
    };
    Ok(config)
}
