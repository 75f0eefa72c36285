//! Which regular expressions configuration may hold. Both planes ask here, so
//! that what one accepts, the other can run.

use regex::{Regex, RegexBuilder};

/// Upper bound on the size of a compiled expression, in bytes: a few hundred
/// alternatives fit, `(a{1000}){1000}` does not.
pub const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Longest text, in bytes, of which it is known that it fits when it compiles
/// to nothing but itself.
const MAX_PLAIN_BYTES: usize = 1024;

/// Checks an expression that must match the whole text, as Envoy has it.
///
/// Compiling is what costs time in reading a route table, and nearly all
/// expressions in one are lists of methods; such plain ones are not compiled.
///
/// # Errors
/// What is wrong with the expression, on one line.
pub fn check(pattern: &str) -> Result<(), String> {
    if is_plain(pattern) {
        return Ok(());
    }
    whole(pattern).map(drop)
}

/// Whether the expression is nothing but short texts with `|` in between.
fn is_plain(pattern: &str) -> bool {
    let is_literal = |byte: u8| byte.is_ascii_graphic() && !br"\.+*?()[]{}^$".contains(&byte);
    pattern.len() <= MAX_PLAIN_BYTES && pattern.bytes().all(is_literal)
}

/// Compiles an expression that must match the whole text.
///
/// # Errors
/// What is wrong with the expression, on one line.
pub fn whole(pattern: &str) -> Result<Regex, String> {
    // Alone first: `a)(b` is refused, although it would be balanced by the group
    // around it.
    compile(pattern)?;
    compile(&format!("^(?:{pattern})$"))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .build();
    compiled.map_err(|error| match error {
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
    fn what_cannot_be_compiled_is_explained() {
        assert!(check("(").unwrap_err().contains("regular expression"));
        assert!(check("a)(b").is_err());
        assert!(check("(a{1000}){1000}").unwrap_err().contains("at most"));
    }

    #[test]
    fn what_is_plain_would_compile() {
        let graphic: String = ('!'..='~').filter(|c| is_plain(&c.to_string())).collect();
        assert!(graphic.contains('|') && !graphic.contains(['\\', '.', '(', '$']));
        let longest = "GET|#&~-/".repeat(MAX_PLAIN_BYTES / 9);
        for pattern in [graphic.as_str(), "GET|HEAD|OPTIONS", "||", longest.as_str()] {
            assert!(is_plain(pattern), "{pattern}");
            compile(pattern).unwrap();
            compile(&format!("^(?:{pattern})$")).unwrap();
        }
    }

    #[test]
    fn a_long_list_is_compiled_before_it_is_accepted() {
        assert!(!is_plain(&"a|".repeat(MAX_PLAIN_BYTES)));
        assert!(check(&"abcdefgh|".repeat(100_000)).is_err());
    }
}
