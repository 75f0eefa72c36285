//! The names that a certificate carries, by what it is for.

use rcgen::SanType;
use rustls::pki_types::DnsName;

use super::{IssueArgs, Purpose};
use crate::failure::Failure;

/// Longest name, in bytes; the common name of a subject ends there (RFC 5280).
const MAX_NAME: usize = 64;

/// Names without the authority's trust domain, which is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// Host names and addresses.
    pub(super) hosts: Vec<SanType>,
    /// What comes after `spiffe://DOMAIN/`.
    pub(super) paths: Vec<String>,
}

/// The names that a certificate for `purpose` carries.
///
/// # Errors
/// Everything that is wrong with those given.
pub(super) fn of(purpose: Purpose, args: &IssueArgs) -> Result<Names, Failure> {
    let mut faults = Vec::new();
    let name = &args.name;
    faults.extend(word("NAME", name).err());
    if name.eq_ignore_ascii_case("ca") {
        faults.push("NAME `ca`: the files of this name are the authority's".to_owned());
    }
    faults.extend(
        args.group
            .iter()
            .filter_map(|group| word("--group", group).err()),
    );
    let takes_hosts = matches!(purpose, Purpose::ControlPlane | Purpose::Server);
    let has_hosts = !args.dns.is_empty() || !args.ip.is_empty();
    if has_hosts && !takes_hosts {
        faults.push("--dns and --ip are for control-plane and server only".to_owned());
    }
    if purpose == Purpose::Server && !has_hosts {
        faults.push("a server needs a name that clients look for: give --dns or --ip".to_owned());
    }
    if !matches!(purpose, Purpose::Proxy | Purpose::Group) && !args.group.is_empty() {
        faults.push("--group is for proxy and group only".to_owned());
    }
    let mut hosts = Vec::new();
    let local: &[&str] = match purpose {
        Purpose::ControlPlane => &["localhost"],
        _ => &[],
    };
    for host in local
        .iter()
        .copied()
        .chain(args.dns.iter().map(String::as_str))
    {
        match dns(host) {
            Ok(name) => hosts.push(name),
            Err(fault) => faults.push(fault),
        }
    }
    if purpose == Purpose::ControlPlane {
        hosts.push(SanType::IpAddress([127, 0, 0, 1].into()));
        hosts.push(SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()));
    }
    hosts.extend(args.ip.iter().copied().map(SanType::IpAddress));
    if !faults.is_empty() {
        return Err(Failure::Usage(faults.join("\n  ")));
    }
    let mut seen = Vec::new();
    hosts.retain(|host| {
        let is_new = !seen.contains(host);
        seen.push(host.clone());
        is_new
    });
    Ok(Names {
        hosts,
        paths: paths(purpose, name, &args.group),
    })
}

fn paths(purpose: Purpose, name: &str, groups: &[String]) -> Vec<String> {
    let own = match purpose {
        Purpose::ControlPlane => "control-plane",
        Purpose::Proxy => "proxy",
        Purpose::Group => "group",
        Purpose::Admin => "admin",
        Purpose::User => "user",
        Purpose::Server => return Vec::new(),
    };
    let groups = groups.iter().map(|group| format!("group/{group}"));
    std::iter::once(format!("{own}/{name}"))
        .chain(groups)
        .collect()
}

/// A name that can be part of a URI and of a file name.
fn word(what: &str, name: &str) -> Result<(), String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let begins = name
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_NAME && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!(
        "{what} `{name}`: must have 1 to {MAX_NAME} letters, digits, `-`, `_` or `.`, and begin \
         with a letter or digit"
    ))
}

fn dns(name: &str) -> Result<SanType, String> {
    let refused = || {
        format!("--dns `{name}`: must be a DNS name, for example shop.example.com or *.example.com")
    };
    let lower = name.to_ascii_lowercase();
    let host = lower.strip_prefix("*.").unwrap_or(&lower);
    DnsName::try_from(host).map_err(|_| refused())?;
    let text = lower.as_str().try_into().map_err(|_| refused())?;
    Ok(SanType::DnsName(text))
}

/// A trust domain as SPIFFE has it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn trust_domain(domain: &str) -> Result<&str, Failure> {
    let fits = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '_' | '.')
    };
    if (1..=MAX_NAME).contains(&domain.len()) && domain.chars().all(fits) {
        return Ok(domain);
    }
    Err(Failure::Usage(format!(
        "--trust-domain `{domain}`: must have 1 to {MAX_NAME} lower-case letters, digits, `-`, \
         `_` or `.`"
    )))
}
