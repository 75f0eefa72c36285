//! Fields that are meant for one connection only are taken away, in both
//! directions (RFC 9110, section 7.6.1).

use crate::filter::hop::named_by_connection;
use crate::message::name::Names;
use crate::message::{Fields, Known};

/// Takes away what is meant for one connection. `TE: trailers` is said again,
/// because it is true of this proxy as well.
pub(super) fn strip(fields: &mut Fields) {
    if !fields.may_have(Names::HOP_BY_HOP) {
        return;
    }
    let trailers = has_token(fields.all(Known::Te), b"trailers");
    let named: Vec<String> = fields
        .all(Known::Connection)
        .flat_map(named_by_connection)
        .collect();
    for name in named {
        fields.remove(&name);
    }
    fields.remove_all(Names::HOP_BY_HOP);
    if trailers {
        fields.set("te", b"trailers");
    }
}

/// Takes away what says where a request came from: a client's certificate and
/// names with `_` for `-` in any case, everything else unless it is `believed`.
pub(super) fn strip_forwarding(fields: &mut Fields, believed: bool) {
    const NEVER: Names = Names::of(&[Known::ForwardedClientCert, Known::ForwardedAlike]);

    fields.remove_all(if believed { NEVER } else { Names::FORWARDING });
}

/// The protocol that a request asks to switch to, if it does so properly.
pub(super) fn upgrade(fields: &Fields) -> Option<&[u8]> {
    let wanted = fields.first(Known::Upgrade)?;
    has_token(fields.all(Known::Connection), b"upgrade").then_some(wanted)
}

/// Whether a list has a token.
fn has_token<'a>(values: impl Iterator<Item = &'a [u8]>, token: &[u8]) -> bool {
    let mut words = values.flat_map(|value| value.split(|byte| *byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in all {
            fields.add(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn names(fields: &Fields) -> Vec<String> {
        let names = fields.iter();
        names
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    #[test]
    fn what_is_for_one_connection_does_not_pass() {
        let mut all = fields(&[
            ("connection", "close, X-Hop"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-hop", "1"),
            ("te", "gzip, Trailers"),
            ("accept", "*/*"),
        ]);
        strip(&mut all);
        assert_eq!(names(&all), ["accept", "te"]);
        assert_eq!(all.first(Known::Te), Some(&b"trailers"[..]));
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
        let mut stripped = fields(&all);
        strip_forwarding(&mut stripped, false);
        assert_eq!(names(&stripped), ["accept"]);
        let mut believed = fields(&all);
        strip_forwarding(&mut believed, true);
        assert_eq!(believed.len(), all.len() - 1);
        assert!(!believed.has(Known::ForwardedClientCert));
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
            let mut stripped = fields(&all);
            strip_forwarding(&mut stripped, believed);
            assert_eq!(names(&stripped), ["x_real_ip_seen", "x_forward"]);
        }
    }

    #[test]
    fn an_upgrade_must_be_named_by_connection() {
        let proper = fields(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        assert!(upgrade(&proper).is_some());
        assert!(upgrade(&fields(&[("upgrade", "websocket")])).is_none());
    }
}
