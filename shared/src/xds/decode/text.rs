//! Names, header fields, patterns and literal substitutions.

use super::findings::{Findings, set};
use crate::ir::StringMatch;
use crate::xds::pattern;
use crate::xds::wire::matcher;

/// A name that must not be empty.
pub(super) fn name(from: String, field: &str, found: &mut Findings) -> Option<String> {
    if from.is_empty() {
        return found.fault(field, "must not be empty");
    }
    Some(from)
}

/// Whether a text is a token (RFC 9110, 5.6.2): a method or the name of a field.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a text may stand in a header field.
pub(super) fn is_field_value(text: &str) -> bool {
    text.bytes()
        .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
}

/// The name of a header field, in lower case.
pub(super) fn field_name(from: &str, field: &str, found: &mut Findings) -> Option<String> {
    if from.starts_with(':') {
        return found.unsupported(field);
    }
    if !is_token(from) {
        return found.invalid(field, from, "must be the name of a header field");
    }
    Some(from.to_ascii_lowercase())
}

/// A text in which variables would be filled in; none are, so none may stand
/// there. `%%` is a percent sign.
pub(super) fn without_variables(from: &str, field: &str, found: &mut Findings) -> Option<String> {
    let literal = from.replace("%%", "");
    if literal.contains('%') {
        let reason = format!("invalid value {from:?}: variables are not supported by evenkeel");
        return found.fault(field, reason);
    }
    Some(from.replace("%%", "%"))
}

/// An expression that can be run.
pub(super) fn regex(
    from: matcher::RegexMatcher,
    field: &str,
    found: &mut Findings,
) -> Option<String> {
    // The engine is RE2 whatever is said of it, and its limits are our own.
    let matcher::RegexMatcher {
        regex,
        engine_type: _,
    } = from;
    if regex.is_empty() {
        return found.fault(field, "must not be empty");
    }
    match pattern::check(&regex) {
        Ok(()) => Some(regex),
        Err(reason) => found.invalid(field, regex, &reason),
    }
}

/// A condition on a text. One that does not heed case becomes an expression.
pub(super) fn string_match(
    from: matcher::StringMatcher,
    field: &str,
    found: &mut Findings,
) -> Option<StringMatch> {
    use matcher::string_matcher::MatchPattern;

    let matcher::StringMatcher {
        ignore_case,
        match_pattern,
    } = from;
    let test = match match_pattern {
        Some(MatchPattern::Exact(wanted)) => StringMatch::Exact(wanted),
        Some(MatchPattern::Prefix(wanted)) => StringMatch::Prefix(wanted),
        Some(MatchPattern::Suffix(wanted)) => StringMatch::Suffix(wanted),
        Some(MatchPattern::Contains(wanted)) => StringMatch::Contains(wanted),
        Some(MatchPattern::SafeRegex(pattern)) => {
            let field = format!("{field}.safe_regex");
            return Some(StringMatch::Regex(regex(pattern, &field, found)?));
        }
        Some(MatchPattern::Custom(_)) => return found.unsupported(&format!("{field}.custom")),
        None => return found.fault(field, "must have a pattern"),
    };
    let (StringMatch::Prefix(wanted) | StringMatch::Suffix(wanted) | StringMatch::Contains(wanted)) =
        &test
    else {
        return heed_case(test, ignore_case, field, found);
    };
    if wanted.is_empty() {
        return found.fault(field, "must not be empty");
    }
    heed_case(test, ignore_case, field, found)
}

fn heed_case(
    test: StringMatch,
    ignore_case: bool,
    field: &str,
    found: &mut Findings,
) -> Option<StringMatch> {
    if !ignore_case {
        return Some(test);
    }
    let pattern = match &test {
        StringMatch::Exact(wanted) => format!("(?i){}", ::regex::escape(wanted)),
        StringMatch::Prefix(wanted) => format!("(?is){}.*", ::regex::escape(wanted)),
        StringMatch::Suffix(wanted) => format!("(?is).*{}", ::regex::escape(wanted)),
        StringMatch::Contains(wanted) => format!("(?is).*{}.*", ::regex::escape(wanted)),
        StringMatch::Regex(_) => return Some(test),
    };
    any_case(pattern, field, found).map(StringMatch::Regex)
}

/// An expression made from a text of someone else's length.
pub(super) fn any_case(pattern: String, field: &str, found: &mut Findings) -> Option<String> {
    match pattern::check(&pattern) {
        Ok(()) => Some(pattern),
        Err(reason) => found.fault(field, reason),
    }
}

/// The alternatives of an expression that is made of literal texts only; `None`
/// for any other.
pub(super) fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '|' => {
                texts.push(String::new());
                continue;
            }
            '\\' => characters.next().filter(char::is_ascii_punctuation)?,
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            other => other,
        };
        texts.last_mut()?.push(literal);
    }
    Some(texts)
}

/// The text that a substitution puts in place of whatever matched, if it puts
/// nothing of the match there.
pub(super) fn literal_substitution(substitution: &str) -> Option<String> {
    let mut text = String::with_capacity(substitution.len());
    let mut characters = substitution.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().filter(|next| *next == '\\')?,
            other => other,
        });
    }
    Some(text)
}

/// A path that stands in place of another.
pub(super) fn replacement_path(path: String, field: &str, found: &mut Findings) -> Option<String> {
    if !path.starts_with('/') || path.contains(['?', '#']) || !is_field_value(&path) {
        let rule = "must begin with / and have no query, and no variables";
        return found.invalid(field, path, rule);
    }
    Some(path)
}

/// A host that stands in place of another.
pub(super) fn host(from: String, field: &str, found: &mut Findings) -> Option<String> {
    let legal = set(&from)
        && from
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"/?#@\\".contains(&b));
    if !legal {
        return found.invalid(field, from, "must be a host, with or without a port");
    }
    Some(from)
}
