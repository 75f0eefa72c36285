//! What may come behind a body, in either direction.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName,
    SET_COOKIE,
};
use http_body::Frame;

use crate::filter::forwarded::is_forwarding;
use crate::filter::hop::is_hop_by_hop;

/// Framing, routing and authentication were decided without them (RFC 9110,
/// section 6.5.1).
const REFUSED: [HeaderName; 7] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    HOST,
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
];

/// Takes away what may not come in trailers.
fn strip(trailers: &mut HeaderMap) {
    for name in REFUSED {
        trailers.remove(name);
    }
    // Some upstreams put trailers among the fields of the head, where what they
    // say of the client would stand beside what this proxy says.
    let foreign = |name: &str| is_hop_by_hop(name) || is_forwarding(name);
    let foreign: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| foreign(name.as_str()))
        .cloned()
        .collect();
    for name in foreign {
        trailers.remove(name);
    }
}

/// A frame without what may not come in trailers.
pub(crate) fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            strip(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderValue, TRANSFER_ENCODING};

    use super::*;

    #[test]
    fn trailers_carry_neither_framing_nor_routing() {
        let sum = HeaderName::from_static("grpc-status");
        let mut trailers: HeaderMap = [CONTENT_LENGTH, HOST, TRANSFER_ENCODING, sum.clone()]
            .into_iter()
            .map(|name| (name, HeaderValue::from_static("0")))
            .collect();
        strip(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), [&sum]);
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
        let mut trailers: HeaderMap = names
            .map(|name| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static("6.6.6.6"))
            })
            .into_iter()
            .collect();
        strip(&mut trailers);
        assert!(trailers.is_empty(), "{trailers:?}");
    }
}
