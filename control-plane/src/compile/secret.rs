//! `Secret` to [`ir::Secret`]: only those that a listener or cluster names, so
//! that no other is opened or sent to anybody.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_shared::error::Invalid;
use evenkeel_shared::ir;
use evenkeel_shared::names::SecretName;
use evenkeel_shared::proto::v1;

use crate::model::{Model, ModelFault, Secret, SecretSource};
use crate::seal::{Seal, SealFault};
use crate::store::ResourceKey;

/// The secrets that a model needs, opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened(pub(super) BTreeMap<SecretName, ir::Secret>);

/// Opens the secrets that a model needs.
///
/// # Errors
/// Every secret that this seal does not open.
pub fn open(model: &Model, seal: &Seal) -> Result<Opened, Vec<ModelFault>> {
    let mut opened = BTreeMap::new();
    let mut faults = Vec::new();
    for name in needed(model) {
        let Some(secret) = model.secrets.get(name.as_str()) else {
            continue;
        };
        match content(secret, seal) {
            Ok(content) => {
                let name = name.clone();
                opened.insert(name.clone(), ir::Secret { name, content });
            }
            Err(fault) => faults.push(ModelFault {
                key: ResourceKey::new(v1::Kind::Secret, name.as_str()),
                invalid: Invalid::new("", format!("cannot be opened: {fault}")),
            }),
        }
    }
    if faults.is_empty() {
        Ok(Opened(opened))
    } else {
        Err(faults)
    }
}

fn needed(model: &Model) -> BTreeSet<&SecretName> {
    let listeners = model.listeners.values();
    let listeners = listeners.filter_map(|listener| listener.tls.as_ref());
    let clusters = model.clusters.values();
    let clusters = clusters.filter_map(|cluster| cluster.tls.as_ref());
    listeners
        .flat_map(of_listener)
        .chain(clusters.flat_map(of_cluster))
        .collect()
}

/// The secrets that TLS of a listener names.
pub(crate) fn of_listener(tls: &ir::DownstreamTls) -> BTreeSet<&SecretName> {
    let certificates = tls.certificates.iter().filter_map(certificate);
    let trust = tls
        .clients
        .iter()
        .filter_map(|clients| trust(&clients.trust));
    certificates.chain(trust).collect()
}

/// The secrets that TLS of a cluster names.
pub(crate) fn of_cluster(tls: &ir::UpstreamTls) -> BTreeSet<&SecretName> {
    let certificate = tls.certificate.iter().filter_map(certificate);
    let verification = tls.verification.iter();
    let trust = verification.filter_map(|servers| trust(&servers.trust));
    certificate.chain(trust).collect()
}

const fn certificate(from: &ir::CertificateRef) -> Option<&SecretName> {
    match from {
        ir::CertificateRef::Secret(name) => Some(name),
        ir::CertificateRef::Files { .. } => None,
    }
}

const fn trust(from: &ir::TrustRef) -> Option<&SecretName> {
    match from {
        ir::TrustRef::Secret(name) => Some(name),
        ir::TrustRef::File(_) => None,
    }
}

fn content(secret: &Secret, seal: &Seal) -> Result<ir::SecretContent, SealFault> {
    Ok(match secret {
        Secret::Certificate { chain, key } => {
            ir::SecretContent::Certificate(ir::CertificateSource {
                chain: source(chain, seal)?,
                key: source(key, seal)?,
            })
        }
        Secret::Trust {
            certificates,
            revocations,
        } => ir::SecretContent::Trust(ir::TrustSource {
            certificates: source(certificates, seal)?,
            revocations: match revocations {
                Some(revocations) => Some(source(revocations, seal)?),
                None => None,
            },
        }),
    })
}

fn source(from: &SecretSource, seal: &Seal) -> Result<ir::DataSource, SealFault> {
    Ok(match from {
        SecretSource::File(path) => ir::DataSource::File(path.clone()),
        SecretSource::Sealed(text) => ir::DataSource::Inline(seal.open(text)?),
    })
}
