//! Reads beside hyper where the requests of an HTTP/1.1 connection begin and
//! end. hyper drops a `Content-Length` beside a `Transfer-Encoding` before
//! anybody sees it, yet a server in front or behind may have gone by the other
//! of the two (request smuggling; RFC 9112, section 6.3). So requests whose
//! length can be read in two ways are found here, and refused by the proxy.
//!
//! ```text
//!          .--------------------- empty line ---------------------.
//!          v                                                      |
//! Head ----+-- no body --> Head    length --> Body -- all --> Head
//!          '-- chunked --> ChunkSize --> ChunkData --> ChunkEnd --> ... Trailers
//! ```
//! Whatever cannot be understood ends the reading: no later request of the
//! connection is believed. What hyper refuses by itself is not looked at.

use smallvec::SmallVec;

/// Bytes of a line that are looked at. No line that matters is longer, unless
/// somebody means to hide something.
const LINE: usize = 96;

/// Reads the bytes that a client sends.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// The beginning of the line that is being read.
    line: SmallVec<[u8; LINE]>,
    /// Whether the line is longer than what is kept of it.
    cut: bool,
    /// The byte before.
    last: u8,
    /// Which request is being read; the first is 1.
    request: u64,
    head: Head,
}

/// What the bytes that come next are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request's head.
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// The line before a chunk.
    ChunkSize,
    /// So many bytes of a chunk.
    ChunkData(u64),
    /// The end of line after a chunk.
    ChunkEnd,
    /// Fields after the last chunk.
    Trailers,
    /// Unknown, from now on.
    Lost,
}

/// What a head has said so far of the length of its body.
#[derive(Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    ambiguous: bool,
}

impl Framing {
    /// Begins with the first request of a connection.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            line: SmallVec::new(),
            cut: false,
            last: 0,
            request: 1,
            head: Head::default(),
        }
    }

    /// Reads on. `Some` once: the number of the first request that must not be
    /// believed.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() {
            match self.state {
                State::Lost => return None,
                State::Body(left) | State::ChunkData(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.skip(left - taken as u64);
                    bytes = &bytes[taken..];
                }
                State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let taken = end.unwrap_or(bytes.len());
                    self.keep(&bytes[..taken]);
                    bytes = &bytes[end? + 1..];
                    if self.end_line().is_err() {
                        self.state = State::Lost;
                        return Some(self.request);
                    }
                }
            }
        }
        None
    }

    /// Whether what was read last is not the end of a request, for all we know.
    pub(crate) fn is_within(&self) -> bool {
        self.state != State::Head || self.head.begun || !self.line.is_empty()
    }

    /// So many bytes of the body or chunk are left.
    fn skip(&mut self, left: u64) {
        self.state = match (self.state, left) {
            (State::Body(_), 0) => self.next_request(),
            (State::Body(_), left) => State::Body(left),
            (_, 0) => State::ChunkEnd,
            (_, left) => State::ChunkData(left),
        };
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE - self.line.len();
        self.line.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.cut |= bytes.len() > room;
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    /// A line has ended.
    fn end_line(&mut self) -> Result<(), Unclear> {
        let mut line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.cut);
        let proper = std::mem::take(&mut self.last) == b'\r';
        if proper && !cut {
            line.pop();
        }
        // hyper takes a bare line feed in a head, and nowhere else.
        if !proper && self.state != State::Head {
            self.request += 1;
            return Err(Unclear);
        }
        self.state = match self.state {
            State::Head => self.head_line(&line, cut)?,
            State::ChunkSize => match chunk_size(&line) {
                Some(0) => State::Trailers,
                Some(size) => State::ChunkData(size),
                None => return self.unreadable(),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::Trailers if line.is_empty() => self.next_request(),
            State::Trailers => State::Trailers,
            _ => return self.unreadable(),
        };
        Ok(())
    }

    /// The body of a request that was believed cannot be read: hyper will say
    /// what is to become of it; the next request is not believed.
    fn unreadable(&mut self) -> Result<(), Unclear> {
        self.request += 1;
        Err(Unclear)
    }

    fn head_line(&mut self, line: &[u8], cut: bool) -> Result<State, Unclear> {
        let head = &mut self.head;
        if !line.is_empty() {
            if head.begun {
                head.field(line, cut);
            }
            head.begun = true;
            return Ok(State::Head);
        }
        // Empty lines before a request are nothing.
        if !head.begun {
            return Ok(State::Head);
        }
        if head.ambiguous || (head.chunked && head.length.is_some()) {
            return Err(Unclear);
        }
        Ok(match head.length {
            _ if head.chunked => State::ChunkSize,
            None | Some(0) => self.next_request(),
            Some(length) => State::Body(length),
        })
    }

    fn next_request(&mut self) -> State {
        self.request += 1;
        self.head = Head::default();
        State::Head
    }
}

/// It is not clear where the request ends.
struct Unclear;

impl Head {
    /// Reads a field.
    fn field(&mut self, line: &[u8], cut: bool) {
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10).filter(|_| !cut);
            let differs = self.length.is_some() && self.length != length;
            self.ambiguous |= length.is_none() || differs;
            self.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let plain = value.eq_ignore_ascii_case(b"chunked") && !cut;
            self.ambiguous |= self.chunked || !plain;
            self.chunked = true;
        }
    }
}

/// The size in the line before a chunk. What follows it, an extension, means
/// nothing.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| b"; \t".contains(byte));
    number(&line[..end.unwrap_or(line.len())], 16)
}

/// Nothing but digits, and not too many.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let all_digits = digits.iter().all(|byte| char::from(*byte).is_digit(radix));
    let text = std::str::from_utf8(digits).ok().filter(|_| all_digits)?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nhost: shop\r\n";

    /// The first request not to be believed, whichever way the bytes come.
    fn first_refused(bytes: &str) -> Option<u64> {
        let whole = Framing::new().read(bytes.as_bytes());
        for size in 1..8 {
            let mut framing = Framing::new();
            let found = bytes
                .as_bytes()
                .chunks(size)
                .find_map(|part| framing.read(part));
            assert_eq!(found, whole, "in pieces of {size}: {bytes:?}");
        }
        whole
    }

    #[test]
    fn a_length_that_can_be_read_in_two_ways_is_found() {
        for fields in [
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "transfer-encoding:chunked\ncontent-length:0\n",
            "content-length: 4\r\ncontent-length: 5\r\n",
            "content-length: 4, 4\r\n",
            "content-length: +4\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
        ] {
            let request = format!("{HEAD}{fields}\r\n0\r\n\r\n");
            assert_eq!(first_refused(&request), Some(1), "{fields:?}");
        }
        let spaces = " ".repeat(LINE);
        let hidden = format!("{HEAD}transfer-encoding: {spaces}chunked\r\n\r\n");
        assert_eq!(first_refused(&hidden), Some(1));
    }

    #[test]
    fn every_request_of_a_connection_is_looked_at() {
        let bad = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        let long = "x".repeat(3 * LINE);
        for (before, first) in [
            (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), 2),
            (format!("\r\n\r\n{HEAD}content-length: 0\r\n\r\n"), 2),
            (format!("{HEAD}content-length: 9\r\n\r\nGET /\r\n\r\n"), 2),
            (
                format!("{HEAD}content-length: 1\r\ncontent-length: 1\r\n\r\nx"),
                2,
            ),
            (
                format!(
                    "{HEAD}transfer-encoding: Chunked\r\n\r\n\
                     3;a=b\r\n\r\n\r\r\nA \r\n0123456789\r\n0\r\nx: {long}\r\n\r\n\
                     GET / HTTP/1.1\r\n\r\n"
                ),
                3,
            ),
        ] {
            assert_eq!(first_refused(&before), None, "{before:?}");
            assert_eq!(
                first_refused(&(before.clone() + bad)),
                Some(first),
                "{before:?}"
            );
        }
    }

    #[test]
    fn after_a_body_that_cannot_be_read_nothing_is_believed() {
        for body in [
            "x\r\n",
            "3\nabc\n",
            "3\r\nabcd\r\n",
            "0\r\na: b\n\r\n",
            "\r\n",
        ] {
            let request = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{body}");
            assert_eq!(first_refused(&request), Some(2), "{body:?}");
        }
    }
}
