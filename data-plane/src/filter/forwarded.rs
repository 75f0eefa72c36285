//! Who the client is, and what upstreams are told of it.
//!
//! `X-Forwarded-For` is written from left to right, each proxy adding whom it
//! sees; so only what our own proxies added, counted from the right, can be
//! believed. Upstreams often believe the leftmost address. So what we send on
//! begins with the client we believe in: what stands left of it is taken away.
//!
//! A listener has a number of trusted hops, and may name the addresses they
//! come from. The rule for a request:
//!
//! * It is believed if the number is not 0 and the connection's other end is
//!   one of the addresses (or there are none). The other end is whom the PROXY
//!   protocol names, where that is spoken.
//! * A believed request says its client by `X-Forwarded-For`, and the scheme and
//!   host that were asked for by `X-Forwarded-Proto` and `-Host`. Whatever else
//!   is in such fields passes as the trusted proxy left it.
//! * Of any other request nothing of the kind reaches routes, limits or
//!   upstreams: `X-Forwarded-For`, `-Proto` and `-Host` are written anew; the
//!   rest of `X-Forwarded-*`, `Forwarded` and `X-Real-IP` is taken away.
//! * Names that only look like these, with `_` for `-`, are always taken away:
//!   nobody honest writes them, and some upstreams read them as the same.
//! * The same holds of all of them in trailers.
//! * `X-Forwarded-Client-Cert` is never believed. It is what this proxy itself
//!   verified, or it is not there.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use evenkeel_shared::tls::Identity;
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::head::Head;

/// How many hops of a request are believed: `trusted_hops`, if it comes from one
/// of the addresses or there are none, else 0.
pub fn believed_hops(trusted_hops: u32, trusted_addresses: &[IpNet], peer: IpAddr) -> u32 {
    let peer = peer.to_canonical();
    let trusted = trusted_addresses.is_empty()
        || trusted_addresses
            .iter()
            .any(|network| network.contains(&peer));
    if trusted { trusted_hops } else { 0 }
}

/// Value of `X-Forwarded-Client-Cert` for a client's certificate, in Envoy's
/// form: `Hash=…;Subject="…";URI=…;DNS=…`, with as many of the last two as it
/// has names. Its length is bounded by that of a certificate in a handshake.
pub fn x_forwarded_client_cert(identity: &Identity) -> String {
    let mut text = format!("Hash={};Subject=", identity.fingerprint);
    quote(&mut text, &identity.subject);
    let uris = identity.uris.iter().map(|uri| (";URI=", uri));
    let dns = identity.dns.iter().map(|dns| (";DNS=", dns));
    for (key, name) in uris.chain(dns) {
        text.push_str(key);
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\",;=\\".contains(&byte);
        if name.bytes().all(plain) {
            text.push_str(name);
        } else {
            quote(&mut text, name);
        }
    }
    text
}

/// Adds a value in quotes. What would end them is escaped; what cannot stand in
/// a field is written as RFC 4514 has it, a backslash and its hexadecimal.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "\\\\{byte:02X}")),
        }
    }
    text.push('"');
}

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
