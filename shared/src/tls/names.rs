//! Which names a certificate must carry.

use std::net::IpAddr;

use regex::Regex;

use super::certificate::Identity;
use super::fault::TlsFault;
use crate::ir::{AltName, StringMatch};
use crate::xds::pattern;

/// Names of which a certificate must carry one.
#[derive(Debug, Clone)]
pub struct NameRules(Vec<Rule>);

#[derive(Debug, Clone)]
enum Rule {
    Uri(Text),
    Dns(Text),
    Address(IpAddr),
}

#[derive(Debug, Clone)]
enum Text {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl NameRules {
    /// Prepares the rules; without any, every certificate passes.
    ///
    /// # Errors
    /// A regular expression that cannot be used.
    pub fn build(names: &[AltName]) -> Result<Self, TlsFault> {
        let rules: Result<_, _> = names.iter().map(Rule::build).collect();
        rules.map(Self)
    }

    /// The host name or address that a certificate must carry, as RFC 6125 has
    /// it.
    pub fn host(name: &str) -> Self {
        let rule = name.parse().map_or_else(
            |_| Rule::Dns(Text::Exact(name.to_ascii_lowercase())),
            Rule::Address,
        );
        Self(vec![rule])
    }

    /// Whether a certificate carries one of the names.
    pub fn allow(&self, identity: &Identity) -> bool {
        self.0.is_empty() || self.0.iter().any(|rule| rule.matches(identity))
    }
}

impl Rule {
    fn build(name: &AltName) -> Result<Self, TlsFault> {
        Ok(match name {
            AltName::Uri(text) => Self::Uri(Text::build(text, false)?),
            AltName::Dns(text) => Self::Dns(Text::build(text, true)?),
        })
    }

    fn matches(&self, identity: &Identity) -> bool {
        match self {
            Self::Uri(text) => identity.uris.iter().any(|name| text.matches(name)),
            Self::Dns(Text::Exact(host)) => identity.dns.iter().any(|name| covers(name, host)),
            Self::Address(address) => identity.addresses.contains(address),
            Self::Dns(text) => identity.dns.iter().any(|name| text.matches(name)),
        }
    }
}

impl Text {
    /// DNS names are compared in lower case.
    fn build(from: &StringMatch, lower: bool) -> Result<Self, TlsFault> {
        let text = |text: &String| {
            if lower {
                text.to_ascii_lowercase()
            } else {
                text.clone()
            }
        };
        Ok(match from {
            StringMatch::Exact(exact) => Self::Exact(text(exact)),
            StringMatch::Prefix(prefix) => Self::Prefix(text(prefix)),
            StringMatch::Suffix(suffix) => Self::Suffix(text(suffix)),
            StringMatch::Contains(part) => Self::Contains(text(part)),
            StringMatch::Regex(regex) => {
                let built = pattern::whole(regex);
                Self::Regex(built.map_err(|reason| TlsFault::BadPattern {
                    pattern: regex.clone(),
                    reason,
                })?)
            }
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => name.ends_with(suffix.as_str()),
            Self::Contains(part) => name.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

/// Whether a name in a certificate covers a host: it is the same, or `*` stands
/// for its first label (RFC 6125, section 6.4.3).
fn covers(name: &str, host: &str) -> bool {
    if name == host {
        return true;
    }
    let rest = name.strip_prefix("*.");
    let parent = host.split_once('.').map(|(_, parent)| parent);
    rest.is_some() && rest == parent
}
