//! Header fields that are meant for one connection only.

/// Whether a field of this name (in lower case) is never forwarded.
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Names, in lower case, of the further fields that one value of `Connection`
/// declares to be hop by hop.
pub fn named_by_connection(_value: &[u8]) -> impl Iterator<Item = String> {
    std::iter::empty()
}
