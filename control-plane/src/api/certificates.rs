//! What the certificates in sealed secrets say of themselves: names and dates,
//! which are no secret.

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::data_source::Source;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::v1::secret::Content;
use evenkeel_shared::tls::Identity;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::committer::Configuration;
use crate::access::Caller;
use crate::seal::Seal;
use crate::store::ResourceKey;

/// Where a value comes from that is read from a certificate.
const ORIGIN: &str = "content";

/// A certificate that ends within this many seconds is told of, unless it was
/// made for a short time.
const SOON: i64 = 14 * DAY;

/// Of a certificate that was made for a short time, this part of it is soon.
const SOON_PART: i64 = 3;

const DAY: i64 = 24 * HOUR;
const HOUR: i64 = 3600;

impl Configuration {
    /// Certificates that somebody has to renew and that the caller may see, a
    /// line for each; `now` is in seconds since 1970.
    pub(super) fn expiring(&self, now: i64, caller: &Caller) -> Vec<String> {
        let head = self.head();
        let seen = head.state.iter();
        let seen = seen.filter(|(key, _)| caller.may(v1::Role::Read, key));
        expiring(seen, self.seal(), now)
    }
}

/// What the certificates in a secret say, if the secret is here and not in
/// files: how long they are valid, for whom they are, and what they are.
pub(super) fn facts(resource: &v1::Resource, seal: &Seal) -> Vec<v1::EffectiveValue> {
    let found = identities(resource, seal);
    let Some(first) = found.first() else {
        return Vec::new();
    };
    let field = field(resource);
    let value = |path: &str, value: String| v1::EffectiveValue {
        path: format!("{field}.{path}"),
        value,
        origin: ORIGIN.to_owned(),
    };
    let ends = found.iter().map(|identity| identity.not_after).min();
    let fingerprints = found.iter().map(|identity| identity.fingerprint.as_str());
    let names = if field == "trust" {
        found.iter().map(|found| found.subject.clone()).collect()
    } else {
        let addresses = first.addresses.iter().map(ToString::to_string);
        let texts = first.uris.iter().chain(&first.dns).cloned();
        texts.chain(addresses).collect::<Vec<_>>()
    };
    let fingerprints: Vec<&str> = match field {
        "trust" => fingerprints.collect(),
        _ => fingerprints.take(1).collect(),
    };
    vec![
        value("notAfter", date(ends.unwrap_or(first.not_after))),
        value("names", format!("[{}]", names.join(", "))),
        value("fingerprint", fingerprints.join(", ")),
    ]
}

/// Certificates in secrets that end soon or have ended, one line for each
/// secret; `now` is in seconds since 1970.
fn expiring<'a>(
    resources: impl Iterator<Item = (&'a ResourceKey, &'a v1::Resource)>,
    seal: &Seal,
    now: i64,
) -> Vec<String> {
    let mut found = Vec::new();
    for (key, resource) in resources {
        let ending = identities(resource, seal).into_iter();
        let ending = ending.filter(|identity| is_ending(identity, now));
        if let Some(first) = ending.min_by_key(|identity| identity.not_after) {
            let (label, end) = (first.label(), first.not_after);
            let (verb, span) = if end <= now {
                ("expired", format!("{} ago", span(now.saturating_sub(end))))
            } else {
                ("expires", format!("in {}", span(end.saturating_sub(now))))
            };
            found.push(format!(
                "{key}: the certificate of {label} {verb} {span}, at {}",
                date(end)
            ));
        }
    }
    found
}

fn is_ending(identity: &Identity, now: i64) -> bool {
    let lifetime = identity.not_after.saturating_sub(identity.not_before);
    let left = identity.not_after.saturating_sub(now);
    left < SOON.min(lifetime / SOON_PART)
}

fn span(seconds: i64) -> String {
    let (number, unit) = if seconds >= 2 * DAY {
        (seconds / DAY, "days")
    } else {
        (seconds / HOUR, "hours")
    };
    format!("{number} {unit}")
}

fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds);
    time.map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The field that holds what a secret holds.
fn field(resource: &v1::Resource) -> &'static str {
    match &resource.spec {
        Some(Spec::Secret(v1::Secret {
            content: Some(Content::Trust(_)),
        })) => "trust",
        _ => "certificate",
    }
}

/// The certificates in a secret, as far as they can be read.
fn identities(resource: &v1::Resource, seal: &Seal) -> Vec<Identity> {
    let Some(Spec::Secret(secret)) = &resource.spec else {
        return Vec::new();
    };
    let source = match &secret.content {
        Some(Content::Certificate(pair)) => pair.chain.as_ref(),
        Some(Content::Trust(bundle)) => bundle.certificates.as_ref(),
        None => None,
    };
    let Some(Source::Inline(text)) = source.and_then(|source| source.source.as_ref()) else {
        return Vec::new();
    };
    let Ok(pem) = seal.open(text) else {
        return Vec::new();
    };
    CertificateDer::pem_slice_iter(pem.expose())
        .filter_map(|certificate| Identity::read(&certificate.ok()?).ok())
        .collect()
}

#[cfg(test)]
mod tests;
