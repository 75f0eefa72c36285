//! Writes the heads of requests and responses.
//!
//! What frames a message is written here and nowhere else: the fields that say
//! how a body ends and what becomes of the connection are left out of the given
//! ones where they would stand beside those that are written.

use crate::http1::status;
use crate::message::name::Names;
use crate::message::{Fields, Known, RequestHead};

/// What is said of the length of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// What `content-length` among the fields says, if it is there: a body of that
    /// length, or none, or one that ends with the connection.
    AsGiven,
    /// A body of so many bytes.
    Exactly(u64),
    /// A body in chunks.
    Chunked,
}

/// What is said of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection<'a> {
    /// Nothing: in HTTP/1.1, it will be used again.
    AsUsual,
    /// It will be used again; for a client of HTTP/1.0.
    KeepAlive,
    /// It will not be used again.
    Close,
    /// `te` among the fields is for the next hop.
    Te,
    /// It shall speak this protocol from now on.
    Upgrade(&'a [u8]),
}

/// A head that another side would not read as it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unwritable(pub &'static str);

/// What is written here, and so never taken from the fields.
const OWN: Names = Names::of(&[
    Known::Connection,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::TransferEncoding,
    Known::Upgrade,
]);

const CONTENT_LENGTH: Names = Names::of(&[Known::ContentLength]);

/// Writes the head of a request: its line, `host` from the authority, the fields.
///
/// # Errors
/// If method, target or authority cannot stand in a head. Nothing is written.
pub fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    length: Length,
    connection: Connection<'_>,
) -> Result<(), Unwritable> {
    let [method, target, authority] = head.bytes();
    if method.is_empty() || !is_visible(method) {
        return Err(Unwritable("a method that is no token"));
    }
    if target.is_empty() || !is_visible(target) {
        return Err(Unwritable("a target that cannot stand in a request"));
    }
    if !is_visible(authority) {
        return Err(Unwritable("an authority that cannot stand in a request"));
    }
    for part in [
        method,
        b" ",
        target,
        b" HTTP/1.1\r\nhost: ",
        authority,
        b"\r\n",
    ] {
        out.extend_from_slice(part);
    }
    let own = OWN.and(Known::Host);
    fields(out, &head.fields, own, (length, connection));
    Ok(())
}

/// Writes the head of a response, in HTTP/1.1.
pub fn response(
    out: &mut Vec<u8>,
    status: u16,
    given: &Fields,
    length: Length,
    connection: Connection<'_>,
) {
    status::write_line(out, status);
    fields(out, given, OWN, (length, connection));
}

/// Whether every byte is visible ASCII.
fn is_visible(text: &[u8]) -> bool {
    let bytes = text.iter();
    bytes.fold(true, |all, byte| all & byte.is_ascii_graphic())
}

fn fields(
    out: &mut Vec<u8>,
    given: &Fields,
    own: Names,
    (length, connection): (Length, Connection<'_>),
) {
    let own = match length {
        Length::AsGiven => own,
        Length::Exactly(_) | Length::Chunked => own.with(CONTENT_LENGTH),
    };
    given.write_without(own, out);
    match length {
        Length::AsGiven => {}
        Length::Exactly(length) => {
            out.extend_from_slice(b"content-length: ");
            write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    match connection {
        Connection::AsUsual => {}
        Connection::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Connection::Close => out.extend_from_slice(b"connection: close\r\n"),
        Connection::Te => out.extend_from_slice(b"connection: te\r\n"),
        Connection::Upgrade(protocol) => {
            for part in [b"connection: upgrade\r\nupgrade: ", protocol, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    let from = out.len();
    let mut rest = number;
    while {
        out.push(DIGITS[(rest % 10) as usize]);
        rest /= 10;
        rest > 0
    } {}
    if let Some(digits) = out.get_mut(from..) {
        digits.reverse();
    }
}

const DIGITS: &[u8; 10] = b"0123456789";
