//! Makes equal paths look the same before routes are compared with them, so
//! that no spelling of a path gets around a route.
//!
//! As in RFC 3986, section 6.2.2: escapes of unreserved characters are resolved
//! (an escaped dot is a dot) and dot segments removed. Everything else stays as
//! it is, above all `%2F`, which is no `/`, and `//`.

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
    /// A control character, a space, `#` or `\`, or NUL as `%00`.
    #[error("has a character that may not stand in a path")]
    BadCharacter,
    /// `..` beyond the first segment: no client means that.
    #[error("leads above the root")]
    AboveRoot,
}

/// A target (path and query) with its path in normal form; borrowed if it was so
/// before. The query is only looked through for characters that may not be
/// there.
///
/// # Errors
/// Why it is refused.
pub fn normalize(target: &str) -> Result<Cow<'_, str>, BadPath> {
    if is_normal(target.as_bytes()) {
        return Ok(Cow::Borrowed(target));
    }
    if target == "*" {
        return Ok(Cow::Borrowed(target));
    }
    if !target.starts_with('/') {
        return Err(BadPath::NotAbsolute);
    }
    if target
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7F || byte == b'#')
    {
        return Err(BadPath::BadCharacter);
    }
    let query_at = target.find('?').unwrap_or(target.len());
    let (path, query) = target.split_at(query_at);
    if path.contains('\\') {
        return Err(BadPath::BadCharacter);
    }
    let unescaped = unescape(path)?;
    if !unescaped.split('/').any(is_dots) {
        return Ok(match unescaped {
            Cow::Borrowed(_) => Cow::Borrowed(target),
            Cow::Owned(path) => Cow::Owned(path + query),
        });
    }
    Ok(Cow::Owned(without_dots(&unescaped)? + query))
}

/// Whether it begins with a slash and has nothing that could need a change, or
/// be wrong: what nearly all targets look like.
fn is_normal(target: &[u8]) -> bool {
    let odd = |byte: u8| matches!(byte, 0..=b' ' | 0x7F.. | b'#' | b'%' | b'\\');
    // The byte behind a slash, so that no segment begins with a dot.
    let pair = |one: u8, next: u8| (one, next) == (b'/', b'.');
    let pairs = target.iter().zip(target.get(1..).unwrap_or_default());
    let dotted = pairs.fold(false, |any, (one, next)| any | pair(*one, *next));
    let odd = target.iter().fold(false, |any, byte| any | odd(*byte));
    target.first() == Some(&b'/') && !odd && !dotted
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// Resolves the escapes of unreserved characters.
fn unescape(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let mut parts = path.split('%');
    let Some(plain) = parts.next().filter(|plain| plain.len() < path.len()) else {
        return Ok(Cow::Borrowed(path));
    };
    let mut unescaped = String::with_capacity(path.len());
    unescaped.push_str(plain);
    for part in parts {
        let digits = part.get(..2).ok_or(BadPath::BadEscape)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BadPath::BadEscape);
        }
        match u8::from_str_radix(digits, 16).map_err(|_| BadPath::BadEscape)? {
            0 => return Err(BadPath::BadCharacter),
            byte if is_unreserved(byte) => {
                unescaped.push(char::from(byte));
                unescaped.push_str(&part[2..]);
            }
            _ => {
                unescaped.push('%');
                unescaped.push_str(part);
            }
        }
    }
    Ok(Cow::Owned(unescaped))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Removes the dot segments; a path that ends with one keeps its last `/`.
fn without_dots(path: &str) -> Result<String, BadPath> {
    let mut kept: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop().ok_or(BadPath::AboveRoot)?;
            }
            other => kept.push(other),
        }
        last = segment;
    }
    if is_dots(last) {
        kept.push("");
    }
    Ok(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(target: &str) -> String {
        normalize(target).unwrap().into_owned()
    }

    #[test]
    fn a_path_in_normal_form_is_not_copied() {
        for target in [
            "*",
            "/",
            "/a/b.c/..d?x=../%zz",
            "//a//",
            "/a%2fb",
            "/ä",
            "/a/",
        ] {
            let borrowed = matches!(normalize(target), Ok(Cow::Borrowed(same)) if same == target);
            assert!(borrowed || target.contains('%'), "{target}");
            assert_eq!(normal(target), target);
        }
    }

    #[test]
    fn dot_segments_are_removed() {
        assert_eq!(normal("/a/./b/../c"), "/a/c");
        assert_eq!(normal("/a/.."), "/");
        assert_eq!(normal("/a/b/."), "/a/b/");
        assert_eq!(normal("/."), "/");
        assert_eq!(normal("/a//../b"), "/a/b");
        assert_eq!(normal("/a/%2e%2E/b?q=/../x"), "/b?q=/../x");
    }

    #[test]
    fn escapes_of_plain_characters_are_resolved_once() {
        assert_eq!(normal("/%61dmin/%7euser"), "/admin/~user");
        assert_eq!(normal("/a%2Fb%5Cc%20"), "/a%2Fb%5Cc%20");
        assert_eq!(normal("/%252e%252e/"), "/%252e%252e/");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (target, why) in [
            ("", BadPath::NotAbsolute),
            ("a", BadPath::NotAbsolute),
            ("http://a/", BadPath::NotAbsolute),
            ("/..", BadPath::AboveRoot),
            ("/a/../..", BadPath::AboveRoot),
            ("/%2e%2e/a", BadPath::AboveRoot),
            ("/%", BadPath::BadEscape),
            ("/%4", BadPath::BadEscape),
            ("/%g1", BadPath::BadEscape),
            ("/%+1", BadPath::BadEscape),
            ("/%ä", BadPath::BadEscape),
            ("/%2%65", BadPath::BadEscape),
            ("/a%00", BadPath::BadCharacter),
            ("/a\0", BadPath::BadCharacter),
            ("/a b", BadPath::BadCharacter),
            ("/a\\..\\b", BadPath::BadCharacter),
            ("/a#b", BadPath::BadCharacter),
            ("/a?\r\n", BadPath::BadCharacter),
        ] {
            assert_eq!(normalize(target), Err(why), "{target:?}");
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_final_and_has_no_dots(
            path in "(/(\\.|\\.\\.|%2e|%2E%2e|a|%61|%2f|%25|\\?|ä){0,3}){1,8}",
        ) {
            if let Ok(once) = normalize(&path) {
                prop_assert_eq!(normalize(&once).unwrap(), once.clone());
                let path = once.split('?').next().unwrap();
                prop_assert!(path.starts_with('/'));
                prop_assert!(!path.split('/').any(is_dots));
            }
        }

        #[test]
        fn no_target_is_too_strange(target: String) {
            let _either_way = normalize(&target);
        }
    }
}
