//! Which group of routes a host name belongs to.

use std::cmp::Reverse;

use evenkeel_shared::ir::Domain;
use memchr::memchr;
use rapidhash::RapidHashMap;
use smallvec::SmallVec;

/// Host names and patterns, each with its group. Exact names win over suffixes
/// over prefixes over any, and longer patterns over shorter ones.
#[derive(Debug, Default)]
pub(super) struct Domains {
    ignore_port: bool,
    exact: RapidHashMap<Box<[u8]>, usize>,
    suffixes: Wildcards,
    prefixes: Wildcards,
    any: Option<usize>,
}

/// Patterns of one kind by their fixed part.
#[derive(Debug, Default)]
struct Wildcards {
    /// The lengths that occur, longest first.
    lengths: Vec<usize>,
    groups: RapidHashMap<Box<[u8]>, usize>,
}

impl Domains {
    pub(super) fn new(ignore_port: bool) -> Self {
        Self {
            ignore_port,
            ..Self::default()
        }
    }

    /// Adds a pattern; whether it is new.
    pub(super) fn insert(&mut self, domain: &Domain, group: usize) -> bool {
        let before = match domain {
            Domain::Exact(name) => self
                .exact
                .insert(lower(name.as_bytes()).as_slice().into(), group),
            Domain::Suffix(end) => self.suffixes.insert(end, group),
            Domain::Prefix(begin) => self.prefixes.insert(begin, group),
            Domain::Any => self.any.replace(group),
        };
        before.is_none()
    }

    /// The group of a request's authority. A `*` stands for one character or
    /// more.
    pub(super) fn find(&self, authority: &[u8]) -> Option<usize> {
        let host = if self.ignore_port {
            without_port(authority)
        } else {
            authority
        };
        let lowered: SmallVec<[u8; 256]>;
        let host = if has_upper(host) {
            lowered = lower(host);
            lowered.as_slice()
        } else {
            host
        };
        let exact = self.exact.get(host).copied();
        exact
            .or_else(|| self.suffixes.find(host, |host, n| &host[host.len() - n..]))
            .or_else(|| self.prefixes.find(host, |host, n| &host[..n]))
            .or(self.any)
    }
}

impl Wildcards {
    fn insert(&mut self, fixed: &str, group: usize) -> Option<usize> {
        if !self.lengths.contains(&fixed.len()) {
            self.lengths.push(fixed.len());
            self.lengths.sort_unstable_by_key(|length| Reverse(*length));
        }
        self.groups
            .insert(lower(fixed.as_bytes()).as_slice().into(), group)
    }

    /// The group of the longest pattern whose fixed part is the `part` of the
    /// host of that length.
    fn find(&self, host: &[u8], part: impl Fn(&[u8], usize) -> &[u8]) -> Option<usize> {
        let shorter = self.lengths.iter().filter(|length| **length < host.len());
        let mut groups = shorter.filter_map(|length| self.groups.get(part(host, *length)));
        groups.next().copied()
    }
}

/// Looks at all of it, so that it can look at many bytes at once.
fn has_upper(host: &[u8]) -> bool {
    let bytes = host.iter();
    bytes.fold(false, |any, byte| any | byte.is_ascii_uppercase())
}

/// The host in lower case; on the stack, as names are at most 253 bytes long.
fn lower(host: &[u8]) -> SmallVec<[u8; 256]> {
    let mut name = SmallVec::from_slice(host);
    name.make_ascii_lowercase();
    name
}

/// The host of an authority. An IPv6 address stands in brackets; without them
/// its colons cannot be told from the one before a port, and it stays whole.
fn without_port(authority: &[u8]) -> &[u8] {
    if authority.starts_with(b"[") {
        let end = memchr(b']', authority).map_or(authority.len(), |end| end + 1);
        return &authority[..end];
    }
    match memchr(b':', authority).map(|at| authority.split_at(at)) {
        Some((host, port)) if memchr(b':', &port[1..]).is_none() => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(without_port(b"shop.example:8080"), b"shop.example");
        assert_eq!(without_port(b"shop.example"), b"shop.example");
        assert_eq!(without_port(b"[::1]:8080"), b"[::1]");
        assert_eq!(without_port(b"[::1]"), b"[::1]");
        assert_eq!(without_port(b"::1"), b"::1");
        assert_eq!(without_port(b"[::1"), b"[::1");
        assert_eq!(without_port(b""), b"");
        assert_eq!(without_port(b":80"), b"");
    }

    #[test]
    fn exact_wins_over_suffix_over_prefix_over_any_and_longer_over_shorter() {
        let patterns = [
            Domain::Any,
            Domain::Prefix("shop.".to_owned()),
            Domain::Prefix("shop.eu.".to_owned()),
            Domain::Suffix(".example".to_owned()),
            Domain::Suffix(".eu.example".to_owned()),
            Domain::Exact("shop.eu.example".to_owned()),
        ];
        let mut domains = Domains::new(true);
        for (group, pattern) in patterns.iter().enumerate() {
            assert!(domains.insert(pattern, group));
            assert!(!domains.insert(pattern, group));
        }
        assert_eq!(domains.find(b"SHOP.eu.Example:80"), Some(5));
        assert_eq!(domains.find(b"www.eu.example"), Some(4));
        assert_eq!(domains.find(b"shop.us.example"), Some(3));
        assert_eq!(domains.find(b"shop.eu.test"), Some(2));
        assert_eq!(domains.find(b"shop.test"), Some(1));
        assert_eq!(domains.find(b".example"), Some(0));
        assert_eq!(domains.find(b""), Some(0));
    }

    #[test]
    fn the_port_counts_unless_it_is_ignored() {
        let mut domains = Domains::new(false);
        domains.insert(&Domain::Exact("a.example:80".to_owned()), 0);
        assert_eq!(domains.find(b"a.example:80"), Some(0));
        assert_eq!(domains.find(b"a.example"), None);
    }
}
