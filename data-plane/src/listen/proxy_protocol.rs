//! The PROXY protocol, with which a load balancer in front tells who its client
//! is: one header before anything else, as text (version 1) or binary (version
//! 2). Pure; the rules are those of HAProxy's `proxy-protocol.txt`.
//!
//! What is read goes by the bytes alone, however they are cut: a beginning that
//! is malformed stays so whatever follows, and a header that is complete is the
//! same with anything behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Longest header of version 1, with its end of line.
const LONGEST_TEXT: usize = 107;

/// What a header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 2 before its addresses.
const FIXED: usize = 16;

/// Most bytes of addresses and extensions that are taken. The format allows
/// 64 KiB; what is sent in practice is far below this.
const MOST_BINARY: usize = 4_096;

/// Longest header of all.
pub(super) const LONGEST: usize = FIXED + MOST_BINARY;

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Its bytes.
    pub(super) length: usize,
    /// Whose connection it is; `None` if the load balancer speaks for itself,
    /// or says no address that could be used.
    pub(super) source: Option<SocketAddr>,
}

/// What came is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the beginning of a connection; `None` if more is needed. Never looks
/// at more than [`LONGEST`] bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if begins_alike(bytes, SIGNATURE) {
        binary(bytes)
    } else if begins_alike(bytes, b"PROXY ") {
        text(bytes)
    } else {
        Err(Malformed)
    }
}

/// Whether two texts are the same as far as both go.
fn begins_alike(bytes: &[u8], other: &[u8]) -> bool {
    bytes.iter().zip(other).all(|(one, two)| one == two)
}

fn text(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let line = bytes.get(..LONGEST_TEXT).unwrap_or(bytes);
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        let full = line.len() == LONGEST_TEXT;
        return if full { Err(Malformed) } else { Ok(None) };
    };
    let said = line[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let said = std::str::from_utf8(said).map_err(|_| Malformed)?;
    let mut words = said.split(' ').skip(1);
    let source = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(source::<Ipv4Addr>(words).ok_or(Malformed)?),
        Some("TCP6") => Some(source::<Ipv6Addr>(words).ok_or(Malformed)?),
        _ => return Err(Malformed),
    };
    Ok(Some(Header {
        length: end + 1,
        source,
    }))
}

/// Two addresses and two ports, and nothing else; the first of each.
fn source<'a, A: FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Option<SocketAddr> {
    let source: A = words.next()?.parse().ok()?;
    let _destination: A = words.next()?.parse().ok()?;
    let from = port(words.next()?)?;
    port(words.next()?)?;
    let alone = words.next().is_none();
    alone.then(|| SocketAddr::new(source.into().to_canonical(), from))
}

/// Digits only; `parse` would take a sign.
fn port(word: &str) -> Option<u16> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    // Beyond these, values are reserved.
    let known = family >> 4 <= 3 && family & 0xf <= 2;
    if length > MOST_BINARY || !(local || known) {
        return Err(Malformed);
    }
    let Some(block) = rest.get(..length) else {
        return Ok(None);
    };
    let source = match family {
        _ if local => None,
        0x11 => Some(address::<4>(block).ok_or(Malformed)?),
        0x21 => Some(address::<16>(block).ok_or(Malformed)?),
        // Not given, no stream, or a socket of one machine.
        _ => None,
    };
    Ok(Some(Header {
        length: FIXED + length,
        source,
    }))
}

/// The first of two addresses of so many bytes, with the first of the two ports
/// behind them.
fn address<const BYTES: usize>(block: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (source, rest) = block.split_first_chunk::<BYTES>()?;
    let (_destination, rest) = rest.split_first_chunk::<BYTES>()?;
    let [high, low, _, _] = *rest.first_chunk::<4>()?;
    let address = IpAddr::from(*source).to_canonical();
    Some(SocketAddr::new(address, u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests;
