//! Reads a connection with the codec under test, whatever the pieces in which the
//! bytes come.

use evenkeel_data_plane::head::Head;
use evenkeel_data_plane::http1::chunked::{Decoder, Part};
use evenkeel_data_plane::http1::{BodyLength, Limits, request, response};
use evenkeel_data_plane::message::{Fields, Method, Version};

use crate::reading::{End, Message, Pairs, Reading, sorted};

/// As small as the smallest sensible setting, so that it is reached.
pub(crate) const LIMITS: Limits = Limits {
    bytes: 1024,
    fields: 20,
};

/// Which side is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What clients send.
    Requests,
    /// What an endpoint sends after one request of this method.
    Response(Method),
}

enum Body {
    Length(u64),
    Chunked(Box<Decoder>),
    UntilClose,
}

struct Reader {
    side: Side,
    buffer: Vec<u8>,
    seen: usize,
    spare: Fields,
    /// The message whose body is being read, and whether it is the last.
    open: Option<(Message, Body, bool)>,
    /// Whether the last message said so.
    closed: bool,
    messages: Vec<Message>,
}

/// Reads all pieces, then the end of the connection.
pub(crate) fn read<'a>(side: Side, pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let mut reader = Reader {
        side,
        buffer: Vec::new(),
        seen: 0,
        spare: Fields::default(),
        open: None,
        closed: false,
        messages: Vec::new(),
    };
    let mut end = None;
    for piece in pieces {
        reader.buffer.extend_from_slice(piece);
        if let Err(reason) = reader.advance() {
            end = Some(End::Refused(reason));
            break;
        }
    }
    let end = end.unwrap_or_else(|| reader.finish());
    Reading {
        messages: reader.messages,
        end,
    }
}

/// Whether the connection may be used after the one response of these bytes, and
/// what is left of them. `None` if it is not complete without their end.
pub(crate) fn after_response(method: Method, bytes: &[u8]) -> Option<(bool, usize)> {
    let mut reader = Reader {
        side: Side::Response(method),
        buffer: bytes.to_vec(),
        seen: 0,
        spare: Fields::default(),
        open: None,
        closed: false,
        messages: Vec::new(),
    };
    reader.advance().ok()?;
    (!reader.messages.is_empty()).then_some((!reader.closed, reader.buffer.len()))
}

impl Reader {
    fn advance(&mut self) -> Result<(), &'static str> {
        loop {
            let goes_on = match self.open.take() {
                Some(open) => self.read_body(open)?,
                None if self.closed || self.is_answered() => false,
                None => self.read_head()?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Only one response is asked for.
    fn is_answered(&self) -> bool {
        self.side != Side::Requests && !self.messages.is_empty()
    }

    fn finish(&mut self) -> End {
        match self.open.take() {
            Some((message, Body::UntilClose, _)) => {
                self.messages.push(message);
                End::Clean
            }
            Some(_) => End::Cut,
            None if self.closed || self.is_answered() => End::Clean,
            None if self.side != Side::Requests => End::Cut,
            None => {
                let blank = self.buffer.iter().all(|byte| b"\r\n".contains(byte));
                if blank { End::Clean } else { End::Cut }
            }
        }
    }

    fn read_head(&mut self) -> Result<bool, &'static str> {
        let (buffer, seen) = (&mut self.buffer, &mut self.seen);
        let (message, length, keep_alive, fields) = match self.side {
            Side::Requests => {
                let read = request::read(buffer, seen, &LIMITS, &mut self.spare);
                let Some(read) = read.map_err(|refused| refused.reason)? else {
                    return Ok(false);
                };
                let subject = read.head.method().to_owned();
                let target = read.head.target().to_owned();
                let fields = read.head.fields;
                let message = message(subject, target, read.head.version, &fields);
                (message, read.length, read.keep_alive, fields)
            }
            Side::Response(method) => {
                let read = response::read(buffer, seen, &LIMITS, &mut self.spare, method);
                let Some(read) = read.map_err(|malformed| malformed.0)? else {
                    return Ok(false);
                };
                if read.head.status < 200 && read.head.status != 101 {
                    self.spare = read.head.fields;
                    return Ok(true);
                }
                let subject = read.head.status.to_string();
                let fields = read.head.fields;
                let message = message(subject, String::new(), read.head.version, &fields);
                (message, read.length, read.keep_alive, fields)
            }
        };
        self.spare = fields;
        let body = match length {
            BodyLength::None => Body::Length(0),
            BodyLength::Exactly(length) => Body::Length(length),
            BodyLength::Chunked => Body::Chunked(Box::new(Decoder::new(LIMITS))),
            BodyLength::UntilClose => Body::UntilClose,
        };
        self.open = Some((message, body, !keep_alive));
        Ok(true)
    }

    fn read_body(&mut self, open: (Message, Body, bool)) -> Result<bool, &'static str> {
        let (mut message, mut body, last) = open;
        let done = match &mut body {
            Body::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let taken = most.min(self.buffer.len());
                message.body.extend(self.buffer.drain(..taken));
                *left -= taken as u64;
                *left == 0
            }
            Body::Chunked(decoder) => {
                let (used, part) = decoder.read(&self.buffer).map_err(|wrong| wrong.0)?;
                if let Part::Data(place) = &part {
                    message.body.extend_from_slice(&self.buffer[place.clone()]);
                }
                self.buffer.drain(..used);
                if matches!(part, Part::Data(_)) {
                    self.open = Some((message, body, last));
                    return Ok(true);
                }
                if let Some(trailers) = decoder.take_trailers() {
                    message.trailers = pairs(&trailers);
                }
                part == Part::End
            }
            Body::UntilClose => {
                message.body.append(&mut self.buffer);
                false
            }
        };
        if done {
            self.messages.push(message);
            self.closed = last;
        } else {
            self.open = Some((message, body, last));
        }
        Ok(done)
    }
}

fn message(subject: String, target: String, version: Version, fields: &Fields) -> Message {
    Message {
        subject,
        target,
        minor: u8::from(version == Version::Http11),
        fields: pairs(fields),
        body: Vec::new(),
        trailers: Vec::new(),
    }
}

pub(crate) fn pairs(fields: &Fields) -> Pairs {
    let pair = |(name, value): (&[u8], &[u8])| {
        (String::from_utf8_lossy(name).into_owned(), value.to_vec())
    };
    sorted(fields.iter().map(pair).collect())
}
