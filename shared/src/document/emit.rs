//! Writes a tree as YAML: blocks, short lists of scalars on one line, and
//! quotes around every text that some YAML parser could take for something
//! else.

use std::fmt::Write;

use super::write::Tree;

/// Longest line that a list may share with its key, in bytes.
const MAX_LINE: usize = 88;

/// A document, ending with a line break, without a separator.
pub(super) fn document(tree: &Tree) -> String {
    let mut text = String::new();
    match tree {
        Tree::Mapping(entries) if !entries.is_empty() => mapping(&mut text, entries, 0),
        other => {
            text.push_str(&inline(other).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

/// Entries, one below the other; the first one begins where `text` ends.
fn mapping(text: &mut String, entries: &[(String, Tree)], depth: usize) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            indent(text, depth);
        }
        text.push_str(&scalar(key, Use::Key));
        text.push(':');
        below(text, value, depth);
    }
}

/// A value after its key: on the same line if it fits, else below it.
fn below(text: &mut String, value: &Tree, depth: usize) {
    let column = text.len() - text.rfind('\n').map_or(0, |end| end + 1);
    match (inline(value), value) {
        (Some(line), _) if !is_long_list(value, column + line.len()) => {
            text.push(' ');
            text.push_str(&line);
            text.push('\n');
        }
        (_, Tree::Mapping(entries)) => {
            text.push('\n');
            indent(text, depth + 1);
            mapping(text, entries, depth + 1);
        }
        (_, Tree::List(items)) => {
            text.push('\n');
            for item in items {
                indent(text, depth);
                text.push('-');
                element(text, item, depth);
            }
        }
        (_, Tree::Bool(_) | Tree::Number(_) | Tree::Text(_)) => text.push('\n'),
    }
}

/// An element after its dash.
fn element(text: &mut String, item: &Tree, depth: usize) {
    match item {
        Tree::Mapping(entries) if !entries.is_empty() => {
            text.push(' ');
            mapping(text, entries, depth + 1);
        }
        other => below(text, other, depth + 1),
    }
}

fn is_long_list(value: &Tree, end: usize) -> bool {
    matches!(value, Tree::List(items) if !items.is_empty()) && end > MAX_LINE
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A value on one line, if it is a scalar, empty, or a list of scalars.
fn inline(value: &Tree) -> Option<String> {
    match value {
        Tree::Bool(value) => Some(value.to_string()),
        Tree::Number(number) => Some(number.to_string()),
        Tree::Text(text) => Some(scalar(text, Use::Value)),
        Tree::Mapping(entries) => entries.is_empty().then(|| "{}".to_owned()),
        Tree::List(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| match item {
                    Tree::List(_) | Tree::Mapping(_) => None,
                    item => inline(item),
                })
                .collect();
            items.map(|items| format!("[{}]", items.join(", ")))
        }
    }
}

/// What a text is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Key,
    Value,
}

fn scalar(text: &str, usage: Use) -> String {
    if is_safe(text, usage) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Whether every parser, of YAML 1.1 as well, reads the plain text as the same
/// text.
fn is_safe(text: &str, usage: Use) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
    let Some(first) = text.bytes().next() else {
        return false;
    };
    let may_begin = match first {
        // Numbers, dates and times end with a digit, a hexadecimal letter or a
        // sign; `15s` and `5xx` do not.
        b'0'..=b'9' => text.bytes().last().is_some_and(|last| last >= b'g'),
        b'/' => true,
        letter => letter.is_ascii_alphabetic(),
    };
    may_begin && text.bytes().all(safe) && !is_word_with_meaning(text, usage)
}

/// Words that YAML 1.1 or 1.2 takes for null or a boolean. As a key, `on` is a
/// field of ours and no parser's trouble.
fn is_word_with_meaning(text: &str, usage: Use) -> bool {
    let word = text.to_ascii_lowercase();
    match word.as_str() {
        "null" | "true" | "false" => true,
        "y" | "n" | "yes" | "no" | "on" | "off" => usage == Use::Value,
        _ => false,
    }
}

/// The text in double quotes, with everything escaped that is invisible or ends
/// a line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter => push_visible(&mut quoted, letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Adds a character of a quoted text, escaped if nobody could see it.
pub(super) fn push_visible(text: &mut String, letter: char) {
    if is_hidden(letter) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{:04X}", u32::from(letter));
    } else {
        text.push(letter);
    }
}

/// All of these lie in the basic plane, so that four digits are enough.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(letter, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for text in [
            "",
            "~",
            "null",
            "true",
            "yes",
            "on",
            "1",
            "1.5",
            "1e3",
            "0x1f",
            "12:30",
            "1_000",
            "2020-01-01",
            "-",
            "- a",
            "*.example.com",
            "a: b",
            "a #b",
            "[a]",
            "{a}",
            "'a'",
            "a\nb",
            " a",
            ".inf",
            "5.",
            "+1",
            "@a",
            "0b1",
        ] {
            assert!(scalar(text, Use::Value).starts_with('"'), "{text:?}");
        }
        for text in [
            "shop",
            "5xx",
            "250ms",
            "1h",
            "/api",
            "HTTP1",
            "gateway-error",
            "shop.example.com",
        ] {
            assert_eq!(scalar(text, Use::Value), text);
        }
        assert_eq!(scalar("on", Use::Key), "on");
    }

    #[test]
    fn lists_and_mappings_are_laid_out_in_blocks() {
        let text = |text: &str| Tree::Text(text.to_owned());
        let tree = Tree::Mapping(vec![
            ("empty".to_owned(), Tree::Mapping(Vec::new())),
            ("short".to_owned(), Tree::List(vec![text("a"), text("b")])),
            ("long".to_owned(), Tree::List(vec![text(&"x".repeat(90))])),
            (
                "rules".to_owned(),
                Tree::List(vec![Tree::Mapping(vec![
                    ("a".to_owned(), Tree::Bool(true)),
                    (
                        "b".to_owned(),
                        Tree::Mapping(vec![("c".to_owned(), Tree::List(Vec::new()))]),
                    ),
                ])]),
            ),
        ]);
        let long = "x".repeat(90);
        assert_eq!(
            document(&tree),
            format!(
                "empty: {{}}\nshort: [a, b]\nlong:\n- {long}\nrules:\n- a: true\n  b:\n    c: []\n"
            )
        );
    }
}
