//! What the heads of requests and responses have in common: where they end, and
//! their fields.
//!
//! Nearly all heads come in one piece, and are read without a look for their end.
//! Of one that turns out to be incomplete, the end is searched from then on, line
//! by line in what is new, so that a client that sends byte by byte costs no more
//! than one that does not.

use memchr::memchr_iter;

use crate::http1::lanes::{self, LANES};
use crate::http1::lines::{BARE_LF, Lines};
use crate::http1::{Limits, Refused};
use crate::message::{Fields, Known, Span};

const TOO_LARGE: Refused = Refused::too_large("the head has too many bytes");

/// Most bytes of a head whatever the configuration says: places are 32 bits.
const MOST_BYTES: usize = u32::MAX as usize;

/// Whether a head is complete, as far as that can be told without reading it.
/// `start` is where its first line begins, `seen` how much was searched before.
fn has_ended(
    buffer: &[u8],
    start: usize,
    seen: &mut usize,
    limits: &Limits,
) -> Result<bool, Refused> {
    let most = limits.bytes.min(MOST_BYTES);
    let within = buffer.get(..most).unwrap_or(buffer);
    let from = start.max(*seen);
    for found in memchr_iter(b'\n', within.get(from..).unwrap_or_default()) {
        let at = from + found;
        match within.get(start..at).unwrap_or_default() {
            [.., b'\n', b'\r'] => return Ok(true),
            [.., b'\r'] => {}
            _ => return Err(BARE_LF),
        }
    }
    *seen = within.len();
    if buffer.len() >= most {
        return Err(TOO_LARGE);
    }
    Ok(false)
}

/// A head that was taken out of a buffer.
pub(super) struct Taken<T> {
    /// What its first line says.
    pub(super) line: T,
    /// Its fields, over its text.
    pub(super) fields: Fields,
}

/// Takes a head out of a buffer, if it is complete. What stands behind it is left
/// there, in the memory of `spare`. `read_line` reads the first line, from `start`
/// to its end. `seen` is how much of the buffer was searched before.
pub(super) fn take<T>(
    buffer: &mut Vec<u8>,
    (start, seen): (usize, &mut usize),
    (limits, spare): (&Limits, &mut Fields),
    read_line: impl FnOnce(&[u8], usize) -> Result<T, Refused>,
) -> Result<Option<Taken<T>>, Refused> {
    if *seen > 0 && !has_ended(buffer, start, seen, limits)? {
        return Ok(None);
    }
    let taken = take_whole(buffer, start, (limits, spare), read_line);
    if let Ok(Some(_)) = &taken {
        *seen = 0;
        return taken;
    }
    // What is wrong with a head is said when all of it is there, whatever pieces
    // it comes in.
    if has_ended(buffer, start, seen, limits)? {
        return taken;
    }
    Ok(None)
}

/// The same, for a head that is complete, perhaps.
fn take_whole<T>(
    buffer: &mut Vec<u8>,
    start: usize,
    (limits, spare): (&Limits, &mut Fields),
    read_line: impl FnOnce(&[u8], usize) -> Result<T, Refused>,
) -> Result<Option<Taken<T>>, Refused> {
    if buffer.len() > MOST_BYTES {
        return Err(TOO_LARGE);
    }
    let mut lines = Lines::from(start);
    let Some(end) = lines.next_end(buffer)? else {
        return Ok(None);
    };
    let line = read_line(buffer, end)?;
    let mut rest = spare.reset(Vec::new());
    let end = read_fields(buffer, (&mut lines, end + 2), limits.fields, spare);
    let Ok(Some(end)) = end else {
        spare.reset(rest);
        return end.map(|_| None);
    };
    if end > limits.bytes {
        return Err(TOO_LARGE);
    }
    rest.extend_from_slice(buffer.get(end..).unwrap_or_default());
    buffer.truncate(end);
    spare.put_under(std::mem::replace(buffer, rest));
    let fields = std::mem::take(spare);
    Ok(Some(Taken { line, fields }))
}

/// Reads all the fields of a text of not more than [`MOST_BYTES`], up to an empty
/// line.
pub(super) fn read_all(
    text: &mut [u8],
    most: usize,
    fields: &mut Fields,
) -> Result<Option<usize>, Refused> {
    read_fields(text, (&mut Lines::from(0), 0), most, fields)
}

/// Reads the lines from a place to the empty one behind them, and makes the names
/// of their fields lower case. Returns the place behind the empty line; `None` if
/// the text ends before.
fn read_fields(
    text: &mut [u8],
    (lines, from): (&mut Lines, usize),
    most: usize,
    fields: &mut Fields,
) -> Result<Option<usize>, Refused> {
    let mut at = from;
    loop {
        let Some(end) = lines.next_end(text)? else {
            return Ok(None);
        };
        if end == at {
            return Ok(Some(end + 2));
        }
        let colon = at + lower_name(text.get_mut(at..).unwrap_or_default())?;
        let behind = text.get(colon + 1..end).unwrap_or_default();
        let mut value = behind;
        while let [b' ' | b'\t', rest @ ..] = value {
            value = rest;
        }
        let begin = end - value.len();
        while let [rest @ .., b' ' | b'\t'] = value {
            value = rest;
        }
        if fields.len() >= most {
            return Err(Refused::too_large("the head has too many fields"));
        }
        let known = Known::of(text.get(at..colon).unwrap_or_default());
        let plain = begin == colon + 2 && behind.first() == Some(&b' ');
        let name = Span::within(at, colon);
        let value = Span::within(begin, begin + value.len());
        fields.note_ahead((name, value), known, plain);
        at = end + 2;
    }
}

/// Makes the name lower case with which a text begins. Returns the place of its
/// colon.
fn lower_name(text: &mut [u8]) -> Result<usize, Refused> {
    let mut at = 0;
    while let Some(begin) = text.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        let plain = lanes::lower_plain(begin);
        at += plain;
        if plain < LANES {
            if at > 0 && begin.get(plain) == Some(&b':') {
                return Ok(at);
            }
            break;
        }
    }
    for byte in text.get_mut(at..).unwrap_or_default() {
        let lower = NAME[usize::from(*byte)];
        if lower == 0 {
            break;
        }
        *byte = lower;
        at += 1;
    }
    match text.get(at) {
        Some(b':') if at > 0 => Ok(at),
        Some(b':') => Err(Refused::bad("a field without a name")),
        Some(b' ' | b'\t') if at == 0 => Err(Refused::bad("a field over more than one line")),
        Some(b' ' | b'\t') => Err(Refused::bad("white space before a colon")),
        _ => Err(Refused::bad("a field name that is no token")),
    }
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
