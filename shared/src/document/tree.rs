//! A parsed document before it has a meaning: scalars, lists and mappings, each
//! with the place where it stood. It knows nothing of fields, and nothing of
//! the parser that made it.

use super::scalar::{self, Meaning};

/// A range of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// First byte.
    pub(super) offset: usize,
    /// Number of bytes.
    pub(super) length: usize,
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it stands.
    pub(super) span: Span,
    /// What it is.
    pub(super) content: Content,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A word, a number, a quoted text, or nothing.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Values by key, in the order of the text, doubles included.
    Mapping(Vec<Entry>),
}

/// The text of a scalar.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// Its characters, escapes resolved.
    pub(super) text: String,
    /// Whether it stood without quotes, so that `12` is a number.
    pub(super) plain: bool,
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: Key,
    /// The value.
    pub(super) value: Node,
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Its text.
    pub(super) text: String,
    /// Where it stands.
    pub(super) span: Span,
}

impl Content {
    /// Whether nothing was written, or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(scalar) if scalar::meaning(scalar) == Meaning::Null)
    }
}

impl Node {
    /// The few characters to point at when something is wrong with this value:
    /// a scalar itself, else the key it belongs to, else the first thing in it.
    pub(super) fn focus(&self, key: Option<Span>) -> Span {
        match (&self.content, key) {
            (Content::Scalar(_), _) if self.span.length > 0 => self.span,
            (_, Some(key)) => key,
            (Content::List(nodes), None) => {
                nodes.first().map_or(self.span, |first| first.focus(None))
            }
            (Content::Mapping(entries), None) => {
                entries.first().map_or(self.span, |first| first.key.span)
            }
            (Content::Scalar(_), None) => self.span,
        }
    }
}
