//! What the heads of requests and responses have in common: where they end, and
//! their fields.
//!
//! The end is searched line by line in what is new, so that a client that sends
//! byte by byte costs no more than one that does not. Only a head that is
//! complete is read, once.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::http1::{Limits, Refused};
use crate::message::{Fields, Known, Span};

const BARE_LF: Refused = Refused::bad("a line feed without a carriage return");
const BARE_CR: Refused = Refused::bad("a carriage return without a line feed");

/// Most bytes of a head whatever the configuration says: places are 32 bits.
const MOST_BYTES: usize = u32::MAX as usize;

/// The byte behind the empty line that ends a head, or `None` if it has not come.
/// `start` is where its first line begins, `seen` how much was searched before.
pub(super) fn end(
    buffer: &[u8],
    start: usize,
    seen: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, Refused> {
    let most = limits.bytes.min(MOST_BYTES);
    let within = buffer.get(..most).unwrap_or(buffer);
    let from = start.max(*seen);
    for found in memchr_iter(b'\n', within.get(from..).unwrap_or_default()) {
        let at = from + found;
        match within.get(start..at).unwrap_or_default() {
            [.., b'\n', b'\r'] => return Ok(Some(at + 1)),
            [.., b'\r'] => {}
            _ => return Err(BARE_LF),
        }
    }
    *seen = within.len();
    if buffer.len() >= most {
        return Err(Refused::too_large("the head has too many bytes"));
    }
    Ok(None)
}

/// Takes a complete head out of a buffer. What stands behind it is left there, in
/// the memory of `spare`. Returns the fields over the text of the head, and the
/// place of its first line.
pub(super) fn take(
    buffer: &mut Vec<u8>,
    head: Range<usize>,
    limits: &Limits,
    spare: &mut Fields,
) -> Result<(Fields, Range<usize>), Refused> {
    let mut fields = std::mem::take(spare);
    let mut rest = fields.reset(Vec::new());
    let text = buffer.get_mut(..head.end).unwrap_or_default();
    check_bytes(text)?;
    let line = head.start..line_end(text, head.start)?;
    read_fields(text, line.end + 2, limits.fields, &mut fields)?;
    rest.extend_from_slice(buffer.get(head.end..).unwrap_or_default());
    buffer.truncate(head.end);
    fields.put_under(std::mem::replace(buffer, rest));
    Ok((fields, line))
}

/// Reads field lines from a place to the empty line that ends the text, and makes
/// their names lower case.
pub(super) fn read_fields(
    text: &mut [u8],
    from: usize,
    most: usize,
    fields: &mut Fields,
) -> Result<(), Refused> {
    let mut at = from;
    while at + 2 < text.len() {
        let colon = lower_name(text, at)?;
        let end = line_end(text, colon)?;
        if fields.len() >= most {
            return Err(Refused::too_large("the head has too many fields"));
        }
        let value = trimmed(text, colon + 1..end);
        let name = text.get(at..colon).unwrap_or_default();
        let known = Known::of(name);
        let (Some(name), Some(value)) = (Span::new(at, colon), Span::new(value.start, value.end))
        else {
            return Err(Refused::too_large("the head has too many bytes"));
        };
        fields.note_ahead(name, value, known);
        at = end + 2;
    }
    Ok(())
}

/// Refuses control characters (RFC 9110, section 5.5), of which only those that
/// end lines are looked at later.
pub(super) fn check_bytes(text: &[u8]) -> Result<(), Refused> {
    let is_bad = |byte: u8| (byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')) || byte == 0x7F;
    // No way out on the way, so that many bytes are looked at at once.
    if text.iter().fold(false, |bad, byte| bad | is_bad(*byte)) {
        return Err(Refused::bad("a control character"));
    }
    Ok(())
}

/// Where the carriage return is that ends the line.
fn line_end(text: &[u8], from: usize) -> Result<usize, Refused> {
    let rest = text.get(from..).unwrap_or_default();
    let end = memchr(b'\r', rest).ok_or(BARE_LF)?;
    match rest.get(end + 1) {
        Some(b'\n') => Ok(from + end),
        _ => Err(BARE_CR),
    }
}

/// Makes the name of a field lower case. Returns the place of its colon.
fn lower_name(text: &mut [u8], from: usize) -> Result<usize, Refused> {
    let mut at = from;
    for byte in text.iter_mut().skip(from) {
        let lower = NAME[usize::from(*byte)];
        if lower == 0 {
            break;
        }
        *byte = lower;
        at += 1;
    }
    match text.get(at) {
        Some(b':') if at > from => Ok(at),
        Some(b':') => Err(Refused::bad("a field without a name")),
        Some(b' ' | b'\t') if at == from => Err(Refused::bad("a field over more than one line")),
        Some(b' ' | b'\t') => Err(Refused::bad("white space before a colon")),
        _ => Err(Refused::bad("a field name that is no token")),
    }
}

/// Without the white space around it.
fn trimmed(text: &[u8], value: Range<usize>) -> Range<usize> {
    let is_blank = |at: usize| matches!(text.get(at), Some(b' ' | b'\t'));
    let (mut start, mut end) = (value.start, value.end);
    while start < end && is_blank(start) {
        start += 1;
    }
    while start < end && is_blank(end - 1) {
        end -= 1;
    }
    start..end
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    NAME[usize::from(byte)] != 0
}

/// Each byte of a token in lower case; 0 for what cannot stand in one.
const NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 0x7F {
        let lower = match byte {
            b'!'
            | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
            | b'0'..=b'9'
            | b'a'..=b'z'
            | b'A'..=b'Z' => byte.to_ascii_lowercase(),
            _ => 0,
        };
        table[byte as usize] = lower;
        byte += 1;
    }
    table
};
