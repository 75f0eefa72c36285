//! A response on its way in: its head, then its body in the pieces in which it
//! comes, each in the memory it was read into.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio_util::io::poll_read_buf;

use crate::http1::chunked::{Decoder, Part};
use crate::http1::{BodyLength, Limits, response};
use crate::message::{Chunk, Fields, Method, ResponseHead};
use crate::upstream::http1::BrokenOff;
use crate::upstream::trailers;
use crate::upstream::wire::Wire;
use crate::worker::buffers::Buffers;

/// How much of the head of a response is taken in.
const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    fields: 200,
};

/// Bytes that are read at once of a body of which so many are to come.
const LARGE: usize = 64 * 1024;

/// Why there is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The endpoint closed the connection before.
    Closed,
    /// What came is no response.
    Malformed,
}

/// A response on its way in.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Bytes that were read and not used; no memory if there are none.
    read: Vec<u8>,
    /// How much of them was searched for the end of a head.
    seen: usize,
    /// To what it is the response.
    method: Method,
    body: Body,
    trailers: Option<Fields>,
    /// Whether the connection may be used for another request.
    keep_alive: bool,
}

/// What is to come of the body.
#[derive(Debug)]
enum Body {
    /// Nothing.
    Done,
    /// So many bytes.
    Exactly(u64),
    /// Chunks.
    Chunked(Box<Decoder>),
    /// All until the connection ends.
    UntilClose,
}

impl Default for Receiving {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            seen: 0,
            method: Method::Get,
            body: Body::Done,
            trailers: None,
            keep_alive: true,
        }
    }
}

impl Receiving {
    /// A request was begun.
    pub(super) fn expect(&mut self, method: Method) {
        self.method = method;
        self.seen = 0;
        // Until a head says otherwise.
        self.keep_alive = false;
    }

    /// Whether another request may be sent: the response has ended, and nothing
    /// came behind it.
    pub(super) fn is_reusable(&self) -> bool {
        self.keep_alive && matches!(self.body, Body::Done) && self.read.is_empty()
    }

    /// No other request may be sent.
    pub(super) fn use_up(&mut self) {
        self.keep_alive = false;
    }

    /// The head of the response. Those with which the endpoint only says that it
    /// is at work are passed over.
    pub(super) fn poll_head(
        &mut self,
        wire: &mut Wire,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Missing>> {
        loop {
            if !self.read.is_empty() {
                let mut spare = buffers.take_fields();
                let (read, seen) = (&mut self.read, &mut self.seen);
                let found = response::read(read, seen, &LIMITS, &mut spare, self.method);
                match found.map_err(|_| Missing::Malformed)? {
                    Some(found) if found.head.status < 200 && found.head.status != 101 => {
                        buffers.give_fields(found.head.fields);
                        continue;
                    }
                    Some(found) => {
                        self.keep_alive = found.keep_alive && found.head.status != 101;
                        self.begin(found.length);
                        if self.read.is_empty() {
                            buffers.give(std::mem::take(&mut self.read));
                        }
                        return Poll::Ready(Ok(found.head));
                    }
                    None => buffers.give_fields(spare),
                }
            }
            match ready!(self.poll_read(wire, buffers, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Missing::Closed)),
                Ok(_) => {}
            }
        }
    }

    fn begin(&mut self, length: BodyLength) {
        self.body = match length {
            BodyLength::None => Body::Done,
            BodyLength::Exactly(length) => Body::Exactly(length),
            BodyLength::Chunked => Body::Chunked(Box::new(Decoder::new(LIMITS))),
            BodyLength::UntilClose => Body::UntilClose,
        };
    }

    /// Reads behind what was read. While nothing comes, no memory is held.
    fn poll_read(
        &mut self,
        wire: &mut Wire,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        if self.read.capacity() == 0 {
            self.read = buffers.take();
        }
        if self.is_large() {
            self.read.reserve(LARGE);
        }
        let polled = poll_read_buf(Pin::new(wire), cx, &mut self.read);
        if self.read.is_empty() {
            buffers.give(std::mem::take(&mut self.read));
        }
        polled
    }

    fn is_large(&self) -> bool {
        match self.body {
            Body::Exactly(left) => left > LARGE as u64,
            Body::UntilClose | Body::Chunked(_) | Body::Done => false,
        }
    }

    /// The next bytes of the body; `None` at the end.
    pub(super) fn poll_chunk(
        &mut self,
        wire: &mut Wire,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        loop {
            if matches!(self.body, Body::Done) {
                return Poll::Ready(None);
            }
            if !self.read.is_empty() {
                match self.take_chunk() {
                    Ok(Some(chunk)) => return Poll::Ready(Some(Ok(chunk))),
                    // Framing only, or the end.
                    Ok(None) if self.read.is_empty() || matches!(self.body, Body::Done) => {}
                    Ok(None) | Err(BrokenOff) => return Poll::Ready(Some(Err(BrokenOff))),
                }
                continue;
            }
            match ready!(self.poll_read(wire, buffers, cx)) {
                Ok(0) if matches!(self.body, Body::UntilClose) => self.body = Body::Done,
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(BrokenOff))),
                Ok(_) => {}
            }
        }
    }

    /// Takes what was read as a piece of the body.
    fn take_chunk(&mut self) -> Result<Option<Chunk>, BrokenOff> {
        match &mut self.body {
            Body::Done => Ok(None),
            Body::UntilClose => Ok(Some(Chunk::own(std::mem::take(&mut self.read), 0))),
            Body::Exactly(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX);
                let mut data = std::mem::take(&mut self.read);
                if data.len() > here {
                    // The endpoint has said more than it announced.
                    data.truncate(here);
                    self.keep_alive = false;
                }
                *left -= data.len() as u64;
                if *left == 0 {
                    self.body = Body::Done;
                }
                Ok(Some(Chunk::own(data, 0)))
            }
            Body::Chunked(_) => self.take_decoded(),
        }
    }

    /// Moves the data of all chunks that were read together.
    fn take_decoded(&mut self) -> Result<Option<Chunk>, BrokenOff> {
        let Body::Chunked(decoder) = &mut self.body else {
            return Ok(None);
        };
        let mut data = std::mem::take(&mut self.read);
        let (mut at, mut end) = (0, 0);
        loop {
            let rest = data.get(at..).unwrap_or_default();
            let (used, part) = decoder.read(rest).map_err(|_| BrokenOff)?;
            match part {
                Part::Data(place) => {
                    let length = place.len();
                    data.copy_within(at + place.start..at + place.end, end);
                    end += length;
                }
                Part::More => break,
                Part::End => {
                    self.keep_alive &= at + used == data.len();
                    self.trailers = decoder.take_trailers();
                    self.trailers.iter_mut().for_each(trailers::clean);
                    self.body = Body::Done;
                    break;
                }
            }
            at += used;
        }
        data.truncate(end);
        Ok((end > 0).then(|| Chunk::own(data, 0)))
    }

    /// What came behind the body, once it has ended.
    pub(super) fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    /// Whether there is no more of the body, trailers included.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.body, Body::Done) && self.trailers.is_none()
    }

    /// Bytes of the body that are to come; `None` if the endpoint did not say.
    pub(super) fn length(&self) -> Option<u64> {
        match self.body {
            Body::Done => Some(0),
            Body::Exactly(left) => Some(left),
            Body::Chunked(_) | Body::UntilClose => None,
        }
    }

    /// Throws away what was read of the body.
    pub(super) fn discard(&mut self, buffers: &Buffers) {
        if let Body::Exactly(left) = self.body
            && left == self.read.len() as u64
        {
            buffers.give(std::mem::take(&mut self.read));
            self.body = Body::Done;
        }
    }

    /// What was read behind the head of a response that switches protocols.
    pub(super) fn into_read(self) -> Bytes {
        Bytes::from(self.read)
    }
}
