//! Keeps key material from what people see: lines of their own files, remarks
//! about them, and resources.
//!
//! A file that cannot be parsed must not show its keys either, so its lines are
//! judged by their look: what belongs to a key `inline`, `privateKey` or
//! `token`, a private key in PEM, and long lines of base64. One line too many is
//! better than one too few.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use evenkeel_shared::proto::v1::data_source::Source;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::v1::secret::Content;
use evenkeel_shared::proto::v1::{DataSource, Resource};

/// What is shown instead.
const REDACTED: &str = "redacted";
/// How the server begins what it shows instead; a digest follows.
const DIGEST: &str = "redacted:";
/// Longest digest with its name, in bytes.
const MAX_DIGEST: usize = 160;
/// Keys whose value is hidden.
const KEYS: [&str; 4] = ["inline", "privatekey", "private_key", "token"];
/// Length from which a line of nothing but base64 is hidden, in bytes.
const BASE64_LINE: usize = 40;
/// Length from which a word of a remark may give something away, in bytes.
const WORD: usize = 6;

/// The text of a file, and a form of it that can be shown.
#[derive(Clone)]
pub(crate) struct Concealed {
    original: Arc<str>,
    hidden: Vec<Range<usize>>,
    /// As long as the original, so that places in it are the same.
    pub(crate) shown: Arc<str>,
}

/// Without the text.
impl std::fmt::Debug for Concealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Concealed")
            .field("hidden", &self.hidden)
            .finish_non_exhaustive()
    }
}

impl Concealed {
    /// Finds what must not be shown of a text.
    pub(crate) fn new(text: &str) -> Self {
        let hidden = hidden(text);
        let mut shown = String::with_capacity(text.len());
        let mut done = 0;
        for range in &hidden {
            shown.push_str(text.get(done..range.start).unwrap_or_default());
            let covered = text.get(range.clone()).unwrap_or_default();
            shown.extend(std::iter::repeat_n('*', covered.len()));
            done = range.end;
        }
        shown.push_str(text.get(done..).unwrap_or_default());
        Self {
            original: Arc::from(text),
            hidden,
            shown: Arc::from(shown),
        }
    }

    /// A remark about the text, without the words that are hidden in it.
    pub(crate) fn remark(&self, said: &str) -> String {
        let pieces = || {
            let ranges = self.hidden.iter().cloned();
            ranges.filter_map(|range| self.original.get(range))
        };
        let mut clean = String::with_capacity(said.len());
        let mut is_escaped = false;
        for part in said.split_inclusive(|letter| !is_word(letter)) {
            // The `n` of `\n` is no part of the word after it.
            let escape = usize::from(is_escaped);
            let (escape, part) = part.split_at_checked(escape).unwrap_or(("", part));
            is_escaped = part.ends_with('\\');
            clean.push_str(escape);
            let word = part.trim_end_matches(|letter| !is_word(letter));
            if word.len() >= WORD && pieces().any(|piece| piece.contains(word)) {
                clean.push_str("[redacted]");
                clean.push_str(part.get(word.len()..).unwrap_or_default());
            } else {
                clean.push_str(part);
            }
        }
        clean
    }
}

/// A remark about a text, without the words that are hidden in it, and without
/// what it quotes.
pub(crate) fn remark(said: &str, text: &str) -> String {
    let quotes = said.split('"').enumerate();
    let parts: Vec<&str> = quotes
        .map(|(index, part)| if index % 2 == 0 { part } else { "…" })
        .collect();
    Concealed::new(text).remark(&parts.join("\""))
}

fn is_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')
}

/// Whether it can stand inside of a key or token.
fn is_word(letter: char) -> bool {
    is_base64(letter) || matches!(letter, '-' | '_')
}

/// What must not be shown, in order.
fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    // What belongs to a key is indented deeper than this.
    let mut block: Option<usize> = None;
    let mut in_pem = false;
    for line in text.split_inclusive('\n') {
        let body = line.trim();
        let indent = line.len() - line.trim_start().len();
        if body == "---" {
            (block, in_pem) = (None, false);
        }
        if block.is_some_and(|depth| !body.is_empty() && indent <= depth) {
            block = None;
        }
        let begins = private_pem(line);
        if in_pem || block.is_some() || is_base64_line(body) {
            cover(&mut ranges, start + indent, body.len());
        } else {
            let (values, opens) = values(line);
            for value in values {
                cover(&mut ranges, start + value.start, value.len());
            }
            if opens {
                block = Some(indent);
            }
            if let (Some(at), false) = (begins, opens) {
                cover(&mut ranges, start + at, line.trim_end().len() - at);
            }
        }
        in_pem = (in_pem || begins.is_some()) && !line.contains("-----END");
        start += line.len();
    }
    ranges
}

/// Adds a range; one that overlaps the last is joined to it.
fn cover(ranges: &mut Vec<Range<usize>>, start: usize, length: usize) {
    let end = start + length;
    match ranges.last_mut() {
        Some(last) if start <= last.end => {
            last.start = last.start.min(start);
            last.end = last.end.max(end);
        }
        _ if length > 0 => ranges.push(start..end),
        _ => {}
    }
}

/// Where a private key in PEM begins.
fn private_pem(line: &str) -> Option<usize> {
    let begin = line.find("-----BEGIN")?;
    line.get(begin..)?.contains("PRIVATE KEY").then_some(begin)
}

fn is_base64_line(body: &str) -> bool {
    let body = body.trim_matches(|letter: char| !is_base64(letter));
    body.len() >= BASE64_LINE && body.chars().all(is_base64)
}

/// The values on a line that must not be shown, and whether the last one may go
/// on below.
fn values(line: &str) -> (Vec<Range<usize>>, bool) {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((nested, value)) = next_value(&lower, from) {
        let rest = line.get(value..).unwrap_or_default();
        let text = rest.trim_end();
        let first = text.chars().next();
        // The mapping of `privateKey` says which value it is.
        if nested && matches!(first, None | Some('{')) {
            from = value;
            continue;
        }
        let closed = first.filter(|quote| matches!(quote, '"' | '\''));
        if let Some(length) = closed.and_then(|quote| closing(text, quote)) {
            found.push(value..value + length);
            from = value + length;
        } else {
            found.push(value..value + text.len());
            return (found, true);
        }
    }
    (found, false)
}

/// The next key whose value is hidden: whether the value may be a mapping, and
/// where it begins.
fn next_value(lower: &str, from: usize) -> Option<(bool, usize)> {
    let rest = lower.get(from..)?;
    let ends = KEYS.iter().filter_map(|key| {
        let mut positions = rest.match_indices(key);
        positions.find_map(|(at, _)| {
            let before = rest.get(..at)?.chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                return None;
            }
            let after = rest.get(at + key.len()..)?;
            let after = after.strip_prefix(['"', '\'']).unwrap_or(after);
            let value = after.trim_start().strip_prefix(':')?;
            let value = value.trim_start();
            Some((from + rest.len() - value.len(), key.starts_with("private")))
        })
    });
    ends.min().map(|(value, nested)| (nested, value))
}

/// Length of a quoted text that ends on its line.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            letter if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A resource as it may be shown.
pub(crate) fn resource(resource: &Resource) -> Cow<'_, Resource> {
    against(resource, None, "")
}

/// Both sides of a change as they may be shown. Whether hidden content changed
/// can be seen.
pub(crate) fn sides<'r>(
    before: Option<&'r Resource>,
    after: Option<&'r Resource>,
) -> (Option<Cow<'r, Resource>>, Option<Cow<'r, Resource>>) {
    (
        before.map(|side| against(side, after, "before")),
        after.map(|side| against(side, before, "changed")),
    )
}

fn against<'r>(
    resource: &'r Resource,
    other: Option<&Resource>,
    different: &str,
) -> Cow<'r, Resource> {
    if !matches!(resource.spec, Some(Spec::Secret(_))) {
        return Cow::Borrowed(resource);
    }
    let mut shown = resource.clone();
    let mut other = other.cloned();
    let mut opposite = other.as_mut().map(data).unwrap_or_default();
    for (index, slot) in data(&mut shown).into_iter().enumerate() {
        let theirs = opposite.get_mut(index).and_then(|slot| inline(slot));
        let Some(text) = inline(slot) else { continue };
        if !is_digest(text) {
            let verdict = match theirs {
                None => String::new(),
                Some(theirs) if theirs == text => " (unchanged)".to_owned(),
                Some(theirs) if is_digest(theirs) => " (cannot be compared)".to_owned(),
                Some(_) => format!(" ({different})"),
            };
            *text = format!("{REDACTED}{verdict}");
        }
    }
    Cow::Owned(shown)
}

/// What the server shows of content that it has.
fn is_digest(text: &str) -> bool {
    text.len() <= MAX_DIGEST
        && text.strip_prefix(DIGEST).is_some_and(|digest| {
            let mut letters = digest.chars();
            letters.all(|letter| letter.is_ascii_alphanumeric() || letter == ':')
        })
}

/// The places of a secret that may hold content.
fn data(resource: &mut Resource) -> Vec<&mut Option<DataSource>> {
    let Some(Spec::Secret(secret)) = &mut resource.spec else {
        return Vec::new();
    };
    match &mut secret.content {
        None => Vec::new(),
        Some(Content::Certificate(pair)) => vec![&mut pair.chain, &mut pair.private_key],
        Some(Content::Trust(trust)) => vec![&mut trust.certificates, &mut trust.revocations],
    }
}

fn inline(slot: &mut Option<DataSource>) -> Option<&mut String> {
    match slot.as_mut()?.source.as_mut()? {
        Source::Inline(text) => Some(text),
        Source::File(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::document;

    use super::*;

    const SECRET: &str = "\
kind: Secret
name: shop
spec:
  certificate:
    chain: {file: /etc/shop.crt}
    privateKey:
      inline: |
        -----BEGIN PRIVATE KEY-----
        canary0000000000
        -----END PRIVATE KEY-----
---
kind: Policy
name: tokens
spec: {rateLimit: {tokens: 100, per: 1s}}
";

    fn shown(text: &str) -> String {
        let concealed = Concealed::new(text);
        assert_eq!(concealed.shown.len(), text.len(), "places stay the same");
        concealed.shown.to_string()
    }

    #[test]
    fn a_key_in_a_file_is_covered_and_nothing_else() {
        let shown = shown(SECRET);
        assert!(!shown.contains("canary"), "{shown}");
        let same = |line: &&str| shown.lines().any(|other| other == *line);
        let lost: Vec<&str> = SECRET.lines().filter(|line| !same(line)).collect();
        assert_eq!(lost.len(), 4, "{lost:?}");
    }

    #[test]
    fn keys_are_covered_in_whatever_shape_they_come() {
        let line = "canaryAAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKKLLLL";
        for text in [
            "privateKey: {inline: \"canary1\", file: x}\n".to_owned(),
            "{\"spec\": {\"privateKey\": {\"inline\": \"canary\\\"canary\"}}}".to_owned(),
            "privateKey: canary1\n".to_owned(),
            "privateKey: |\n  canary1\n".to_owned(),
            "privateKey:\n  Inline: 'canary1\n    canary2'\n".to_owned(),
            "privateKey:\n  inline:\n    canary1\n".to_owned(),
            "privateKey:\n  inlin: |\n    -----BEGIN EC PRIVATE KEY-----\n    canary1\n".to_owned(),
            "inline: |\n  -----BEGIN PRIVATE KEY-----\ncanary1=\n-----END PRIVATE KEY-----\n"
                .to_owned(),
            format!("key: >\n  {line}\n"),
            format!("- {line}\n"),
            "    token: canary1\n".to_owned(),
        ] {
            assert!(!shown(&text).contains("canary"), "{text}{}", shown(&text));
        }
        let after = shown("{\"inline\": \"canary\", \"connect\": 1}");
        assert!(after.contains("\"connect\": 1"), "{after}");
    }

    #[test]
    fn remarks_do_not_quote_what_is_covered() {
        let text = SECRET.replace("inline: |", "inlin: |");
        let text = format!("{text}privateKey: canary000000000000\n");
        let concealed = Concealed::new(&text);
        let said =
            concealed.remark("must be a mapping, not \"canary0000000…\"; write `privateKey`");
        assert_eq!(
            said,
            "must be a mapping, not \"[redacted]…\"; write `privateKey`"
        );
    }

    #[test]
    fn errors_of_a_file_with_keys_show_none_of_them() {
        for broken in [
            SECRET.replace("inline: |", "inlin: |"),
            SECRET.replace("inline: |", "inline:"),
            SECRET.replace("    privateKey:\n      inline: |", "    privateKey: |"),
            SECRET.replace("        canary", "canary: "),
            SECRET.replace("        canary", "        canary\tx: ["),
            SECRET.replace("      inline: |\n        -----BEGIN", "      -----BEGIN"),
            SECRET.replace("inline: |", "inline: [canary0000000000]\n        x:"),
        ] {
            let reading = document::read_all("shop.yaml", &broken);
            let concealed = Concealed::new(&broken);
            for error in reading.errors {
                let said = concealed.remark(&error.to_string());
                assert!(!said.contains("canary"), "{broken}\n{said}");
            }
            assert!(!concealed.shown.contains("canary"), "{broken}");
        }
    }

    fn secret(inline: &str) -> Resource {
        let text = format!(
            "{{kind: Secret, name: shop, spec: {{certificate: {{chain: {{file: /a}}, \
             privateKey: {{inline: '{inline}'}}}}}}}}"
        );
        document::read("t", &text).unwrap().remove(0).resource
    }

    #[test]
    fn a_resource_shows_digests_and_no_content() {
        let text = |resource: &Resource| document::write_yaml(std::slice::from_ref(resource));
        let digest = "redacted:sha256:0a1b";
        assert!(text(&resource(&secret(digest))).contains(digest));
        for content in ["canary", "redacted: canary", "redacted:canary\n"] {
            let shown = text(&resource(&secret(content)));
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains("inline: redacted"), "{shown}");
        }
    }

    #[test]
    fn both_sides_of_a_change_tell_whether_content_changed() {
        let shown = |before: &str, after: &str| {
            let (before, after) = (secret(before), secret(after));
            let (before, after) = sides(Some(&before), Some(&after));
            [before, after].map(|side| {
                let mut side = side.unwrap().into_owned();
                let key = data(&mut side).remove(1);
                inline(key).unwrap().clone()
            })
        };
        assert_eq!(shown("one", "one"), ["redacted (unchanged)"; 2]);
        assert_eq!(
            shown("one", "two"),
            ["redacted (before)", "redacted (changed)"]
        );
        assert_eq!(
            shown("redacted:sha256:1", "two"),
            ["redacted:sha256:1", "redacted (cannot be compared)"]
        );
    }
}
