//! Reads the head of a response.

use crate::http1::head;
use crate::http1::length;
use crate::http1::{BodyLength, Limits, Malformed};
use crate::message::name::Names;
use crate::message::{Fields, Known, Method, ResponseHead, Version};

/// How every response begins that can be read.
const BEGINNING: &[u8] = b"HTTP/1.";

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
    let alike = buffer.iter().zip(BEGINNING);
    if alike.into_iter().any(|(byte, expected)| byte != expected) {
        return Err(Malformed("it does not begin like a response of HTTP/1"));
    }
    let Some(end) = head::end(buffer, 0, seen, limits)? else {
        return Ok(None);
    };
    *seen = 0;
    let (mut fields, line) = head::take(buffer, 0..end, limits, spare)?;
    let (version, status) = read_line(fields.text().get(line).unwrap_or_default())?;
    let framed = frame(version, &mut fields, (request, status))?;
    let kept = framed.is_clear && length::is_kept_alive(version, &fields);
    Ok(Some(Response {
        length: framed.length,
        keep_alive: kept && framed.length != BodyLength::UntilClose,
        head: ResponseHead {
            status,
            version,
            fields,
        },
    }))
}

/// Version and status (RFC 9112, section 4). What the status is called says
/// nothing, and may be missing.
fn read_line(line: &[u8]) -> Result<(Version, u16), Malformed> {
    let (version, rest) = line.split_at_checked(8).unwrap_or_default();
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(Malformed("a version that is not spoken")),
    };
    let [b' ', digits @ ..] = rest else {
        return Err(Malformed("a status line without a status"));
    };
    match digits {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']
        | [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => {
            let digits = digits.iter().take(3);
            let status = digits.fold(0, |all, digit| all * 10 + u16::from(digit - b'0'));
            Ok((version, status))
        }
        _ => Err(Malformed("a status that is no number of three digits")),
    }
}

/// The body of a response, and whether its head leaves no doubt of it.
struct Framed {
    length: BodyLength,
    is_clear: bool,
}

/// How long the body is (RFC 9112, section 6.3).
fn frame(
    version: Version,
    fields: &mut Fields,
    (request, status): (Method, u16),
) -> Result<Framed, Malformed> {
    let clear = |length| Framed {
        length,
        is_clear: true,
    };
    let length = content_length(fields)?;
    if status < 200 || status == 204 {
        // It has no body, whatever it says; who says so all the same may send one.
        let is_clear =
            !fields.may_have(Names::of(&[Known::TransferEncoding])) && length.unwrap_or(0) == 0;
        fields.remove_all(Names::of(&[Known::ContentLength]));
        return Ok(Framed {
            length: BodyLength::None,
            is_clear,
        });
    }
    if request == Method::Head || status == 304 {
        return Ok(clear(BodyLength::None));
    }
    if length::is_chunked(fields)? {
        if version == Version::Http10 {
            return Err(Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        // The coding counts; who reads the length would cut the answer.
        fields.remove_all(Names::of(&[Known::ContentLength]));
        return Ok(Framed {
            length: BodyLength::Chunked,
            is_clear: length.is_none(),
        });
    }
    Ok(clear(match length {
        Some(0) => BodyLength::None,
        Some(length) => BodyLength::Exactly(length),
        None => BodyLength::UntilClose,
    }))
}

/// The length that all of its fields say. Several that say the same are made one.
fn content_length(fields: &mut Fields) -> Result<Option<u64>, Malformed> {
    const WRONG: Malformed = Malformed("a Content-Length that is no number");

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
