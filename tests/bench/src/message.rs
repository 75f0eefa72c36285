//! Just enough of HTTP/1.1 to find where a message ends, for the backend and the
//! load generator. Both talk to programs that frame correctly, and count on it:
//! this is no parser for the open internet.

use anyhow::{Context, bail, ensure};

#[cfg(test)]
mod tests;

/// Longest head that is collected.
const MAX_HEAD: usize = 64 * 1024;

/// Where in a message the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// In a body, or in a chunk, of which so many bytes are to come.
    Body {
        left: u64,
        chunked: bool,
    },
    /// In the line with the size of a chunk.
    Size {
        size: u64,
        extension: bool,
    },
    /// In the trailer, on a line that has so many bytes so far.
    Trailer {
        length: usize,
    },
}

/// Reads one message after the other from a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    place: Place,
    /// A head that came in pieces.
    head: Vec<u8>,
    first_line: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            place: Place::Head,
            head: Vec::new(),
            first_line: Vec::new(),
        }
    }
}

impl Reader {
    /// Takes bytes up to the end of the message, or all of them if it does not
    /// end in them. Returns how many it took, and whether the message is over.
    ///
    /// # Errors
    /// If this is not HTTP/1.1.
    pub(crate) fn feed(&mut self, input: &[u8]) -> anyhow::Result<(usize, bool)> {
        let mut rest = input;
        while !rest.is_empty() {
            let (took, is_over) = self.step(rest)?;
            rest = rest.get(took..).unwrap_or_default();
            if is_over {
                self.place = Place::Head;
                return Ok((input.len() - rest.len(), true));
            }
        }
        Ok((input.len(), false))
    }

    /// The first line of the message that was read last.
    pub(crate) fn first_line(&self) -> &[u8] {
        &self.first_line
    }

    fn step(&mut self, input: &[u8]) -> anyhow::Result<(usize, bool)> {
        match self.place {
            Place::Head => self.head(input),
            Place::Body { left, chunked } => {
                let here = u64::try_from(input.len())?.min(left);
                self.place = Place::Body {
                    left: left - here,
                    chunked,
                };
                let is_over = here == left && !chunked;
                if here == left && chunked {
                    self.place = Place::Size {
                        size: 0,
                        extension: false,
                    };
                }
                Ok((usize::try_from(here)?, is_over))
            }
            Place::Size { size, extension } => self.size(size, extension, input),
            Place::Trailer { length } => Ok(self.trailer(length, input)),
        }
    }

    fn head(&mut self, input: &[u8]) -> anyhow::Result<(usize, bool)> {
        if self.head.is_empty()
            && let Some(end) = end_of_head(input)
        {
            return self.begin(input.get(..end).unwrap_or_default(), end);
        }
        let before = self.head.len();
        ensure!(before + input.len() <= MAX_HEAD, "the head is too long");
        self.head.extend_from_slice(input);
        let Some(end) = end_of_head(&self.head) else {
            return Ok((input.len(), false));
        };
        let mut head = std::mem::take(&mut self.head);
        head.truncate(end);
        self.begin(&head, end.saturating_sub(before))
    }

    /// Looks at a whole head, of which `took` bytes are in the input.
    fn begin(&mut self, head: &[u8], took: usize) -> anyhow::Result<(usize, bool)> {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        self.first_line.clear();
        self.first_line
            .extend_from_slice(lines.next().unwrap_or_default());
        let mut left = 0;
        for line in lines {
            if let Some(value) = value_of(line, b"content-length:") {
                left = std::str::from_utf8(value)?
                    .parse()
                    .context("content-length")?;
            } else if value_of(line, b"transfer-encoding:").is_some() {
                self.place = Place::Size {
                    size: 0,
                    extension: false,
                };
                return Ok((took, false));
            }
        }
        self.place = Place::Body {
            left,
            chunked: false,
        };
        Ok((took, left == 0))
    }

    fn size(
        &mut self,
        mut size: u64,
        mut extension: bool,
        input: &[u8],
    ) -> anyhow::Result<(usize, bool)> {
        for (index, byte) in input.iter().enumerate() {
            match byte {
                b'\n' => {
                    // The bytes of a chunk are followed by a line end.
                    self.place = match size {
                        0 => Place::Trailer { length: 0 },
                        size => Place::Body {
                            left: size + 2,
                            chunked: true,
                        },
                    };
                    return Ok((index + 1, false));
                }
                b';' => extension = true,
                b'\r' => {}
                _ if extension => {}
                digit => {
                    let Some(digit) = char::from(*digit).to_digit(16) else {
                        bail!("the size of a chunk is not a number");
                    };
                    size = size
                        .checked_mul(16)
                        .context("the chunk is too long")?
                        .saturating_add(digit.into());
                }
            }
        }
        self.place = Place::Size { size, extension };
        Ok((input.len(), false))
    }

    fn trailer(&mut self, mut length: usize, input: &[u8]) -> (usize, bool) {
        for (index, byte) in input.iter().enumerate() {
            match byte {
                b'\n' if length == 0 => return (index + 1, true),
                b'\n' => length = 0,
                b'\r' => {}
                _ => length += 1,
            }
        }
        self.place = Place::Trailer { length };
        (input.len(), false)
    }
}

/// The index after the empty line that ends a head.
fn end_of_head(input: &[u8]) -> Option<usize> {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// The value of a header field, if that is its name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (here, value) = line.split_at_checked(name.len())?;
    here.eq_ignore_ascii_case(name)
        .then(|| value.trim_ascii_start())
}
