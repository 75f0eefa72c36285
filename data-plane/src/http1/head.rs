//! What the heads of requests and responses have in common: where they end, and
//! their fields.
//!
//! Nearly all heads come in one piece, and are read without a look for their end.
//! Of one that turns out to be incomplete, the end is searched from then on, line
//! by line in what is new, so that a client that sends byte by byte costs no more
//! than one that does not.

use memchr::{memchr, memchr_iter};

use crate::http1::lanes::{self, LANES};
use crate::http1::{Limits, Refused};
use crate::message::{Fields, Known, Span};

pub(super) const BARE_LF: Refused = Refused::bad("a line feed without a carriage return");
pub(super) const BARE_CR: Refused = Refused::bad("a carriage return without a line feed");

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
/// there, in the memory of `spare`. `read_line` reads the first line, which is
/// complete: where the next one begins, and what it says. `start` is where it
/// begins, and `seen` how much of the buffer was searched before.
pub(super) fn take<T>(
    buffer: &mut Vec<u8>,
    (start, seen): (usize, &mut usize),
    (limits, spare): (&Limits, &mut Fields),
    read_line: impl FnOnce(&[u8]) -> Result<(usize, T), Refused>,
) -> Result<Option<Taken<T>>, Refused> {
    if *seen > 0 && !has_ended(buffer, start, seen, limits)? {
        return Ok(None);
    }
    let taken = match memchr(b'\n', buffer.get(start..).unwrap_or_default()) {
        Some(_) => take_whole(buffer, (limits, spare), read_line),
        None => Ok(None),
    };
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

/// The same, for a head of which the first line is complete and the rest perhaps.
fn take_whole<T>(
    buffer: &mut Vec<u8>,
    (limits, spare): (&Limits, &mut Fields),
    read_line: impl FnOnce(&[u8]) -> Result<(usize, T), Refused>,
) -> Result<Option<Taken<T>>, Refused> {
    let (from, line) = read_line(buffer)?;
    let mut rest = spare.reset(Vec::new());
    let end = read_fields(buffer, from, limits.fields, spare);
    let Ok(Some(end)) = end else {
        spare.reset(rest);
        return end.map(|_| None);
    };
    if end > limits.bytes.min(MOST_BYTES) {
        return Err(TOO_LARGE);
    }
    rest.extend_from_slice(buffer.get(end..).unwrap_or_default());
    buffer.truncate(end);
    spare.put_under(std::mem::replace(buffer, rest));
    let fields = std::mem::take(spare);
    Ok(Some(Taken { line, fields }))
}

/// Reads field lines from a place to the empty line behind them, and makes their
/// names lower case. Returns the place behind the empty line; `None` if the text
/// ends before.
pub(super) fn read_fields(
    text: &mut [u8],
    from: usize,
    most: usize,
    fields: &mut Fields,
) -> Result<Option<usize>, Refused> {
    if text.len() > MOST_BYTES {
        return Err(TOO_LARGE);
    }
    let mut at = from;
    loop {
        let line = text.get_mut(at..).unwrap_or_default();
        match line {
            [b'\r', b'\n', ..] => return Ok(Some(at + 2)),
            [] | [b'\r'] => return Ok(None),
            _ => {}
        }
        let Some(colon) = lower_name(line)? else {
            return Ok(None);
        };
        let mut begin = colon + 1;
        while let Some(b' ' | b'\t') = line.get(begin) {
            begin += 1;
        }
        let Some(end) = line_end(line, begin)? else {
            return Ok(None);
        };
        let mut last = end;
        while last > begin && line.get(last - 1).is_some_and(|byte| is_blank(*byte)) {
            last -= 1;
        }
        if fields.len() >= most {
            return Err(Refused::too_large("the head has too many fields"));
        }
        let known = Known::of(line.get(..colon).unwrap_or_default());
        let plain = begin == colon + 2 && line.get(colon + 1) == Some(&b' ');
        let name = Span::within(at, at + colon);
        let value = Span::within(at + begin, at + last);
        fields.note_ahead((name, value), known, plain);
        at += end + 2;
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the carriage return is that ends the line; `None` if the text ends
/// before. There is no control character in the line but the tab (RFC 9110,
/// section 5.5).
pub(super) fn line_end(text: &[u8], from: usize) -> Result<Option<usize>, Refused> {
    let mut at = from;
    loop {
        at += until_control(text.get(at..).unwrap_or_default());
        match text.get(at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => return Ok(Some(at)),
            [b'\t', ..] => at += 1,
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(BARE_CR),
            [b'\n', ..] => return Err(BARE_LF),
            _ => return Err(Refused::bad("a control character")),
        }
    }
}

/// How many bytes come before the first control character.
fn until_control(bytes: &[u8]) -> usize {
    let (lanes, rest) = bytes.as_chunks();
    for (number, each) in lanes.iter().enumerate() {
        let plain = lanes::until_control(each);
        if plain < LANES {
            return number * LANES + plain;
        }
    }
    let in_rest = rest.iter().position(u8::is_ascii_control);
    lanes.len() * LANES + in_rest.unwrap_or(rest.len())
}

/// Makes the name lower case with which a line begins. Returns the place of its
/// colon; `None` if the text ends before.
fn lower_name(line: &mut [u8]) -> Result<Option<usize>, Refused> {
    let mut at = 0;
    while let Some(begin) = line.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        let plain = lanes::lower_plain(begin);
        at += plain;
        if plain < LANES {
            if at > 0 && begin.get(plain) == Some(&b':') {
                return Ok(Some(at));
            }
            break;
        }
    }
    for byte in line.get_mut(at..).unwrap_or_default() {
        let lower = NAME[usize::from(*byte)];
        if lower == 0 {
            break;
        }
        *byte = lower;
        at += 1;
    }
    match line.get(at) {
        Some(b':') if at > 0 => Ok(Some(at)),
        None => Ok(None),
        Some(b':') => Err(Refused::bad("a field without a name")),
        Some(b' ' | b'\t') if at == 0 => Err(Refused::bad("a field over more than one line")),
        Some(b' ' | b'\t') => Err(Refused::bad("white space before a colon")),
        Some(b'\n') => Err(BARE_LF),
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
