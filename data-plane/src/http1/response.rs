//! Reads the head of a response.

use crate::http1::head::{self, Taken};
use crate::http1::length;
use crate::http1::{BodyLength, Limits, Malformed, Refused};
use crate::message::name::Names;
use crate::message::{Fields, Known, Method, ResponseHead, Version};

/// How every response begins that can be read.
const BEGINNING: &[u8] = b"HTTP/1.";

/// The connection speaks another protocol from then on.
const SWITCHING_PROTOCOLS: u16 = 101;

/// A response as it came, without its body.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: ResponseHead,
    /// How long its body is.
    pub length: BodyLength,
    /// Whether the connection may be used again once the body is read.
    pub keep_alive: bool,
}

/// Reads the head of a response to a request of some method, once it is complete.
/// Heads with a status of `1xx` are returned like any other; but for `101`, another
/// response follows them.
///
/// For `buffer`, `seen` and `spare` see [`request::read`](super::request::read).
///
/// # Errors
/// Why the response must not be believed.
pub fn read(
    buffer: &mut Vec<u8>,
    seen: &mut usize,
    limits: &Limits,
    spare: &mut Fields,
    request: Method,
) -> Result<Option<Response>, Malformed> {
    let begins = match buffer.get(..BEGINNING.len()) {
        Some(beginning) => beginning == BEGINNING,
        None => BEGINNING.starts_with(buffer),
    };
    if !begins {
        return Err(Malformed("it does not begin like a response of HTTP/1"));
    }
    let taken = head::take(buffer, (0, seen), (limits, spare), read_line)?;
    let Some(Taken { line, mut fields }) = taken else {
        return Ok(None);
    };
    let (version, status) = line;
    let framed = frame(version, &mut fields, (request, status))?;
    let ends_by_itself = framed.length != BodyLength::UntilClose;
    let kept = framed.is_clear && ends_by_itself && status != SWITCHING_PROTOCOLS;
    Ok(Some(Response {
        length: framed.length,
        keep_alive: kept && length::is_kept_alive(version, &fields),
        head: ResponseHead {
            status,
            version,
            fields,
        },
    }))
}

/// Reads the status line (RFC 9112, section 4): where the next line begins, version
/// and status. What the status is called says nothing, and may be missing.
fn read_line(text: &[u8]) -> Result<(usize, (Version, u16)), Refused> {
    let end = head::line_end(text, 0)?.ok_or(head::BARE_LF)?;
    let line = text.get(..end).unwrap_or_default();
    let (version, rest) = line.split_at_checked(8).unwrap_or_default();
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(Refused::bad("a version that is not spoken")),
    };
    match rest {
        [b' ', first @ b'1'..=b'9', second, third]
        | [b' ', first @ b'1'..=b'9', second, third, b' ', ..]
            if second.is_ascii_digit() && third.is_ascii_digit() =>
        {
            let digits = [first, second, third].into_iter();
            let status = digits.fold(0, |all, digit| all * 10 + u16::from(digit - b'0'));
            Ok((end + 2, (version, status)))
        }
        _ => Err(Refused::bad("a status that is no number of three digits")),
    }
}

/// The body of a response, and whether its head leaves no doubt of it.
struct Framed {
    length: BodyLength,
    is_clear: bool,
}

/// How long the body is (RFC 9112, section 6.3). Who says it in two ways may be
/// misread by whoever reads after us, and may go on in a way that is not expected
/// here: the length is taken away and the connection is not used again.
fn frame(
    version: Version,
    fields: &mut Fields,
    (request, status): (Method, u16),
) -> Result<Framed, Malformed> {
    let length = content_length(fields)?;
    let coded = fields.has(Known::TransferEncoding);
    let never_has_body = status < 200 || status == 204;
    if coded || never_has_body {
        fields.remove_all(Names::of(&[Known::ContentLength]));
    }
    let is_clear = match (coded, length) {
        (true, Some(_)) => false,
        (true, None) => !never_has_body,
        (false, length) => !never_has_body || length.unwrap_or(0) == 0,
    };
    let length = if never_has_body || status == 304 || request == Method::Head {
        BodyLength::None
    } else if length::is_chunked(fields)? {
        if version == Version::Http10 {
            return Err(Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        BodyLength::Chunked
    } else {
        match length {
            Some(0) => BodyLength::None,
            Some(length) => BodyLength::Exactly(length),
            None => BodyLength::UntilClose,
        }
    };
    Ok(Framed { length, is_clear })
}

/// The length that all of its fields say. Several that say the same are made one.
fn content_length(fields: &mut Fields) -> Result<Option<u64>, Malformed> {
    const WRONG: Malformed = Malformed("a Content-Length that is no number");

    let only = fields.only(Known::ContentLength);
    if let Ok(said) = only {
        let Some(said) = said else {
            return Ok(None);
        };
        if let Some(length) = length::number(fields.at(said)) {
            return Ok(Some(length));
        }
    }
    let mut found = None;
    let mut times = 0;
    for value in fields.all(Known::ContentLength) {
        for digits in value.split(|byte| *byte == b',') {
            let length = length::number(digits.trim_ascii()).ok_or(WRONG)?;
            if found.is_some_and(|found| found != length) {
                return Err(Malformed("more than one Content-Length"));
            }
            found = Some(length);
            times += 1;
        }
    }
    if let Some(length) = found.filter(|_| times > 1) {
        fields.set("content-length", length.to_string().as_bytes());
    }
    Ok(found)
}
