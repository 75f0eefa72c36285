//! How single fields are read: each function notes what is wrong with a value
//! and gives the value, or a harmless one in its place.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use evenkeel_shared::document::nearest;
use evenkeel_shared::error::Faults;
use evenkeel_shared::units::{Percent, format_duration};
use evenkeel_shared::xds::pattern;
use ipnet::IpNet;

/// The longest duration that is accepted: a year.
const LONGEST: Duration = Duration::from_hours(8760);
/// The shortest one: what Envoy rounds to whole milliseconds must not become 0,
/// which would mean "for ever".
const SHORTEST: Duration = Duration::from_millis(1);
/// Fields that belong to a connection or frame a message (RFC 9110 section
/// 7.6.1, RFC 9112 section 6); a proxy writes them itself.
const NOT_EDITABLE: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The methods of RFC 9110 and PATCH, to recognise one in the wrong case.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Reads a part whose faults lie below `path`.
pub(super) fn within<T>(faults: &mut Faults, path: &str, read: impl FnOnce(&mut Faults) -> T) -> T {
    let mut inner = Faults::new();
    let value = read(&mut inner);
    faults.extend_under(path, inner.into_vec());
    value
}

/// The rule for names of resources.
///
/// # Errors
/// What is wrong with the name.
pub(super) fn resource_name(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.len() <= 253
        && name.chars().all(inner)
        && edge(name.chars().next())
        && edge(name.chars().next_back())
    {
        return Ok(());
    }
    Err(format!(
        "invalid value {name:?}: must be 1 to 253 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"
    ))
}

/// A duration of which zero means that there is no limit: `None`.
pub(super) fn timeout(
    value: Option<prost_types::Duration>,
    path: &str,
    faults: &mut Faults,
) -> Option<Duration> {
    let duration = duration(value?, path, faults)?;
    (!duration.is_zero()).then_some(duration)
}

/// A duration that must not be zero; zero if it is not set.
pub(super) fn positive(
    value: Option<prost_types::Duration>,
    path: &str,
    faults: &mut Faults,
) -> Duration {
    let Some(duration) = value.and_then(|value| duration(value, path, faults)) else {
        return Duration::ZERO;
    };
    if duration.is_zero() {
        faults.add(path, "invalid value 0s: must be more than 0s");
    }
    duration
}

fn duration(value: prost_types::Duration, path: &str, faults: &mut Faults) -> Option<Duration> {
    let read = u64::try_from(value.seconds).ok().and_then(|seconds| {
        let nanos = u32::try_from(value.nanos).ok()?;
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    });
    let Some(duration) = read else {
        faults.add(
            path,
            format!("invalid value {value}: must not be negative or malformed"),
        );
        return None;
    };
    let rule = if duration > LONGEST {
        format!("must be at most {}", format_duration(LONGEST))
    } else if !duration.is_zero() && duration < SHORTEST {
        format!("must be at least {}", format_duration(SHORTEST))
    } else {
        return Some(duration);
    };
    faults.add(
        path,
        format!("invalid value {}: {rule}", format_duration(duration)),
    );
    None
}

/// A share between 0 and 100; 0 if it is not set.
pub(super) fn percent(value: Option<f64>, path: &str, faults: &mut Faults) -> Percent {
    let value = value.unwrap_or_default();
    Percent::from_percent(value).unwrap_or_else(|| {
        faults.add(
            path,
            format!("invalid value {value}: must be between 0 and 100"),
        );
        Percent::ZERO
    })
}

/// A number between two bounds, or the lower one.
pub(super) fn range<T: PartialOrd + Display + Copy>(
    value: T,
    bounds: RangeInclusive<T>,
    path: &str,
    faults: &mut Faults,
) -> T {
    if bounds.contains(&value) {
        return value;
    }
    let (least, most) = (*bounds.start(), *bounds.end());
    faults.add(
        path,
        format!("invalid value {value}: must be between {least} and {most}"),
    );
    least
}

/// A number that must be at least `least`, if it is set; else 0.
pub(super) fn at_least(value: Option<u32>, least: u32, path: &str, faults: &mut Faults) -> u32 {
    if let Some(value) = value.filter(|value| *value < least) {
        faults.add(
            path,
            format!("invalid value {value}: must be at least {least}"),
        );
    }
    value.unwrap_or_default()
}

/// A list in which nothing may stand twice; the path of a fault is that of the
/// second one.
pub(super) fn distinct<'a>(
    values: impl IntoIterator<Item = &'a str>,
    path: &str,
    faults: &mut Faults,
) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, value) in values.into_iter().enumerate() {
        if !seen.insert(value) {
            faults.add(
                format!("{path}[{index}]"),
                format!("invalid value {value:?}: is given twice"),
            );
        }
    }
}

/// Whether a text is a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let special = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || special(b))
}

/// A request method; empty if it is not set.
pub(super) fn method(text: &str, path: &str, faults: &mut Faults) {
    let upper = text.to_ascii_uppercase();
    if !text.is_empty() && !is_token(text) {
        faults.add(path, format!("invalid value {text:?}: must be a method"));
    } else if text != upper && METHODS.contains(&upper.as_str()) {
        faults.add(
            path,
            format!("invalid value {text:?}: methods are case-sensitive, did you mean {upper:?}?"),
        );
    }
}

/// The name of a header field, in lower case.
pub(super) fn header_name(text: &str, path: &str, faults: &mut Faults) -> String {
    let name = text.to_ascii_lowercase();
    if name.is_empty() {
        faults.add(path, "required");
    } else if name.starts_with(':') {
        faults.add(
            path,
            format!("invalid value {text:?}: pseudo-header fields cannot be named"),
        );
    } else if !is_token(&name) {
        faults.add(
            path,
            format!("invalid value {text:?}: must be the name of a header field"),
        );
    }
    name
}

/// The name of a header field that may be changed, in lower case.
pub(super) fn editable_header(text: &str, path: &str, faults: &mut Faults) -> String {
    let name = header_name(text, path, faults);
    if NOT_EDITABLE.contains(&name.as_str()) {
        let hint = if name == "host" {
            "; use `urlRewrite.hostname`"
        } else {
            ""
        };
        faults.add(
            path,
            format!("invalid value {text:?}: this field belongs to the proxy{hint}"),
        );
    }
    name
}

/// The value of a header field: visible ASCII, spaces and tabs (RFC 9110
/// section 5.5, without its obsolete parts).
pub(super) fn header_value(text: &str, path: &str, faults: &mut Faults) {
    if !text
        .bytes()
        .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    {
        faults.add(
            path,
            format!("invalid value {text:?}: must be visible ASCII characters, spaces and tabs"),
        );
    } else if text != text.trim() {
        faults.add(
            path,
            format!("invalid value {text:?}: must not begin or end with a space or tab"),
        );
    }
}

/// A path that begins with `/`, without query and fragment.
pub(super) fn path(text: &str, at: &str, faults: &mut Faults) {
    if !text.starts_with('/') {
        faults.add(at, format!("invalid value {text:?}: must begin with '/'"));
    } else if !text
        .bytes()
        .all(|b| (b'!'..=b'~').contains(&b) && b != b'?' && b != b'#')
    {
        faults.add(
            at,
            format!(
                "invalid value {text:?}: must be visible ASCII characters without '?' and '#'; others are written as %XX"
            ),
        );
    }
}

/// A regular expression that is compared with a whole text.
pub(super) fn regex(text: &str, path: &str, faults: &mut Faults) {
    if text.is_empty() {
        faults.add(path, "required");
    } else if let Err(rule) = pattern::check(text) {
        faults.add(path, format!("invalid value {text:?}: {rule}"));
    }
}

/// A host name, in lower case.
pub(super) fn hostname(text: &str, path: &str, faults: &mut Faults) -> String {
    let name = text.to_ascii_lowercase();
    if !is_hostname(&name) {
        let hint = if name.contains(':') {
            "; the port is left out"
        } else {
            ""
        };
        faults.add(
            path,
            format!("invalid value {text:?}: must be a host name{hint}"),
        );
    }
    name
}

/// Letters, digits, '-' and '_' in labels of 1 to 63, joined with '.' (RFC 1123
/// section 2.1, with the underscore that is seen in practice).
pub(super) fn is_hostname(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Networks and addresses, such as `10.0.0.0/8` and `10.1.2.3`.
pub(super) fn networks(texts: &[String], path: &str, faults: &mut Faults) -> Vec<IpNet> {
    let mut read = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let network = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let rule = match network {
            Ok(network) if network == network.trunc() => {
                read.push(network);
                continue;
            }
            Ok(network) => format!(
                "has bits set behind its prefix; did you mean {:?}?",
                network.trunc().to_string()
            ),
            Err(_) => "must be a network or an address, such as 10.0.0.0/8 or 10.1.2.3".to_owned(),
        };
        faults.add(
            format!("{path}[{index}]"),
            format!("invalid value {text:?}: {rule}"),
        );
    }
    distinct(texts.iter().map(String::as_str), path, faults);
    read
}

/// `; did you mean "…"?` with the candidate that is nearest to `word`, if one is
/// near enough to be a slip.
pub(super) fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates)
        .map(|candidate| format!("; did you mean {candidate:?}?"))
        .unwrap_or_default()
}
