//! Header fields, in order, as places in one buffer.
//!
//! ```text
//! text     GET /a HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n | x-request-id: 7\r\n
//!                             `--'  `'   `----'  `-'          `----------'  `'
//! entries                     name, value ...                 added later
//! ```
//! Removing a field forgets its entry; adding one writes behind what is there.
//! Fields that stand next to each other in the text are written out in one
//! piece.

use crate::message::name::{Known, Names};
use crate::message::span::Span;

/// Most bytes of one head with all that is added to it: places are 32 bits.
const MOST_TEXT: usize = u32::MAX as usize;

/// What stands between a name and its value.
const SEPARATOR: &[u8] = b": ";

const END_OF_LINE: &[u8] = b"\r\n";

/// There is more than one field of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Span,
    value: Span,
    known: Known,
    /// Whether it stands in the text as it is to be written, up to its end of
    /// line.
    plain: bool,
}

/// Header fields, or trailers. Names are in lower case.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// Names that some entry may have; never too few.
    present: Names,
}

impl Fields {
    /// None yet, over the text that a codec has read. It may be empty.
    pub fn over(text: Vec<u8>) -> Self {
        Self {
            text,
            entries: Vec::new(),
            present: Names::default(),
        }
    }

    /// None yet, in place of others whose memory is used again. Returns the text
    /// to be filled.
    pub fn reset(&mut self, text: Vec<u8>) -> Vec<u8> {
        self.entries.clear();
        self.present = Names::default();
        let mut old = std::mem::replace(&mut self.text, text);
        old.clear();
        old
    }

    /// A field that stands in the text. Its name must be in lower case there.
    pub fn note(&mut self, name: Span, value: Span) {
        let known = Known::of(self.at(name));
        let between = self.text.get(name.end()..value.start());
        let plain = between == Some(SEPARATOR);
        self.note_ahead((name, value), known, plain);
    }

    /// A field of a text that is put under them later. Its name must be in lower
    /// case there. `plain` if a colon and one space are all that stands between
    /// name and value.
    pub(crate) fn note_ahead(&mut self, (name, value): (Span, Span), known: Known, plain: bool) {
        self.present = self.present.and(known);
        self.entries.push(Entry {
            name,
            value,
            known,
            plain,
        });
    }

    /// Puts the text under fields that were noted ahead of it.
    pub(crate) fn put_under(&mut self, text: Vec<u8>) {
        self.text = text;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes at a place; empty if it is none.
    pub fn at(&self, span: Span) -> &[u8] {
        self.text.get(span.start()..span.end()).unwrap_or_default()
    }

    /// The text at a place; empty if it is none, or no UTF-8.
    pub fn text_at(&self, span: Span) -> &str {
        std::str::from_utf8(self.at(span)).unwrap_or_default()
    }

    /// Keeps bytes that are no field, such as a new target. Their place.
    pub fn keep(&mut self, bytes: &[u8]) -> Span {
        let from = self.text.len();
        if from + bytes.len() > MOST_TEXT {
            return Span::default();
        }
        self.text.extend_from_slice(bytes);
        Span::new(from, self.text.len()).unwrap_or_default()
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: Known) -> bool {
        self.first(name).is_some()
    }

    /// Whether there may be a field of one of these names.
    pub fn may_have(&self, names: Names) -> bool {
        self.present.meets(names)
    }

    /// Where the value of a known name is.
    ///
    /// # Errors
    /// If there is more than one.
    pub fn only(&self, name: Known) -> Result<Option<Span>, Repeated> {
        if !self.present.has(name) {
            return Ok(None);
        }
        let mut of_name = self.entries.iter().filter(|entry| entry.known == name);
        let first = of_name.next().map(|entry| entry.value);
        of_name.next().map_or(Ok(first), |_| Err(Repeated))
    }

    /// The first value of a known name.
    pub fn first(&self, name: Known) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of a known name, in order.
    pub fn all(&self, name: Known) -> impl Iterator<Item = &[u8]> {
        let entries = if self.present.has(name) {
            self.entries.as_slice()
        } else {
            &[]
        };
        let of_name = entries.iter().filter(move |entry| entry.known == name);
        of_name.map(|entry| self.at(entry.value))
    }

    /// Entries of any name (in lower case), in order.
    fn of_name<'n>(&self, name: &'n str) -> impl Iterator<Item = &Entry> + use<'_, 'n> {
        let known = Known::of(name.as_bytes());
        let entries = if self.present.has(known) {
            self.entries.as_slice()
        } else {
            &[]
        };
        let by_letters = !known.is_exact();
        entries.iter().filter(move |entry| {
            entry.known == known && !(by_letters && self.at(entry.name) != name.as_bytes())
        })
    }

    /// The first value of any name (in lower case).
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let span = self.of_name(name).next().map(|entry| entry.value);
        span.map(|value| self.at(value))
    }

    /// Calls `each` with every value of any name (in lower case), in order.
    pub fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.of_name(name)
            .for_each(|entry| each(self.at(entry.value)));
    }

    /// All names with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let pair = |entry: &Entry| (self.at(entry.name), self.at(entry.value));
        self.entries.iter().map(pair)
    }

    /// Keeps only those for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8]) -> bool) {
        let text = &self.text;
        self.entries.retain(|entry| {
            let name = text.get(entry.name.start()..entry.name.end());
            keep(entry.known, name.unwrap_or_default())
        });
        let all = self.entries.iter();
        self.present = all.fold(Names::default(), |all, entry| all.and(entry.known));
    }

    /// Takes away all of these names.
    pub fn remove_all(&mut self, names: Names) {
        if self.present.meets(names) {
            self.entries.retain(|entry| !names.has(entry.known));
            self.present = self.present.without(names);
        }
    }

    /// Takes away all fields of a name (in lower case).
    pub fn remove(&mut self, name: &str) {
        let known = Known::of(name.as_bytes());
        if known.is_exact() {
            self.remove_all(Names::of(&[known]));
        } else if self.present.has(known) {
            self.retain(|_, other| other != name.as_bytes());
        }
    }

    /// Puts one field in place of all of its name (in lower case). What cannot be
    /// a field is left out, and so is nothing put in its place.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        if is_name(name.as_bytes()) && is_value(value) {
            self.remove(name);
            self.write(name.as_bytes(), value);
        }
    }

    /// Puts one field in place of all of a known name. What cannot be a value is
    /// left out, and so is nothing put in its place.
    pub fn put(&mut self, name: Known, value: &[u8]) {
        if is_value(value) {
            self.put_plain(name, value);
        }
    }

    /// The same for what is known to be a value, because it was made here.
    pub(crate) fn put_plain(&mut self, name: Known, value: &[u8]) {
        let beginning = name.beginning().as_bytes();
        if !self.has_room(beginning.len() + value.len()) {
            return;
        }
        self.remove_all(Names::of(&[name]));
        let at = self.text.len();
        self.text.extend_from_slice(beginning);
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(END_OF_LINE);
        self.note_line(at, beginning.len(), name);
    }

    /// Puts one field in place of all of a known name, with a value that stands
    /// among these fields already.
    pub fn put_again(&mut self, name: Known, value: Span) {
        let place = value.start()..value.end();
        let beginning = name.beginning().as_bytes();
        let here = self.text.get(place.clone());
        let fits = self.has_room(beginning.len() + place.len());
        if here.is_none_or(|value| !is_value(value)) || !fits {
            return;
        }
        self.remove_all(Names::of(&[name]));
        let at = self.text.len();
        self.text.extend_from_slice(beginning);
        self.text.extend_from_within(place);
        self.text.extend_from_slice(END_OF_LINE);
        self.note_line(at, beginning.len(), name);
    }

    /// Puts a field beside those of its name (in lower case). What cannot be a
    /// field is left out.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        if is_name(name) && is_value(value) {
            self.write(name, value);
        }
    }

    fn write(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        if self.has_room(name.len() + value.len()) {
            let at = self.text.len();
            self.text.extend_from_slice(name);
            self.text.extend_from_slice(SEPARATOR);
            self.text.extend_from_slice(value);
            self.text.extend_from_slice(END_OF_LINE);
            self.note_line(at, name.len() + SEPARATOR.len(), known);
        }
    }

    /// Whether so many bytes may be added with what separates them.
    fn has_room(&self, bytes: usize) -> bool {
        let more = bytes + SEPARATOR.len() + END_OF_LINE.len();
        more <= MOST_TEXT.saturating_sub(self.text.len())
    }

    /// The last line of the text is a field, whose value comes behind so many
    /// bytes.
    fn note_line(&mut self, at: usize, beginning: usize, known: Known) {
        let colon = at + beginning - SEPARATOR.len();
        let end = self.text.len() - END_OF_LINE.len();
        let name = Span::within(at, colon);
        let value = Span::within(at + beginning, end);
        self.note_ahead((name, value), known, true);
    }

    /// Writes all of them, each as `name: value` with its end of line (RFC 9112,
    /// section 5).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_without(Names::default(), out);
    }

    /// Writes all of them but those of some names. What stands in one piece in the
    /// text is written in one piece.
    pub fn write_without(&self, names: Names, out: &mut Vec<u8>) {
        // From where to where the piece goes that is not written yet.
        let (mut from, mut to) = (0, 0);
        for entry in &self.entries {
            if names.has(entry.known) {
                continue;
            }
            let begin = entry.name.start();
            if entry.plain && begin == to {
                to = entry.value.end() + END_OF_LINE.len();
                continue;
            }
            self.write_piece(from, to, out);
            (from, to) = if entry.plain {
                (begin, entry.value.end() + END_OF_LINE.len())
            } else {
                for part in [self.at(entry.name), SEPARATOR, self.at(entry.value)] {
                    out.extend_from_slice(part);
                }
                out.extend_from_slice(END_OF_LINE);
                (0, 0)
            };
        }
        self.write_piece(from, to, out);
    }

    /// Writes lines as they stand in the text. The end of the last may differ.
    fn write_piece(&self, from: usize, to: usize, out: &mut Vec<u8>) {
        if to > from {
            let end = to - END_OF_LINE.len();
            out.extend_from_slice(self.text.get(from..end).unwrap_or_default());
            out.extend_from_slice(END_OF_LINE);
        }
    }
}

impl Known {
    /// Whether it stands for one name only.
    fn is_exact(self) -> bool {
        !matches!(
            self,
            Self::Other | Self::ForwardedOther | Self::ForwardedAlike
        )
    }
}

/// Whether it is a field name in lower case (RFC 9110, section 5.1).
fn is_name(name: &[u8]) -> bool {
    let token = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(byte)
    };
    !name.is_empty() && name.iter().all(token)
}

/// Whether it is a field value (RFC 9110, section 5.5). Looks at all of it, so
/// that it can look at many bytes at once.
fn is_value(value: &[u8]) -> bool {
    let fits = |byte: u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    value.iter().fold(true, |all, byte| all & fits(*byte))
}

#[cfg(test)]
mod tests;
