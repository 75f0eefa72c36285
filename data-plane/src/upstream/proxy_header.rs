//! What the PROXY protocol says ahead of everything else on a connection to an
//! endpoint: whom it carries requests for (haproxy's `proxy-protocol.txt`,
//! versions 1 and 2). Pure.
//!
//! An address of IPv4 that is written as one of IPv6 counts as IPv4. If one end
//! is of IPv4 and the other of IPv6, version 2 writes both as IPv6 (the IPv4 one
//! mapped, `::ffff:192.0.2.1`); version 1 has no way to say that and says
//! `UNKNOWN`, so that the endpoint takes this proxy for the client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use evenkeel_shared::ir::ProxyProtocol;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, on its own behalf.
const VERSION_2_LOCAL: u8 = 0x20;
/// Version 2, on behalf of somebody.
const VERSION_2_PROXY: u8 = 0x21;
/// Streams (TCP) over IPv4, then two addresses and two ports.
const STREAM_IPV4: (u8, u16) = (0x11, 12);
/// Streams (TCP) over IPv6, then two addresses and two ports.
const STREAM_IPV6: (u8, u16) = (0x21, 36);

/// Whom a connection carries requests for: a client's connection to this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// The client.
    pub(crate) source: SocketAddr,
    /// Where it reached this proxy.
    pub(crate) destination: SocketAddr,
}

/// The header that says so.
pub(crate) fn header(version: ProxyProtocol, origin: Origin) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => text(origin).into_bytes(),
        ProxyProtocol::V2 => binary(origin),
    }
}

/// The header of a connection that carries requests for nobody.
pub(crate) fn own(version: ProxyProtocol) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        ProxyProtocol::V2 => {
            let mut header = SIGNATURE.to_vec();
            header.extend([VERSION_2_LOCAL, 0, 0, 0]);
            header
        }
    }
}

fn text(origin: Origin) -> String {
    let (from, to) = (origin.source, origin.destination);
    let family = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
        (IpAddr::V6(_), IpAddr::V6(_)) => "TCP6",
        _ => return "PROXY UNKNOWN\r\n".to_owned(),
    };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        from.ip().to_canonical(),
        to.ip().to_canonical(),
        from.port(),
        to.port()
    )
}

fn binary(origin: Origin) -> Vec<u8> {
    let (from, to) = (origin.source, origin.destination);
    let mut header = SIGNATURE.to_vec();
    header.push(VERSION_2_PROXY);
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (family, length) = STREAM_IPV4;
            header.push(family);
            header.extend(length.to_be_bytes());
            header.extend(from.octets());
            header.extend(to.octets());
        }
        (from, to) => {
            let (family, length) = STREAM_IPV6;
            header.push(family);
            header.extend(length.to_be_bytes());
            header.extend(long(from).octets());
            header.extend(long(to).octets());
        }
    }
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header
}

/// As an address of IPv6.
fn long(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(source: &str, destination: &str) -> Origin {
        Origin {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn line(source: &str, destination: &str) -> String {
        let header = header(ProxyProtocol::V1, origin(source, destination));
        String::from_utf8(header).unwrap()
    }

    #[test]
    fn version_1_is_a_line() {
        assert_eq!(
            line("192.0.2.1:56324", "198.51.100.7:443"),
            "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
        );
        assert_eq!(
            line("[2001:db8::1]:1", "[2001:db8::2]:65535"),
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"
        );
        assert_eq!(
            line("[::ffff:192.0.2.1]:5", "198.51.100.7:443"),
            "PROXY TCP4 192.0.2.1 198.51.100.7 5 443\r\n"
        );
        assert_eq!(
            line("192.0.2.1:5", "[2001:db8::2]:443"),
            "PROXY UNKNOWN\r\n"
        );
    }

    #[test]
    fn the_longest_line_is_within_the_bound_of_version_1() {
        let long = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535";
        assert!(line(long, long).len() <= 107);
    }

    #[test]
    fn version_2_is_binary() {
        let four = header(
            ProxyProtocol::V2,
            origin("192.0.2.1:258", "198.51.100.7:443"),
        );
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        expected.extend([192, 0, 2, 1, 198, 51, 100, 7, 1, 2, 1, 187]);
        assert_eq!(four, expected);
        let six = header(
            ProxyProtocol::V2,
            origin("192.0.2.1:258", "[2001:db8::2]:443"),
        );
        assert_eq!(six[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24");
        assert_eq!(six.len(), 16 + 36);
        assert_eq!(
            six[16..32],
            "::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets()
        );
        assert_eq!(six[48..], [1, 2, 1, 187]);
    }
}
