//! Writes an object of JSON, one field after the other. Text that needs no
//! escapes, as nearly all does, is copied; the rest is left to the library.

use std::fmt::{Display, Write};
use std::time::Duration;

/// An object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Begins one behind what is there.
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self {
            out,
            is_empty: true,
        }
    }

    fn name(&mut self, name: &str) {
        self.out.push_str(if self.is_empty { "\"" } else { ",\"" });
        self.out.push_str(name);
        self.out.push_str("\":");
        self.is_empty = false;
    }

    /// Text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        if needs_escapes(text) {
            // Only maps with keys that are not text fail.
            let escaped = serde_json::to_string(text).unwrap_or_default();
            self.out.push_str(&escaped);
        } else {
            self.out.push('"');
            self.out.push_str(text);
            self.out.push('"');
        }
    }

    /// Text, if there is any.
    pub(super) fn some_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// What is shown as text that needs no escapes.
    pub(super) fn shown(&mut self, name: &str, value: impl Display) {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "\"{value}\"");
    }

    /// What is shown as JSON: a number, or a truth.
    pub(super) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    /// Milliseconds, to a microsecond.
    pub(super) fn milliseconds(&mut self, name: &str, time: Duration) {
        let micros = (time + Duration::from_nanos(500)).as_micros();
        let (whole, part) = (micros / 1_000, micros % 1_000);
        self.plain(name, format_args!("{whole}.{part:03}"));
    }

    /// A list of objects.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Object<'_>),
    ) {
        self.name(name);
        self.out.push('[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            let mut object = Object::begin(self.out);
            write(item, &mut object);
            object.end();
        }
        self.out.push(']');
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.out.push('}');
    }
}

/// Whether text cannot stand in JSON as it is (RFC 8259, section 7). Looks at all
/// of it, so that it can look at many bytes at once.
fn needs_escapes(text: &str) -> bool {
    let needs = |byte: u8| matches!(byte, 0..b' ' | b'"' | b'\\');
    text.bytes().fold(false, |any, byte| any | needs(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_the_library_reads(
            texts: Vec<String>,
            number: u64,
            micros: u32,
        ) {
            let mut out = String::new();
            let mut object = Object::begin(&mut out);
            object.plain("number", number);
            object.milliseconds("time", Duration::from_micros(micros.into()));
            object.list("texts", &texts, |text, object| object.text("text", text));
            object.end();
            let time = serde_json::Number::from_f64(f64::from(micros) / 1_000.0);
            let texts: Vec<_> = texts.iter().map(|text| serde_json::json!({"text": text})).collect();
            let expected = serde_json::json!({"number": number, "time": time, "texts": texts});
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), expected);
        }
    }
}
