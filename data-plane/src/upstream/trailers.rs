//! What may come behind a body, in either direction.

use crate::message::name::Names;
use crate::message::{Fields, Known};

/// Framing, routing and authentication were decided without these (RFC 9110,
/// section 6.5.1).
const DECIDED: Names = Names::of(&[
    Known::ContentLength,
    Known::ContentType,
    Known::Host,
    Known::Authorization,
    Known::Cookie,
]);

/// Takes away what may not come in trailers. Some upstreams put trailers among
/// the fields of the head, where what they say of the client would stand beside
/// what this proxy says.
pub(crate) fn clean(trailers: &mut Fields) {
    trailers.retain(|known, name| {
        let refused = DECIDED.has(known)
            || Names::HOP_BY_HOP.has(known)
            || Names::FORWARDING.has(known)
            || matches!(name, b"content-encoding" | b"set-cookie");
        !refused
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(names: &[&str]) -> Vec<String> {
        let mut trailers = Fields::default();
        for name in names {
            trailers.add(name.as_bytes(), b"0");
        }
        clean(&mut trailers);
        let left = trailers.iter();
        left.map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    #[test]
    fn trailers_carry_neither_framing_nor_routing() {
        let names = [
            "content-length",
            "host",
            "transfer-encoding",
            "set-cookie",
            "grpc-status",
        ];
        assert_eq!(cleaned(&names), ["grpc-status"]);
    }

    #[test]
    fn trailers_do_not_say_where_a_request_came_from() {
        let names = [
            "x-forwarded-for",
            "x-forwarded-client-cert",
            "forwarded",
            "x-real-ip",
            "x_forwarded_for",
        ];
        assert_eq!(cleaned(&names), Vec::<String>::new());
    }
}
