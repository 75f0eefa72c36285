//! Regular expressions of configuration. Both planes compile them here, so
//! that what one accepts, the other can run.

use regex::{Regex, RegexBuilder};

/// Upper bound on the size of a compiled expression, in bytes: a few hundred
/// alternatives fit, `(a{1000}){1000}` does not.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Compiles an expression that must match the whole text, as Envoy has it.
///
/// # Errors
/// What is wrong with the expression, on one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    // Compiled alone first: `a)(b` is refused, although it would be balanced by
    // the group around it.
    limited(pattern)?;
    limited(&format!("^(?:{pattern})$"))
}

fn limited(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("must compile to at most {limit} bytes")
            }
            other => {
                let text = other.to_string();
                let cause = text.lines().next_back().unwrap_or("cannot be read");
                format!(
                    "must be a regular expression: {}",
                    cause.trim_start_matches("error: ")
                )
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_the_whole_text() {
        let pattern = compile("/a|/b").unwrap();
        assert!(pattern.is_match("/a") && pattern.is_match("/b"));
        assert!(!pattern.is_match("/a/") && !pattern.is_match("x/b"));
    }

    #[test]
    fn what_cannot_be_compiled_is_explained() {
        assert!(compile("(").unwrap_err().contains("regular expression"));
        assert!(compile("a)(b").is_err());
        assert!(compile("(a{1000}){1000}").unwrap_err().contains("at most"));
    }
}
