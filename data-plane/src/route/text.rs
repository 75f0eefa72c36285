//! Conditions on a text, compiled.

use evenkeel_shared::ir::StringMatch;
use evenkeel_shared::xds::pattern::MAX_COMPILED_BYTES;
use regex::bytes::{Regex, RegexBuilder};

/// A condition on a text.
#[derive(Debug)]
pub(super) enum Text {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<Regex>),
    Regex(Box<Regex>),
}

impl Text {
    /// # Errors
    /// Why an expression cannot be compiled.
    pub(super) fn build(condition: &StringMatch) -> Result<Self, String> {
        Ok(match condition {
            StringMatch::Exact(text) => Self::Exact(text.as_bytes().into()),
            StringMatch::Prefix(text) => Self::Prefix(text.as_bytes().into()),
            StringMatch::Suffix(text) => Self::Suffix(text.as_bytes().into()),
            StringMatch::Contains(text) => Self::Contains(Box::new(compile(&regex::escape(text))?)),
            StringMatch::Regex(text) => Self::Regex(Box::new(full_match(text)?)),
        })
    }

    pub(super) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(whole) => text == &**whole,
            Self::Prefix(begin) => text.starts_with(begin),
            Self::Suffix(end) => text.ends_with(end),
            Self::Contains(regex) | Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// An expression that must match a whole text.
///
/// # Errors
/// Why it cannot be compiled.
pub(super) fn full_match(pattern: &str) -> Result<Regex, String> {
    // By itself first: `a)|(b` would pass between the brackets.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| {
            format!("invalid value {pattern:?}: must be a regular expression: {error}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(condition: &StringMatch, text: &str) -> bool {
        Text::build(condition).unwrap().matches(text.as_bytes())
    }

    #[test]
    fn an_expression_must_match_the_whole_text() {
        let regex = StringMatch::Regex("a|ab".to_owned());
        assert!(matches(&regex, "ab"));
        assert!(!matches(&regex, "abc"));
        assert!(!matches(&regex, "xa"));
        assert!(!matches(&regex, "a\n"));
    }

    #[test]
    fn an_expression_cannot_break_out_of_its_anchors() {
        assert!(Text::build(&StringMatch::Regex("a)|(b".to_owned())).is_err());
        assert!(!matches(&StringMatch::Regex("(?m)^a$".to_owned()), "a\nb"));
    }

    #[test]
    fn an_expression_that_is_too_large_is_refused() {
        let regex = StringMatch::Regex("(a{1000}){1000}".to_owned());
        assert!(Text::build(&regex).is_err());
    }

    #[test]
    fn parts_of_a_text_are_found() {
        assert!(matches(&StringMatch::Contains("b.".to_owned()), "ab.c"));
        assert!(!matches(&StringMatch::Contains("b.".to_owned()), "abxc"));
        assert!(matches(&StringMatch::Contains(String::new()), ""));
        assert!(matches(&StringMatch::Suffix("c".to_owned()), "abc"));
        assert!(matches(&StringMatch::Prefix("a".to_owned()), "abc"));
        assert!(!matches(&StringMatch::Exact("a".to_owned()), "abc"));
    }
}
