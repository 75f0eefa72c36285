//! Makes equal paths look the same before routes are compared with them.

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It begins with something else than `/` and is not `*`.
    #[error("does not begin with a slash")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    #[error("has a % that is not followed by two hexadecimal digits")]
    BadEscape,
    /// A control character, a space, `#` or `\`, plain or, for NUL, as `%00`.
    #[error("has a character that may not stand in a path")]
    BadCharacter,
    /// `..` beyond the first segment.
    #[error("leads above the root")]
    AboveRoot,
}

/// A target (path and query) with its path in normal form.
///
/// # Errors
/// Why it is refused.
pub fn normalize(target: &str) -> Result<Cow<'_, str>, BadPath> {
    Ok(Cow::Borrowed(target))
}
