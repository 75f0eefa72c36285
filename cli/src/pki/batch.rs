//! Certificates that `pki init` makes in the same breath, for machines on which
//! one program runs once, such as a container without a shell.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use evenkeel_shared::tls::{Identity, Pair};
use jiff::Timestamp;
use rcgen::SanType;

use super::authority::{Authority, Order};
use super::files::Place;
use super::names::{self, Names};
use super::{IssueArgs, Purpose};
use crate::failure::Failure;
use crate::private_file;
use crate::render::Terminal;

/// Largest PEM file that is read, in bytes.
const MAX_PEM: usize = 1 << 20;

/// A certificate that is wanted: `KIND/NAME[,dns=…][,ip=…][,group=…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    purpose: Purpose,
    name: String,
    dns: Vec<String>,
    ip: Vec<IpAddr>,
    group: Vec<String>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (kind, name) = first
            .split_once('/')
            .ok_or("write it like proxy/edge-1,group=edge or server/shop,dns=shop.example.com")?;
        let purpose = Purpose::from_str(kind, false).map_err(|_| {
            let kinds = Purpose::value_variants().iter();
            let kinds = kinds.filter_map(Purpose::to_possible_value);
            let kinds: Vec<_> = kinds.map(|kind| kind.get_name().to_owned()).collect();
            format!("kind `{kind}`: must be one of {}", kinds.join(", "))
        })?;
        let mut wanted = Self {
            purpose,
            name: name.to_owned(),
            dns: Vec::new(),
            ip: Vec::new(),
            group: Vec::new(),
        };
        for part in parts {
            match part.split_once('=') {
                Some(("dns", value)) => wanted.dns.push(value.to_owned()),
                Some(("group", value)) => wanted.group.push(value.to_owned()),
                Some(("ip", value)) => {
                    let address = value.parse();
                    wanted
                        .ip
                        .push(address.map_err(|_| format!("ip `{value}`: must be an address"))?);
                }
                _ => return Err(format!("`{part}`: must be dns=…, ip=… or group=…")),
            }
        }
        Ok(wanted)
    }
}

/// Checks all of them, before any file is written.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(super) fn check(wanted: &[Wanted], lifetime: Duration) -> Result<Vec<(&str, Ready)>, Failure> {
    let mut faults = Vec::new();
    let mut ready = Vec::new();
    let mut seen = BTreeSet::new();
    for one in wanted {
        if !seen.insert(one.name.to_ascii_lowercase()) {
            faults.push(format!("--issue `{}`: given twice", one.name));
        }
        let args = IssueArgs {
            purpose: one.purpose,
            name: one.name.clone(),
            dir: std::path::PathBuf::new(),
            dns: one.dns.clone(),
            ip: one.ip.clone(),
            group: one.group.clone(),
            lifetime,
            out: None,
            replace: true,
        };
        match names::of(one.purpose, &args) {
            Ok(names) => ready.push((
                one.name.as_str(),
                Ready {
                    purpose: one.purpose,
                    names,
                    lifetime,
                },
            )),
            Err(fault) => faults.push(format!("--issue `{}`: {fault}", one.name)),
        }
    }
    if faults.is_empty() {
        Ok(ready)
    } else {
        Err(Failure::Usage(faults.join("\n  ")))
    }
}

/// A certificate that can be made.
pub(super) struct Ready {
    purpose: Purpose,
    names: Names,
    lifetime: Duration,
}

/// Makes what is not there, does not fit any more, or ends soon.
///
/// # Errors
/// A file cannot be written.
pub(super) fn issue(
    directory: &Path,
    ready: Vec<(&str, Ready)>,
    terminal: &mut Terminal,
    now: Timestamp,
) -> Result<(), Failure> {
    if ready.is_empty() {
        return Ok(());
    }
    let authority = Authority::load(directory, now)?;
    for (name, one) in ready {
        if is_good(directory, name, &one.names, &authority, now) {
            terminal.note(format_args!("{name} is there and holds"));
            continue;
        }
        let place = Place::new(directory, name, true)?;
        let order = Order {
            name,
            purpose: one.purpose,
            names: one.names,
            lifetime: one.lifetime,
        };
        place.write(&authority.issue(order, now)?.files)?;
        super::written(terminal, directory, name)?;
    }
    Ok(())
}

/// Whether there is a certificate of these names from this authority, with its
/// key, and two thirds of its life are not over.
fn is_good(
    directory: &Path,
    name: &str,
    names: &Names,
    authority: &Authority,
    now: Timestamp,
) -> bool {
    let read = |kind: &str| private_file::read(&directory.join(format!("{name}.{kind}")), MAX_PEM);
    let (Ok(chain), Ok(key)) = (read("crt"), read("key")) else {
        return false;
    };
    let Ok(pair) = Pair::read(chain.expose(), key.expose()) else {
        return false;
    };
    chain.expose().ends_with(authority.pem().as_bytes())
        && carried(&pair.identity) == expected(names, authority.trust_domain())
        && !ends_soon(&pair.identity, now)
}

/// Whether less than a third of its life is left.
fn ends_soon(identity: &Identity, now: Timestamp) -> bool {
    let life = identity.not_after.saturating_sub(identity.not_before);
    identity.not_after.saturating_sub(now.as_second()) < life / 3
}

fn carried(identity: &Identity) -> BTreeSet<String> {
    identity.names().into_iter().collect()
}

fn expected(names: &Names, trust_domain: &str) -> BTreeSet<String> {
    let hosts = names.hosts.iter().map(|host| match host {
        SanType::IpAddress(address) => address.to_string(),
        SanType::DnsName(name) => name.as_str().to_owned(),
        other => format!("{other:?}"),
    });
    let paths = names.paths.iter();
    let paths = paths.map(|path| format!("spiffe://{trust_domain}/{path}"));
    hosts.chain(paths).collect()
}
