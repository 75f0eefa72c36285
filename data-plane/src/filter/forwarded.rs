//! Who the client is, and what upstreams are told of it.

use std::net::IpAddr;

use crate::head::Head;

/// The client's address as far as it can be believed: the connection's other
/// end, or what the outermost of `trusted_hops` proxies saw.
pub fn client_address(_head: &(impl Head + ?Sized), peer: IpAddr, _trusted_hops: u32) -> IpAddr {
    peer
}

/// Value of `X-Forwarded-For` for upstreams.
pub fn x_forwarded_for(_head: &(impl Head + ?Sized), peer: IpAddr, _trusted_hops: u32) -> String {
    peer.to_string()
}

/// Value of `X-Forwarded-Proto` for upstreams.
pub fn x_forwarded_proto<'a>(
    _head: &'a (impl Head + ?Sized),
    scheme: &'a str,
    _trusted_hops: u32,
) -> &'a str {
    scheme
}

/// Value of `X-Forwarded-Host` for upstreams.
pub fn x_forwarded_host(head: &(impl Head + ?Sized), _trusted_hops: u32) -> &str {
    head.authority()
}
