//! `Secret`.

use prost::Message as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::ir;
use crate::xds::wire::{core, tls};
use core::data_source::Specifier;

/// Writes a secret, and wipes the copies of its content that were made for it.
pub(in crate::xds) fn secret_bytes(from: &ir::Secret) -> Zeroizing<Vec<u8>> {
    let mut message = secret(from);
    // The buffer gets its whole size at once, so that it leaves no other copy.
    let bytes = Zeroizing::new(message.encode_to_vec());
    match &mut message.r#type {
        Some(tls::secret::Type::TlsCertificate(pair)) => {
            wipe(pair.certificate_chain.as_mut());
            wipe(pair.private_key.as_mut());
        }
        Some(tls::secret::Type::ValidationContext(trust)) => {
            wipe(trust.trusted_ca.as_mut());
            wipe(trust.crl.as_mut());
        }
        _ => {}
    }
    bytes
}

fn secret(from: &ir::Secret) -> tls::Secret {
    let content = match &from.content {
        ir::SecretContent::Certificate(pair) => {
            tls::secret::Type::TlsCertificate(tls::TlsCertificate {
                certificate_chain: Some(data_source(&pair.chain)),
                private_key: Some(data_source(&pair.key)),
                ..tls::TlsCertificate::default()
            })
        }
        ir::SecretContent::Trust(trust) => {
            tls::secret::Type::ValidationContext(tls::CertificateValidationContext {
                trusted_ca: Some(data_source(&trust.certificates)),
                crl: trust.revocations.as_ref().map(data_source),
                ..tls::CertificateValidationContext::default()
            })
        }
    };
    tls::Secret {
        name: from.name.as_str().to_owned(),
        r#type: Some(content),
    }
}

fn data_source(from: &ir::DataSource) -> core::DataSource {
    let specifier = match from {
        ir::DataSource::File(path) => Specifier::Filename(path.clone()),
        ir::DataSource::Inline(bytes) => Specifier::InlineBytes(bytes.expose().to_vec()),
    };
    core::DataSource {
        watched_directory: None,
        specifier: Some(specifier),
    }
}

fn wipe(source: Option<&mut core::DataSource>) {
    if let Some(Specifier::InlineBytes(bytes)) = source.and_then(|source| source.specifier.as_mut())
    {
        bytes.zeroize();
    }
}
