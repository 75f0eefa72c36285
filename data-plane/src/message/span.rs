//! Places in the text of a head.

/// A place in a head's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    at: u32,
    length: u32,
}

impl Span {
    /// From a byte to before another. `None` if they cannot be places.
    pub fn new(from: usize, to: usize) -> Option<Self> {
        let at = u32::try_from(from).ok()?;
        let length = u32::try_from(to.checked_sub(from)?).ok()?;
        Some(Self { at, length })
    }

    /// The same, of a text of which all bytes have places.
    pub(crate) fn within(from: usize, to: usize) -> Self {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let at = place(from);
        Self {
            at,
            length: place(to).saturating_sub(at),
        }
    }

    /// First byte.
    pub fn start(self) -> usize {
        self.at as usize
    }

    /// The byte behind the last.
    pub fn end(self) -> usize {
        self.at as usize + self.length as usize
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}
