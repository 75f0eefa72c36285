//! The body of a request of HTTP/1.1, read when it is asked for.

use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::http1::Malformed;
use crate::http1::chunked::{Decoder, Part};
use crate::listen::body::Lost;
use crate::listen::http1::line::{Line, SharedLine, remember};
use crate::message::{Fields, Piece};
use crate::worker::buffers::BUFFER;

/// What is to come of a body.
#[derive(Debug)]
pub(super) enum Left {
    /// All of it has been taken.
    Nothing,
    /// So many bytes.
    Exactly(u64),
    /// Chunks.
    Chunked(Box<Decoder>),
    /// All of it has come; these have not been taken.
    Trailers(Box<Fields>),
    /// It broke off, or cannot be read.
    Broken,
}

/// The body of one request.
#[derive(Debug)]
pub(crate) struct BodyReader {
    line: SharedLine,
    /// Which request it is of.
    request: u64,
}

impl BodyReader {
    /// The body of the line's request of this number.
    pub(super) fn new(line: SharedLine, request: u64) -> Self {
        Self { line, request }
    }

    /// Whether all of it has been taken.
    pub(crate) fn is_end(&self) -> bool {
        let line = self.line.borrow();
        line.request == self.request && matches!(line.left, Left::Nothing)
    }

    /// Bytes that are to come; `None` if the client did not say.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.line.borrow().left {
            Left::Exactly(left) => Some(left),
            Left::Nothing => Some(0),
            Left::Chunked(_) | Left::Trailers(_) | Left::Broken => None,
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Lost>>> {
        let mut line = self.line.borrow_mut();
        if line.request != self.request {
            return Poll::Ready(Some(Err(Lost)));
        }
        line.poll_piece(cx)
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let mut line = self.line.borrow_mut();
        if line.request == self.request {
            line.abandoned = true;
            line.reader = None;
        }
    }
}

/// What was found in what has come.
enum Found {
    Data(Bytes),
    More,
    End,
}

impl Line {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Lost>>> {
        loop {
            match &mut self.left {
                Left::Nothing => return Poll::Ready(None),
                Left::Trailers(fields) => {
                    let fields = std::mem::take(fields.as_mut());
                    self.left = Left::Nothing;
                    return Poll::Ready(Some(Ok(Piece::Trailers(fields))));
                }
                Left::Broken => return Poll::Ready(Some(Err(Lost))),
                Left::Exactly(_) | Left::Chunked(_) => {}
            }
            match self.take_part() {
                Ok(Found::Data(data)) => return Poll::Ready(Some(Ok(Piece::Data(data)))),
                Ok(Found::End) => {}
                Ok(Found::More) => {
                    remember(&mut self.reader, cx);
                    if !ready!(self.poll_more(cx)) {
                        self.end_body(Left::Broken);
                    }
                }
                Err(malformed) => {
                    tracing::debug!(%malformed, "request body refused");
                    self.end_body(Left::Broken);
                }
            }
        }
    }

    /// Whether more has come; never again if not.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if ready!(self.poll_go_on(cx)).is_err() {
            return Poll::Ready(false);
        }
        let came = matches!(ready!(self.poll_fill(cx)), Ok(1..));
        // A sender who fills a buffer at once is worth a larger one.
        if came && self.ahead.len() == BUFFER {
            self.ahead.reserve(3 * BUFFER);
            let _ = self.poll_fill(cx);
        }
        Poll::Ready(came)
    }

    fn take_part(&mut self) -> Result<Found, Malformed> {
        if self.ahead.is_empty() {
            return Ok(Found::More);
        }
        match &mut self.left {
            Left::Exactly(left) => {
                let come = self.ahead.len() - self.start;
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(come);
                *left -= taken as u64;
                let ended = *left == 0;
                let data = self.hand_out(self.start..self.start + taken, self.start + taken);
                if ended {
                    self.end_body(Left::Nothing);
                }
                Ok(Found::Data(data))
            }
            Left::Chunked(_) => self.take_chunks(),
            Left::Nothing | Left::Trailers(_) | Left::Broken => Ok(Found::End),
        }
    }

    /// The data of all chunks that have come, or of one that is large.
    fn take_chunks(&mut self) -> Result<Found, Malformed> {
        let mut gathered = Vec::new();
        let large = self.large();
        while let Left::Chunked(decoder) = &mut self.left {
            let bytes = self.ahead.get(self.start..).unwrap_or_default();
            let (used, part) = decoder.read(bytes)?;
            let used = self.start + used;
            match part {
                Part::Data(data) if gathered.is_empty() && data.len() >= large => {
                    let data = self.start + data.start..self.start + data.end;
                    return Ok(Found::Data(self.hand_out(data, used)));
                }
                Part::Data(data) => {
                    gathered.extend_from_slice(bytes.get(data).unwrap_or_default());
                    self.start = used;
                }
                Part::More => {
                    self.use_up(used);
                    break;
                }
                Part::End => {
                    let trailers = decoder.take_trailers();
                    self.start = used;
                    self.end_body(
                        trailers
                            .map_or(Left::Nothing, |trailers| Left::Trailers(Box::new(trailers))),
                    );
                }
            }
        }
        Ok(match gathered.is_empty() {
            false => Found::Data(Bytes::from(gathered)),
            true if self.has_come() => Found::End,
            true => Found::More,
        })
    }

    /// So many bytes are rather given away with their buffer than copied; fewer,
    /// and a body that comes in small pieces would hold more memory than it has
    /// bytes.
    fn large(&self) -> usize {
        (self.ahead.capacity() / 2).max(1)
    }

    /// Takes these bytes, and forgets all up to `used`.
    fn hand_out(&mut self, data: Range<usize>, used: usize) -> Bytes {
        if data.len() < self.large() {
            let data = Bytes::copy_from_slice(self.ahead.get(data).unwrap_or_default());
            self.use_up(used);
            return data;
        }
        let rest = self.ahead.get(used..).unwrap_or_default().to_vec();
        let mut whole = std::mem::replace(&mut self.ahead, rest);
        self.start = 0;
        whole.truncate(data.end);
        let mut whole = Bytes::from(whole);
        whole.split_off(data.start.min(whole.len()))
    }

    /// Whether the next request can follow: all of the latest has come, or the
    /// rest, which nobody wants, is here.
    pub(super) fn settle(&mut self) -> bool {
        while self.abandoned && !self.has_come() {
            match self.take_part() {
                Ok(Found::Data(_) | Found::End) => {}
                Ok(Found::More) => break,
                Err(_) => self.end_body(Left::Broken),
            }
            if matches!(self.left, Left::Broken) {
                break;
            }
        }
        self.has_come()
    }
}
