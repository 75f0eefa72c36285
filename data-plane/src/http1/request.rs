//! Reads the head of a request.

use memchr::memchr;

use crate::http1::head::{self, Taken, is_token};
use crate::http1::length;
use crate::http1::{BodyLength, Limits, Refused};
use crate::message::{Fields, Known, RequestHead, Span, Version};

/// Empty lines before a request that are overlooked (RFC 9112, section 2.2).
const EMPTY_LINES: usize = 4;

/// Longest method.
const METHOD_BYTES: usize = 32;

/// A request as it came, without its body.
#[derive(Debug)]
pub struct Request {
    /// Its head. The authority is not set; the target is as it came: absolute, an
    /// authority, `*`, or a path.
    pub head: RequestHead,
    /// How long its body is.
    pub length: BodyLength,
    /// Whether the client wants to use the connection again.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Reads the head of a request, once it is complete.
///
/// `buffer` holds what came of the connection and is not used up, `seen` how much
/// of that was searched already: 0 for a new request, and again after one was
/// read. The buffer becomes the text of the head; what came behind the head is
/// left in its place, in the memory of `spare`, fields that are of no more use.
///
/// # Errors
/// Why the request must not be believed.
pub fn read(
    buffer: &mut Vec<u8>,
    seen: &mut usize,
    limits: &Limits,
    spare: &mut Fields,
) -> Result<Option<Request>, Refused> {
    let start = first_line(buffer)?;
    let read_line = |text: &[u8]| read_line(text, start);
    let taken = head::take(buffer, (start, seen), (limits, spare), read_line)?;
    let Some(Taken { line, fields }) = taken else {
        return Ok(None);
    };
    let (method, target, version) = line;
    let length = body_length(version, &fields)?;
    Ok(Some(Request {
        length,
        keep_alive: length::is_kept_alive(version, &fields),
        expects_continue: version == Version::Http11 && expects_continue(&fields),
        head: RequestHead::new(fields, version, (method, target)),
    }))
}

/// Where the request line begins, behind empty lines. Tells at once what cannot
/// be a request.
fn first_line(buffer: &[u8]) -> Result<usize, Refused> {
    let mut start = 0;
    loop {
        match buffer.get(start..).unwrap_or_default() {
            [b'\r', b'\n', ..] if start < EMPTY_LINES * 2 => start += 2,
            [b'\r', b'\n', ..] => return Err(Refused::bad("too many empty lines")),
            [] | [b'\r'] => return Ok(start),
            [first, ..] if is_token(*first) => return Ok(start),
            [b'\n', ..] => return Err(head::BARE_LF),
            [b'\r', ..] => return Err(head::BARE_CR),
            _ => return Err(Refused::bad("the method is no token")),
        }
    }
}

/// Method, target and version.
type Line = (Span, Span, Version);

/// Reads the request line (RFC 9112, section 3), with one space between its parts.
/// Returns where the next line begins as well.
fn read_line(text: &[u8], start: usize) -> Result<(usize, Line), Refused> {
    let line = text.get(start..).unwrap_or_default();
    let method = line.iter().position(|byte| !is_token(*byte));
    let method = method.unwrap_or(line.len());
    let Some([b' ', rest @ ..]) = line.get(method..) else {
        return Err(Refused::bad("the method is no token"));
    };
    if method > METHOD_BYTES {
        return Err(Refused {
            status: 501,
            reason: "the method is too long",
        });
    }
    let target = memchr(b' ', rest).unwrap_or(rest.len());
    let from = start + method + 1;
    let to = from + target;
    check_target(rest.get(..target).unwrap_or_default())?;
    let end = head::line_end(text, to)?.ok_or(head::BARE_LF)?;
    let version = read_version(text.get(to..end).unwrap_or_default())?;
    let method = Span::new(start, start + method).unwrap_or_default();
    let target = Span::new(from, to).unwrap_or_default();
    Ok((end + 2, (method, target, version)))
}

/// A target is not empty, and of visible ASCII. Of what cannot stand in a URI
/// (RFC 3986, section 2), only what clients are known to send all the same is
/// let through. A fragment is never sent (RFC 9112, section 3.2).
fn check_target(target: &[u8]) -> Result<(), Refused> {
    let is_bad = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'<' | b'>' | b'`');
    if target.is_empty() {
        return Err(Refused::bad("more than one space in the request line"));
    }
    if target.iter().fold(false, |bad, byte| bad | is_bad(*byte)) {
        return Err(Refused::bad("a character that cannot stand in a target"));
    }
    Ok(())
}

/// A minor version above 1 is refused, although it could be taken for 1.1
/// (RFC 9110, section 2.5): there is none, so whoever sends it means no good.
fn read_version(version: &[u8]) -> Result<Version, Refused> {
    match version {
        b" HTTP/1.1" => Ok(Version::Http11),
        b" HTTP/1.0" => Ok(Version::Http10),
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Refused {
                status: 505,
                reason: "a version that is not spoken",
            })
        }
        _ => Err(Refused::bad(
            "a request line that does not end in a version",
        )),
    }
}

/// How long the body is (RFC 9112, section 6.3). What can be read in two ways is
/// refused, also where it might be put right: a length that is said twice, even
/// if it is the same.
fn body_length(version: Version, fields: &Fields) -> Result<BodyLength, Refused> {
    let chunked = length::is_chunked(fields)?;
    let mut lengths = fields.all(Known::ContentLength);
    let length = lengths.next();
    if chunked && version == Version::Http10 {
        return Err(Refused::bad("Transfer-Encoding in HTTP/1.0"));
    }
    if chunked && length.is_some() {
        return Err(Refused::bad("Content-Length beside Transfer-Encoding"));
    }
    if lengths.next().is_some() {
        return Err(Refused::bad("more than one Content-Length"));
    }
    match length.map(length::number) {
        _ if chunked => Ok(BodyLength::Chunked),
        None | Some(Some(0)) => Ok(BodyLength::None),
        Some(Some(length)) => Ok(BodyLength::Exactly(length)),
        Some(None) => Err(Refused::bad("a Content-Length that is no number")),
    }
}

fn expects_continue(fields: &Fields) -> bool {
    let mut values = fields.all(Known::Expect);
    values.any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}
