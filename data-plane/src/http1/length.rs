//! What fields say of the length of a body and of the life of a connection.

use crate::http1::Refused;
use crate::message::{Fields, Known, Version};

/// Longest body that is taken in: what a signed number of 64 bits can count,
/// because not everybody who reads the field after us counts further.
const MOST: u64 = i64::MAX as u64;

/// A length that says nothing in more than one way.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let mut all = 0_u64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        all = all.checked_mul(10)?.checked_add(digit)?;
    }
    (!digits.is_empty() && all <= MOST).then_some(all)
}

/// Whether a body comes in chunks, and nothing but that (RFC 9112, section 6.1).
pub(super) fn is_chunked(fields: &Fields) -> Result<bool, Refused> {
    let mut codings = fields.all(Known::TransferEncoding);
    let Some(coding) = codings.next() else {
        return Ok(false);
    };
    if codings.next().is_some() {
        return Err(Refused::bad("more than one Transfer-Encoding"));
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let mut names = coding.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let last = names.next_back().unwrap_or_default();
    let chunked_before = names.any(|name| name.eq_ignore_ascii_case(b"chunked"));
    if last.eq_ignore_ascii_case(b"chunked") && !chunked_before {
        return Err(Refused {
            status: 501,
            reason: "a transfer coding beside chunked",
        });
    }
    Err(Refused::bad(
        "a transfer coding that does not end in chunked",
    ))
}

/// Whether the connection may be used again (RFC 9112, section 9.3).
pub(super) fn is_kept_alive(version: Version, fields: &Fields) -> bool {
    let has = |token: &[u8]| {
        fields.all(Known::Connection).any(|value| {
            let mut tokens = value.split(|byte| *byte == b',');
            tokens.any(|each| each.trim_ascii().eq_ignore_ascii_case(token))
        })
    };
    match version {
        Version::Http10 => has(b"keep-alive") && !has(b"close"),
        Version::Http11 | Version::Http2 => !has(b"close"),
    }
}
