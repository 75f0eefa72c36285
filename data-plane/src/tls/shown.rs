//! Certificates as people see them. Nothing here is secret.

use std::fmt;
use std::sync::Arc;

use evenkeel_shared::tls::Identity;
use serde::Serialize;

use super::place::Place;

/// All that there is of certificates.
#[derive(Debug, Default)]
pub struct Overview {
    /// Where they come from, in order.
    pub places: Vec<Shown>,
    /// Listeners and clusters that refuse every handshake, and why.
    pub refusing: Vec<(String, Arc<str>)>,
}

/// One place that certificates come from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The place.
    pub place: Place,
    /// The files, or `inline`; `None` if the control plane has not said.
    pub source: Option<String>,
    /// Whether it holds certificates to trust.
    pub trusted: bool,
    /// The certificates in use.
    pub certificates: Vec<Identity>,
    /// Why the newest is not used.
    pub error: Option<Arc<str>>,
}

/// A certificate on a page.
#[derive(Debug, Serialize)]
pub struct Certificate {
    subject: String,
    names: Vec<String>,
    not_before: String,
    not_after: String,
    fingerprint: String,
}

impl Shown {
    /// When it is of no use any more, in seconds since 1970: when the certificate
    /// ends, or the last of those that are trusted.
    pub fn not_after(&self) -> Option<i64> {
        let ends = self.certificates.iter();
        ends.map(|certificate| certificate.not_after).max()
    }
}

impl From<&Identity> for Certificate {
    fn from(from: &Identity) -> Self {
        let names = from.uris.iter().chain(&from.dns).cloned();
        let addresses = from.addresses.iter().map(ToString::to_string);
        Self {
            subject: from.subject.clone(),
            names: names.chain(addresses).collect(),
            not_before: date(from.not_before),
            not_after: date(from.not_after),
            fingerprint: from.fingerprint.clone(),
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            names,
            not_before,
            not_after,
            fingerprint,
        } = self;
        let names = names.join(",");
        write!(
            f,
            "subject={subject:?} names={names} not_before={not_before} not_after={not_after} \
             fingerprint={fingerprint}"
        )
    }
}

/// A moment, in seconds since 1970, for people.
pub(super) fn date(seconds: i64) -> String {
    let date = jiff::Timestamp::from_second(seconds);
    date.map_or_else(|_| seconds.to_string(), |date| date.to_string())
}
