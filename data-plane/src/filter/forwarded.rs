//! Who the client is, and what upstreams are told of it.
//!
//! `X-Forwarded-For` is written from left to right, each proxy adding whom it
//! sees; so only what our own proxies added, counted from the right, can be
//! believed. Upstreams often believe the leftmost address. So what we send on
//! begins with the client we believe in: what stands left of it is taken away.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::head::Head;

/// The client's address as far as it can be believed: the outermost of
/// `trusted_hops` addresses, or, without hops or without as many addresses, the
/// connection's other end.
pub fn client_address(head: &(impl Head + ?Sized), peer: IpAddr, trusted_hops: u32) -> IpAddr {
    let believed = believed(head, trusted_hops);
    believed.first().copied().unwrap_or(peer).to_canonical()
}

/// Value of `X-Forwarded-For` for upstreams: the believed addresses and the
/// connection's other end.
pub fn x_forwarded_for(head: &(impl Head + ?Sized), peer: IpAddr, trusted_hops: u32) -> String {
    let mut text = String::new();
    for address in believed(head, trusted_hops) {
        text.push_str(&address.to_string());
        text.push_str(", ");
    }
    text.push_str(&peer.to_canonical().to_string());
    text
}

/// Value of `X-Forwarded-Proto` for upstreams: what a trusted proxy said, or
/// else `scheme`, the one of the client's connection to us.
pub fn x_forwarded_proto<'a>(
    head: &(impl Head + ?Sized),
    scheme: &'a str,
    trusted_hops: u32,
) -> &'a str {
    let said = head
        .first_value("x-forwarded-proto")
        .filter(|_| trusted_hops > 0);
    match said {
        Some(said) if said.eq_ignore_ascii_case(b"https") => "https",
        Some(said) if said.eq_ignore_ascii_case(b"http") => "http",
        _ => scheme,
    }
}

/// Value of `X-Forwarded-Host` for upstreams: what a trusted proxy said, or else
/// the authority as the client named it to us.
pub fn x_forwarded_host(head: &(impl Head + ?Sized), trusted_hops: u32) -> &str {
    head.first_value("x-forwarded-host")
        .filter(|_| trusted_hops > 0)
        .and_then(|said| std::str::from_utf8(said).ok())
        .filter(|said| !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_else(|| head.authority())
}

/// The last `hops` addresses in order; none if there are fewer, or if one of
/// them is no address: then the request did not come through as many proxies.
fn believed(head: &(impl Head + ?Sized), hops: u32) -> SmallVec<[IpAddr; 4]> {
    let mut believed: SmallVec<[IpAddr; 4]> = SmallVec::new();
    let hops = usize::try_from(hops).unwrap_or(usize::MAX);
    if hops == 0 {
        return believed;
    }
    head.each_value("x-forwarded-for", &mut |value| {
        for entry in value.split(|byte| *byte == b',') {
            match address(entry) {
                Some(address) => believed.push(address),
                None => believed.clear(),
            }
            if believed.len() > hops {
                believed.remove(0);
            }
        }
    });
    if believed.len() < hops {
        believed.clear();
    }
    believed
}

/// An address as proxies write it, with or without a port and brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    address
        .or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
        .map(|address| address.to_canonical())
}
