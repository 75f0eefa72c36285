//! Bodies in chunks (RFC 9112, section 7.1), read and written.
//!
//! ```text
//!           .------------------------------------------------.
//!           v                                                |
//! Size -> Padding -> Extension -> SizeLf -- size --> Data -> DataCr -> DataLf
//!                                   '-- 0 --> TrailersStart -> Trailers -> Done
//! ```
//! Sizes are digits and nothing else, lines end in both bytes, and what may
//! stand between size and end of line is bounded over the whole body.

use std::num::NonZeroUsize;
use std::ops::Range;

use memchr::memchr;

use crate::http1::head;
use crate::http1::{Limits, Malformed};
use crate::message::Fields;

/// Most digits of a size: with more, it does not fit into 64 bits unless they
/// are zeros that mean nothing.
const MOST_DIGITS: u8 = 16;

/// Largest chunk: see the longest body.
const LARGEST: u64 = i64::MAX as u64;

/// Most bytes of extensions of one body, with the white space before them. They
/// mean nothing to anybody and cost the reader more than the sender.
const MOST_EXTENSION: usize = 16 * 1024;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailersStart,
    TrailersStartLf,
    Trailers,
    Done,
}

/// Reads a body in chunks.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Digits of the size that is being read.
    digits: u8,
    /// The size that is being read, then what is left of the chunk.
    left: u64,
    /// Bytes of extensions so far.
    extension: usize,
    /// Trailer lines so far, and where the last of them begins.
    lines: Vec<u8>,
    line: usize,
    trailers: Option<Fields>,
    limits: Limits,
}

/// What was found in the bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A piece of the body, at this place of the bytes.
    Data(Range<usize>),
    /// Nothing that is complete: more bytes must come.
    More,
    /// The end of the body.
    End,
}

impl Decoder {
    /// At the beginning of a body. The limits are for its trailers.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Size,
            digits: 0,
            left: 0,
            extension: 0,
            lines: Vec::new(),
            line: 0,
            trailers: None,
            limits,
        }
    }

    /// Reads on. Returns how many bytes are used up, and what they were. What is
    /// not used up is to be given again, together with what comes behind it.
    ///
    /// # Errors
    /// Why the body, and whatever follows it, must not be believed.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Part), Malformed> {
        let mut at = 0;
        while self.state != State::Done {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(first) = rest.first() else {
                return Ok((at, Part::More));
            };
            match self.state {
                State::Data => {
                    let taken = usize::try_from(self.left).unwrap_or(usize::MAX);
                    let taken = taken.min(rest.len());
                    self.left -= taken as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((at + taken, Part::Data(at..at + taken)));
                }
                State::Trailers => at += self.read_trailers(rest)?,
                _ => {
                    self.state = self.read_byte(*first)?;
                    at += 1;
                }
            }
        }
        Ok((at, Part::End))
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers, once the body has ended, as they came. Once.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    fn read_byte(&mut self, byte: u8) -> Result<State, Malformed> {
        let wrong = |reason| Err(Malformed(reason));
        match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => self.read_digit(byte),
            (State::Size, _) if self.digits == 0 => wrong("a chunk without a size"),
            (State::Size | State::Padding | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size | State::Padding, b' ' | b'\t') => self.skip(State::Padding),
            (State::Size | State::Padding, b';') => self.skip(State::Extension),
            (State::Size | State::Padding, _) => wrong("a chunk size that is no number"),
            (State::Extension, 0x7F | ..b' ') if byte != b'\t' => {
                wrong("a control character in a chunk extension")
            }
            (State::Extension, _) => self.skip(State::Extension),
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                Ok(match self.left {
                    0 => State::TrailersStart,
                    _ => State::Data,
                })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::DataCr | State::DataLf, _) => wrong("a chunk longer than its size"),
            (State::TrailersStart, b'\r') => Ok(State::TrailersStartLf),
            (State::TrailersStart, _) => {
                self.begin_trailers(byte)?;
                Ok(State::Trailers)
            }
            (State::TrailersStartLf, b'\n') => Ok(State::Done),
            _ => wrong("a carriage return without a line feed"),
        }
    }

    fn read_digit(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default();
        let size = self.left.checked_mul(16);
        let size = size.and_then(|size| size.checked_add(u64::from(digit)));
        self.digits += 1;
        match size {
            Some(size) if size <= LARGEST && self.digits <= MOST_DIGITS => {
                self.left = size;
                Ok(State::Size)
            }
            _ => Err(Malformed("a chunk size that is too large")),
        }
    }

    fn skip(&mut self, state: State) -> Result<State, Malformed> {
        self.extension += 1;
        if self.extension > MOST_EXTENSION {
            return Err(Malformed("chunk extensions of too many bytes"));
        }
        Ok(state)
    }

    fn begin_trailers(&mut self, byte: u8) -> Result<(), Malformed> {
        if byte == b'\n' {
            return Err(Malformed("a line feed without a carriage return"));
        }
        self.lines.push(byte);
        Ok(())
    }

    /// Takes up trailer lines until the empty one. Returns how many bytes.
    fn read_trailers(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let line = bytes.get(..end).unwrap_or_default();
        if self.lines.len() + line.len() > self.limits.bytes {
            return Err(Malformed("trailers of too many bytes"));
        }
        self.lines.extend_from_slice(line);
        match self.lines.get(self.line..).unwrap_or_default() {
            [b'\r', b'\n'] => self.end_trailers()?,
            [.., b'\r', b'\n'] => self.line = self.lines.len(),
            [.., b'\n'] => return Err(Malformed("a line feed without a carriage return")),
            _ => {}
        }
        Ok(end)
    }

    fn end_trailers(&mut self) -> Result<(), Malformed> {
        let mut text = std::mem::take(&mut self.lines);
        let mut fields = Fields::default();
        let read = head::read_fields(&mut text, 0, self.limits.fields, &mut fields)?;
        read.ok_or(Malformed("trailers without an end"))?;
        fields.put_under(text);
        self.trailers = Some(fields);
        self.state = State::Done;
        Ok(())
    }
}

/// What stands behind the data of a chunk.
pub const END_OF_CHUNK: &[u8] = b"\r\n";

/// Writes what stands before the data of a chunk. Behind the data,
/// [`END_OF_CHUNK`] is to be written.
pub fn begin(out: &mut Vec<u8>, size: NonZeroUsize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    let size = size.get();
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    let digit = |place: u32| DIGITS[(size >> (place * 4)) & 0xF];
    out.extend((0..digits).rev().map(digit));
    out.extend_from_slice(b"\r\n");
}

/// Writes a chunk. No data is no chunk, because that would be the end.
pub fn write(out: &mut Vec<u8>, data: &[u8]) {
    if let Some(size) = NonZeroUsize::new(data.len()) {
        begin(out, size);
        out.extend_from_slice(data);
        out.extend_from_slice(END_OF_CHUNK);
    }
}

/// Writes the end of the body.
pub fn end(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write_to(out);
    }
    out.extend_from_slice(b"\r\n");
}
