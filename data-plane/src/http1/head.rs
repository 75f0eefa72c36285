//! What the heads of requests and responses have in common: where they end, and
//! their fields.
//!
//! The end is searched line by line in what is new, so that a client that sends
//! byte by byte costs no more than one that does not. Only a head that is
//! complete is read, once.

use std::ops::Range;

use memchr::memchr_iter;

use crate::http1::{Limits, Refused};
use crate::message::{Fields, Known, Span};

pub(super) const BARE_LF: Refused = Refused::bad("a line feed without a carriage return");
pub(super) const BARE_CR: Refused = Refused::bad("a carriage return without a line feed");

const TOO_LARGE: Refused = Refused::too_large("the head has too many bytes");

/// What a head ends with.
const END: &[u8] = b"\r\n\r\n";

/// Most bytes of a head whatever the configuration says: places are 32 bits.
const MOST_BYTES: usize = u32::MAX as usize;

/// Whether a head is complete: where it ends, or a later place if that is for
/// [`take`] to find out. `start` is where its first line begins, `seen` how much
/// was searched before.
pub(super) fn end(
    buffer: &[u8],
    start: usize,
    seen: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, Refused> {
    // Most heads come in one piece with nothing behind them.
    let whole = buffer.get(start..).unwrap_or_default();
    if *seen == 0 && whole.len() > END.len() && whole.ends_with(END) {
        return Ok(Some(buffer.len()));
    }
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
        return Err(TOO_LARGE);
    }
    Ok(None)
}

/// A head that was taken out of a buffer.
pub(super) struct Taken<T> {
    /// What its first line says.
    pub(super) line: T,
    /// Its fields, over its text.
    pub(super) fields: Fields,
}

/// Takes a complete head out of a buffer. What stands behind it is left there, in
/// the memory of `spare`. `read_line` is given the text up to the end and reads
/// the first line: where the next one begins, and what it says.
pub(super) fn take<T>(
    buffer: &mut Vec<u8>,
    end: usize,
    (limits, spare): (&Limits, &mut Fields),
    read_line: impl FnOnce(&[u8]) -> Result<(usize, T), Refused>,
) -> Result<Taken<T>, Refused> {
    let mut fields = std::mem::take(spare);
    let mut rest = fields.reset(Vec::new());
    let text = buffer.get_mut(..end).unwrap_or_default();
    let (from, line) = read_line(text)?;
    let end = read_fields(text, from, limits.fields, &mut fields)?;
    if end > limits.bytes.min(MOST_BYTES) {
        return Err(TOO_LARGE);
    }
    rest.extend_from_slice(buffer.get(end..).unwrap_or_default());
    buffer.truncate(end);
    fields.put_under(std::mem::replace(buffer, rest));
    Ok(Taken { line, fields })
}

/// Reads field lines from a place to the empty line behind them, and makes their
/// names lower case. Returns the place behind the empty line.
pub(super) fn read_fields(
    text: &mut [u8],
    from: usize,
    most: usize,
    fields: &mut Fields,
) -> Result<usize, Refused> {
    let mut at = from;
    loop {
        if let Some([b'\r', b'\n', ..]) = text.get(at..) {
            return Ok(at + 2);
        }
        let colon = lower_name(text, at)?;
        let end = line_end(text, colon + 1)?;
        if fields.len() >= most {
            return Err(Refused::too_large("the head has too many fields"));
        }
        let value = trimmed(text, colon + 1..end);
        let known = Known::of(text.get(at..colon).unwrap_or_default());
        let (Some(name), Some(value)) = (Span::new(at, colon), Span::new(value.start, value.end))
        else {
            return Err(TOO_LARGE);
        };
        fields.note_ahead(name, value, known);
        at = end + 2;
    }
}

/// Where the carriage return is that ends the line. Before it, there is no control
/// character but the tab (RFC 9110, section 5.5).
pub(super) fn line_end(text: &[u8], from: usize) -> Result<usize, Refused> {
    let mut at = from;
    loop {
        at += until_control(text.get(at..).unwrap_or_default());
        match text.get(at..).unwrap_or_default() {
            [b'\t', ..] => at += 1,
            [b'\r', b'\n', ..] => return Ok(at),
            [b'\r', ..] => return Err(BARE_CR),
            [b'\n', ..] | [] => return Err(BARE_LF),
            _ => return Err(Refused::bad("a control character")),
        }
    }
}

/// How many bytes come before the first control character. Looks at eight of them
/// at a time.
fn until_control(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = EACH * 0x80;

    let (eights, rest) = bytes.as_chunks();
    for (number, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        // A subtraction borrows only from bytes above one that is found.
        let below_space = word.wrapping_sub(EACH * 0x20) & !word;
        let other_than_delete = word ^ (EACH * 0x7F);
        let delete = other_than_delete.wrapping_sub(EACH) & !other_than_delete;
        let found = (below_space | delete) & HIGH;
        if found != 0 {
            return number * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let in_rest = rest.iter().position(u8::is_ascii_control);
    eights.len() * 8 + in_rest.unwrap_or(rest.len())
}

/// Makes the name of a field lower case. Returns the place of its colon.
fn lower_name(text: &mut [u8], from: usize) -> Result<usize, Refused> {
    let mut at = from;
    for byte in text.get_mut(from..).unwrap_or_default() {
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
        Some(b'\n') => Err(BARE_LF),
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
