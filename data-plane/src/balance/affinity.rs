//! What ties a request to a host: the hash of the parts of it that a route names.
//! The same parts have the same hash in every proxy, Envoy among them.

use std::io::Write as _;
use std::net::IpAddr;

use evenkeel_shared::ir::{HashCookie, HashPolicy, HashSource};

use super::xxhash::xxhash64;
use crate::head::Head;

/// The longest address as text.
const LONGEST_ADDRESS: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// What ties a request to a host.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The hash for [`super::Pick::affinity`].
    pub hash: Option<u64>,
    /// Values of `Set-Cookie` that the answer is to carry.
    pub cookies: Vec<String>,
}

impl Affinity {
    /// Of a request of `client`. `entropy` makes the value of a cookie that the
    /// client has to be given.
    pub fn of(
        policies: &[HashPolicy],
        head: &(impl Head + ?Sized),
        client: IpAddr,
        mut entropy: impl FnMut() -> u64,
    ) -> Self {
        let mut affinity = Self::default();
        for policy in policies {
            let part = match &policy.source {
                HashSource::Header(name) => header(head, name),
                HashSource::ClientAddress => Some(address(client)),
                HashSource::Query(name) => parameter(head, name).map(hash),
                HashSource::Cookie(wanted) => cookie(head, &wanted.name)
                    .or_else(|| wanted.ttl.map(|_| affinity.give(wanted, entropy()))),
            };
            let Some(part) = part else {
                continue;
            };
            // Turned, lest two equal parts cancel each other out.
            let before = affinity.hash.unwrap_or_default().rotate_left(1);
            affinity.hash = Some(before ^ part);
            if policy.terminal {
                break;
            }
        }
        affinity
    }

    /// Gives the client a cookie. The hash of its value.
    fn give(&mut self, wanted: &HashCookie, random: u64) -> u64 {
        let value = format!("{random:016x}");
        let part = hash(&value);
        let mut cookie = format!("{}={value}", wanted.name);
        if let Some(age) = wanted.ttl.map(|ttl| ttl.as_secs()).filter(|age| *age > 0) {
            cookie.push_str("; Max-Age=");
            cookie.push_str(&age.to_string());
        }
        if let Some(path) = &wanted.path {
            cookie.push_str("; Path=");
            cookie.push_str(path);
        }
        cookie.push_str("; HttpOnly");
        self.cookies.push(cookie);
        part
    }
}

fn hash(text: impl AsRef<[u8]>) -> u64 {
    xxhash64(text.as_ref(), 0)
}

/// Several fields of one name count as one text, in whatever order they came.
fn header(head: &(impl Head + ?Sized), name: &str) -> Option<u64> {
    let first = head.first_value(name)?;
    let mut count = 0_usize;
    head.each_value(name, &mut |_| count += 1);
    if count < 2 {
        return Some(hash(first));
    }
    let mut values = Vec::with_capacity(count);
    head.each_value(name, &mut |value| values.push(value.to_vec()));
    values.sort();
    Some(hash(values.concat()))
}

/// An IPv4 address is the same whichever way it came.
fn address(client: IpAddr) -> u64 {
    let mut text = [0; LONGEST_ADDRESS];
    let mut free = &mut text[..];
    // It fits, and what did not would still tell clients apart.
    let _ = write!(free, "{}", client.to_canonical());
    let length = LONGEST_ADDRESS - free.len();
    hash(text.get(..length).unwrap_or_default())
}

/// Of several parameters of one name the first, as it stands in the URL.
fn parameter<'a>(head: &'a (impl Head + ?Sized), name: &str) -> Option<&'a str> {
    let query = head.query()?;
    query.split('&').find_map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (key == name && !parameter.is_empty()).then_some(value)
    })
}

/// The hash of a cookie's value, if it has one that is not empty.
fn cookie(head: &(impl Head + ?Sized), name: &str) -> Option<u64> {
    let mut found = None;
    head.each_value("cookie", &mut |field| {
        found = found.or_else(|| value_of(field, name.as_bytes()).map(hash));
    });
    found
}

/// The value of the first such cookie in a field, without its quotes.
fn value_of<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field.split(|byte| *byte == b';').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at(at);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let quoted = value.strip_prefix(b"\"");
        let value = quoted
            .and_then(|value| value.strip_suffix(b"\""))
            .unwrap_or(value);
        (key.trim_ascii() == name && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Request(&'static str, &'static [(&'static str, &'static str)]);

    impl Head for Request {
        fn method(&self) -> &'static str {
            "GET"
        }

        fn authority(&self) -> &'static str {
            "shop"
        }

        fn target(&self) -> &'static str {
            self.0
        }

        fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
            for (_, value) in self.1.iter().filter(|(known, _)| *known == name) {
                each(value.as_bytes());
            }
        }

        fn first_value(&self, name: &str) -> Option<&[u8]> {
            let field = self.1.iter().find(|(known, _)| *known == name);
            field.map(|(_, value)| value.as_bytes())
        }
    }

    fn by(source: HashSource) -> HashPolicy {
        HashPolicy {
            source,
            terminal: false,
        }
    }

    fn by_cookie(ttl: Option<u64>, path: Option<&str>) -> HashPolicy {
        by(HashSource::Cookie(HashCookie {
            name: "seat".to_owned(),
            ttl: ttl.map(Duration::from_secs),
            path: path.map(str::to_owned),
        }))
    }

    fn of(policies: &[HashPolicy], request: &Request) -> Affinity {
        let client = IpAddr::from([192, 0, 2, 1]);
        Affinity::of(policies, request, client, || 0xABC)
    }

    fn tied(policies: &[HashPolicy], request: &Request) -> Option<u64> {
        of(policies, request).hash
    }

    #[test]
    fn each_part_has_the_hash_of_its_text() {
        let request = Request(
            "/a?x&y=2&y=3",
            &[("x-user", "ann"), ("cookie", "a=1; seat=7")],
        );
        let header = by(HashSource::Header("x-user".to_owned()));
        assert_eq!(tied(&[header], &request), Some(hash("ann")));
        let query = |name: &str| by(HashSource::Query(name.to_owned()));
        assert_eq!(tied(&[query("y")], &request), Some(hash("2")));
        assert_eq!(tied(&[query("x")], &request), Some(hash("")));
        assert_eq!(tied(&[query("z")], &request), None);
        assert_eq!(tied(&[by_cookie(None, None)], &request), Some(hash("7")));
        let address = by(HashSource::ClientAddress);
        assert_eq!(tied(&[address], &request), Some(hash("192.0.2.1")));
    }

    #[test]
    fn the_longest_address_counts_as_a_whole() {
        let long = |last: u16| {
            IpAddr::from([
                0xFFFF_u16, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, last,
            ])
        };
        assert_eq!(address(long(0xFFFE)), hash(long(0xFFFE).to_string()));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(address(mapped), hash("192.0.2.1"));
    }

    #[test]
    fn fields_of_one_name_count_in_any_order() {
        let policy = [by(HashSource::Header("x".to_owned()))];
        let one = Request("/", &[("x", "b"), ("x", "a")]);
        let other = Request("/", &[("x", "a"), ("x", "b")]);
        assert_eq!(tied(&policy, &one), Some(hash("ab")));
        assert_eq!(tied(&policy, &one), tied(&policy, &other));
    }

    #[test]
    fn a_cookie_is_found_among_others_and_without_its_quotes() {
        let policy = [by_cookie(None, None)];
        for field in [
            "seat=7",
            "a=1;seat=\"7\" ; b",
            "seat=; seat=7",
            "xseat=1; seat = 7",
        ] {
            let fields: &'static [(&str, &str)] = Box::leak(Box::new([("cookie", field)]));
            assert_eq!(
                tied(&policy, &Request("/", fields)),
                Some(hash("7")),
                "{field}"
            );
        }
        let none = Request("/", &[("cookie", "xseat=1; seat=\"\"")]);
        assert_eq!(tied(&policy, &none), None);
    }

    #[test]
    fn a_client_without_the_cookie_is_given_one_if_it_has_a_lifetime() {
        let request = Request("/", &[]);
        let given = of(&[by_cookie(Some(60), Some("/shop"))], &request);
        let cookie = "seat=0000000000000abc; Max-Age=60; Path=/shop; HttpOnly";
        assert_eq!(given.cookies, [cookie]);
        assert_eq!(given.hash, Some(hash("0000000000000abc")));
        let session = of(&[by_cookie(Some(0), None)], &request);
        assert_eq!(session.cookies, ["seat=0000000000000abc; HttpOnly"]);
        assert_eq!(of(&[by_cookie(None, None)], &request), Affinity::default());
        let known = Request("/", &[("cookie", "seat=7")]);
        assert!(of(&[by_cookie(Some(60), None)], &known).cookies.is_empty());
    }

    #[test]
    fn a_terminal_part_ends_the_list_only_if_it_is_there() {
        let header = |name: &str, terminal| HashPolicy {
            source: HashSource::Header(name.to_owned()),
            terminal,
        };
        let policies = [header("a", true), header("b", false)];
        let both = Request("/", &[("a", "1"), ("b", "2")]);
        assert_eq!(tied(&policies, &both), Some(hash("1")));
        let second = Request("/", &[("b", "2")]);
        assert_eq!(tied(&policies, &second), Some(hash("2")));
        let open = [header("a", false), header("b", false)];
        let combined = hash("1").rotate_left(1) ^ hash("2");
        assert_eq!(tied(&open, &both), Some(combined));
        let twice = [header("a", false), header("a", false)];
        assert_ne!(tied(&twice, &both), Some(0));
    }
}
