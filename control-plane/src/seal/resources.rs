//! The texts in resources that are sealed when they come in, and redacted when
//! they go out. The only place that knows where they stand.

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::data_source::Source;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::v1::secret::Content;
use zeroize::Zeroize as _;

use super::{Seal, SealFault, is_redacted, shown};
use crate::store::{DesiredState, ResourceKey};

/// Resources as somebody gave them, but sealed; what was redacted still is.
#[derive(Debug, Default)]
pub struct Admitted(Vec<v1::Resource>);

impl Seal {
    /// Seals the texts of resources, and wipes them.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn admit(&self, mut resources: Vec<v1::Resource>) -> Result<Admitted, SealFault> {
        for text in resources.iter_mut().flat_map(texts) {
            if !is_redacted(text) {
                let sealed = self.seal(text)?;
                text.zeroize();
                *text = sealed;
            }
        }
        Ok(Admitted(resources))
    }
}

impl Admitted {
    /// What they are.
    pub fn keys(&self) -> impl Iterator<Item = ResourceKey> {
        self.0.iter().map(ResourceKey::of)
    }

    /// The resources, in which a text that is shown for what is stored in the
    /// same place is that. One that is shown for nothing stays; it will be a
    /// fault.
    pub fn settle(self, state: &DesiredState) -> Vec<v1::Resource> {
        let mut resources = self.0;
        for resource in &mut resources {
            let mut stored = state.get(&ResourceKey::of(resource)).cloned();
            let stored = stored.iter_mut().flat_map(sources).collect::<Vec<_>>();
            for (place, text) in sources(resource) {
                let same = stored.iter().find(|(at, stored)| {
                    *at == place && is_redacted(text) && shown(stored) == *text
                });
                if let Some((_, stored)) = same {
                    text.clone_from(stored);
                }
            }
        }
        resources
    }
}

/// Replaces the texts of a resource by what is shown of them, unless that was
/// done already.
pub fn redact(resource: &mut v1::Resource) {
    for text in texts(resource).filter(|text| !is_redacted(text)) {
        *text = shown(text);
    }
}

/// A resource as it may be shown.
pub fn redacted(resource: &v1::Resource) -> v1::Resource {
    let mut resource = resource.clone();
    redact(&mut resource);
    resource
}

/// Replaces the texts in changes by what is shown of them.
pub fn redact_changes(changes: &mut [v1::Change]) {
    let both = changes
        .iter_mut()
        .flat_map(|change| change.before.iter_mut().chain(&mut change.after));
    both.for_each(redact);
}

/// Places in a secret where texts can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Chain,
    PrivateKey,
    Certificates,
    Revocations,
}

fn texts(resource: &mut v1::Resource) -> impl Iterator<Item = &mut String> {
    sources(resource).into_iter().map(|(_, text)| text)
}

/// The texts of a resource, by place.
fn sources(resource: &mut v1::Resource) -> Vec<(Place, &mut String)> {
    let Some(Spec::Secret(v1::Secret { content })) = &mut resource.spec else {
        return Vec::new();
    };
    let sources = match content {
        None => return Vec::new(),
        Some(Content::Certificate(pair)) => {
            let v1::CertificatePair { chain, private_key } = pair;
            [(Place::Chain, chain), (Place::PrivateKey, private_key)]
        }
        Some(Content::Trust(bundle)) => {
            let v1::TrustBundle {
                certificates,
                revocations,
            } = bundle;
            [
                (Place::Certificates, certificates),
                (Place::Revocations, revocations),
            ]
        }
    };
    let texts = sources.into_iter().filter_map(|(place, source)| {
        match source.as_mut().and_then(|source| source.source.as_mut()) {
            Some(Source::Inline(text)) => Some((place, text)),
            Some(Source::File(_)) | None => None,
        }
    });
    texts.collect()
}
