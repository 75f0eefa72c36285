//! `TlsCertificate` and references to one.

use super::source;
use crate::ir::{CertificateRef, CertificateSource};
use crate::names::SecretName;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::text;
use crate::xds::decode::values::own_stream;
use crate::xds::wire::tls;

/// Reads the certificates of a context. Where there are any in it, those that
/// are named have no effect, as in Envoy.
pub(super) fn references(
    inline: Vec<tls::TlsCertificate>,
    named: Vec<tls::SdsSecretConfig>,
    found: &mut Findings,
) -> Option<Vec<CertificateRef>> {
    let field = "tls_certificate_sds_secret_configs";
    if inline.is_empty() {
        return found.each(field, named, |from, found| {
            secret_name(from, found).map(CertificateRef::Secret)
        });
    }
    found.ignore_if([(field, set(&named))]);
    found.each("tls_certificates", inline, files)
}

/// Reads the name of a secret that comes on the same stream.
pub(super) fn secret_name(from: tls::SdsSecretConfig, found: &mut Findings) -> Option<SecretName> {
    let tls::SdsSecretConfig { name, sds_config } = from;
    let source = own_stream(sds_config, "sds_config", found);
    let name = text::name(name, "name", found);
    source?;
    Some(SecretName::new(name?))
}

fn files(from: tls::TlsCertificate, found: &mut Findings) -> Option<CertificateRef> {
    let CertificateSource { chain, key } = certificate(from, found)?;
    let chain = source::path(chain, "certificate_chain", found);
    let key = source::path(key, "private_key", found);
    Some(CertificateRef::Files {
        chain: chain?,
        key: key?,
    })
}

/// Reads a certificate with its key.
pub(in crate::xds::decode) fn certificate(
    from: tls::TlsCertificate,
    found: &mut Findings,
) -> Option<CertificateSource> {
    let tls::TlsCertificate {
        certificate_chain,
        private_key,
        pkcs12,
        watched_directory,
        private_key_provider,
        password,
        ocsp_staple,
        signed_certificate_timestamp,
        tls_params,
    } = from;
    found.unsupported_if([
        ("pkcs12", set(&pkcs12)),
        ("private_key_provider", set(&private_key_provider)),
        ("password", set(&password)),
        ("ocsp_staple", set(&ocsp_staple)),
        (
            "signed_certificate_timestamp",
            set(&signed_certificate_timestamp),
        ),
        ("tls_params", set(&tls_params)),
    ]);
    found.ignore_if([("watched_directory", set(&watched_directory))]);
    let chain = source::required(certificate_chain, "certificate_chain", found);
    let key = source::required(private_key, "private_key", found);
    Some(CertificateSource {
        chain: chain?,
        key: key?,
    })
}
