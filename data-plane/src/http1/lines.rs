//! Where the lines of a head end.

use crate::http1::Refused;
use crate::http1::lanes::{self, BLOCK};

pub(super) const BARE_LF: Refused = Refused::bad("a line feed without a carriage return");
pub(super) const BARE_CR: Refused = Refused::bad("a carriage return without a line feed");

/// Goes through the lines of a text that is not changed where it is still to go.
#[derive(Debug)]
pub(super) struct Lines {
    /// Where the block begins that was searched last.
    block: usize,
    /// The control characters in it that were not met yet, a bit for each.
    left: u64,
    /// Where the next block begins.
    next: usize,
}

impl Lines {
    /// From a place on.
    pub(super) fn from(at: usize) -> Self {
        Self {
            block: at,
            left: 0,
            next: at,
        }
    }

    /// Where the carriage return is that ends the next line; `None` if the text
    /// ends before. There is no control character in a line but the tab (RFC 9110,
    /// section 5.5).
    pub(super) fn next_end(&mut self, text: &[u8]) -> Result<Option<usize>, Refused> {
        loop {
            let Some(at) = self.next_control(text) else {
                return Ok(None);
            };
            match text.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] => {
                    self.next_control(text);
                    return Ok(Some(at));
                }
                [b'\t', ..] => {}
                [b'\r'] | [] => return Ok(None),
                [b'\r', ..] => return Err(BARE_CR),
                [b'\n', ..] => return Err(BARE_LF),
                _ => return Err(Refused::bad("a control character")),
            }
        }
    }

    fn next_control(&mut self, text: &[u8]) -> Option<usize> {
        while self.left == 0 {
            let rest = text.get(self.next..).unwrap_or_default();
            self.block = self.next;
            self.left = match rest.first_chunk() {
                Some(block) => lanes::controls(block),
                None if rest.is_empty() => return None,
                None => controls_of_last(rest),
            };
            self.next += rest.len().min(BLOCK);
        }
        let at = self.block + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(at)
    }
}

/// Those of what is less than a block.
fn controls_of_last(rest: &[u8]) -> u64 {
    let mut block = [b' '; BLOCK];
    for (place, byte) in block.iter_mut().zip(rest) {
        *place = *byte;
    }
    lanes::controls(&block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> Result<Vec<usize>, Refused> {
        let mut lines = Lines::from(0);
        let mut ends = Vec::new();
        while let Some(end) = lines.next_end(text.as_bytes())? {
            ends.push(end);
        }
        Ok(ends)
    }

    #[test]
    fn lines_end_where_they_end_wherever_blocks_do() {
        for first in 0..3 * BLOCK {
            let text = format!("{}\r\n\r\nx\ty\r\nrest\r", "a".repeat(first));
            assert_eq!(ends(&text), Ok(vec![first, first + 2, first + 7]));
        }
    }

    #[test]
    fn nothing_else_ends_a_line_or_stands_in_one() {
        for first in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1] {
            let begin = "a".repeat(first);
            assert_eq!(ends(&format!("{begin}\nb")), Err(BARE_LF));
            assert_eq!(ends(&format!("{begin}\rb")), Err(BARE_CR));
            assert!(ends(&format!("{begin}\0\r\n")).is_err());
            assert!(ends(&format!("{begin}\x7f\r\n")).is_err());
        }
        assert_eq!(ends(""), Ok(vec![]));
        assert_eq!(ends("\r"), Ok(vec![]));
    }
}
