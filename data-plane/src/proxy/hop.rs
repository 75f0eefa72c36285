//! Fields that are meant for one connection only are taken away, in both
//! directions (RFC 9110, section 7.6.1).

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TE, UPGRADE};

use crate::filter::forwarded::{CLIENT_CERT, is_forwarding};
use crate::filter::hop::{is_hop_by_hop, named_by_connection};

/// Fields that `Connection` may not name: without them the message would mean
/// something else at the next hop.
const KEPT: [&str; 6] = [
    "host",
    "authorization",
    "cookie",
    "content-length",
    "content-type",
    "x-forwarded-for",
];

/// Takes away what is meant for one connection. `TE: trailers` is said again,
/// because it is true of this proxy as well.
pub(super) fn strip(headers: &mut HeaderMap) {
    let trailers = wants_trailers(headers);
    let mut named: Vec<String> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        named.extend(named_by_connection(value.as_bytes()));
    }
    for name in named {
        if !KEPT.contains(&name.as_str()) {
            headers.remove(name.as_str());
        }
    }
    let hops: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()))
        .cloned()
        .collect();
    for name in hops {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Takes away what says where a request came from: a client's certificate and
/// names with `_` for `-` in any case, everything else unless it is `believed`.
pub(super) fn strip_forwarding(headers: &mut HeaderMap, believed: bool) {
    let foreign = |name: &&HeaderName| {
        let name = name.as_str();
        is_forwarding(name) && (!believed || name == CLIENT_CERT || name.contains('_'))
    };
    let foreign: Vec<HeaderName> = headers.keys().filter(foreign).cloned().collect();
    for name in foreign {
        headers.remove(name);
    }
}

/// Whether the other end takes trailers.
fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// The protocol that a request asks to switch to, if it does so properly.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let connection = headers.get_all(CONNECTION);
    let named = connection
        .iter()
        .any(|value| has_token(value.as_bytes(), b"upgrade"));
    headers.get(UPGRADE).filter(|_| named)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn what_is_for_one_connection_does_not_pass() {
        let mut fields = headers(&[
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip, Trailers"),
            ("accept", "*/*"),
        ]);
        strip(&mut fields);
        assert_eq!(fields, headers(&[("te", "trailers"), ("accept", "*/*")]));
    }

    #[test]
    fn what_is_not_believed_of_where_a_request_came_from_does_not_pass() {
        let all = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-client-cert", "Hash=0"),
            ("accept", "*/*"),
        ];
        let mut fields = headers(&all);
        strip_forwarding(&mut fields, false);
        assert_eq!(fields, headers(&[("accept", "*/*")]));
        let mut fields = headers(&all);
        strip_forwarding(&mut fields, true);
        assert_eq!(fields.len(), all.len() - 1);
        assert!(!fields.contains_key(CLIENT_CERT));
    }

    #[test]
    fn what_upstreams_may_take_for_a_forwarding_field_never_passes() {
        let all = [
            ("x_forwarded_for", "6.6.6.6"),
            ("x-forwarded_for", "6.6.6.6"),
            ("x_forwarded_client_cert", "Hash=0"),
            ("x_real_ip", "6.6.6.6"),
            ("x_real_ip_seen", "kept"),
            ("x_forward", "kept"),
        ];
        for believed in [false, true] {
            let mut fields = headers(&all);
            strip_forwarding(&mut fields, believed);
            let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(left, ["x_forward", "x_real_ip_seen"]);
        }
    }

    #[test]
    fn an_upgrade_must_be_named_by_connection() {
        let proper = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        assert!(upgrade(&proper).is_some());
        assert!(upgrade(&headers(&[("upgrade", "websocket")])).is_none());
    }
}
