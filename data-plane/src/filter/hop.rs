//! Header fields that are meant for one connection only (RFC 9110, section
//! 7.6.1).

/// Whether a field of this name (in lower case) is never forwarded. What a
/// proxy still needs of them, such as `te: trailers` for gRPC or the upgrade it
/// allows, it writes anew.
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Names, in lower case, of the further fields that one value of `Connection`
/// declares to be for this connection only, and that are to be taken away.
///
/// Fields that are meant for every recipient are left out: a client that names
/// them wants to hide from upstreams who it is or what it asks.
pub fn named_by_connection(value: &[u8]) -> impl Iterator<Item = String> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
        .filter_map(|name| std::str::from_utf8(name).ok())
        .map(str::to_ascii_lowercase)
        .filter(|name| name != "close" && !is_hop_by_hop(name) && !is_end_to_end(name))
}

/// Fields on which routing, identity, or the meaning of the message rest.
fn is_end_to_end(name: &str) -> bool {
    name.starts_with(':')
        || name.starts_with("x-forwarded-")
        || name.starts_with("content-")
        || name.starts_with("if-")
        || matches!(
            name,
            "authorization"
                | "cache-control"
                | "cookie"
                | "date"
                | "etag"
                | "expires"
                | "forwarded"
                | "host"
                | "last-modified"
                | "location"
                | "origin"
                | "range"
                | "set-cookie"
                | "traceparent"
                | "tracestate"
                | "trailer"
                | "vary"
                | "via"
                | "www-authenticate"
                | "x-real-ip"
                | "x-request-id"
        )
}
