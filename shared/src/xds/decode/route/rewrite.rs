//! What becomes of a path.

use crate::ir::{PathMatch, PathRewrite};
use crate::xds::decode::findings::Findings;
use crate::xds::decode::text;
use crate::xds::wire::matcher;

/// A prefix that stands in place of the one that matched. Where a whole path
/// matched, Envoy replaces all of it.
pub(super) fn prefix(to: String, path: &PathMatch, found: &mut Findings) -> Option<PathRewrite> {
    let to = text::replacement_path(to, "prefix_rewrite", found)?;
    Some(match path {
        PathMatch::Prefix(_) | PathMatch::Segments(_) => PathRewrite::Prefix(to),
        PathMatch::Exact(_) | PathMatch::Regex(_) => PathRewrite::Full(to),
    })
}

/// A path that stands in place of another.
pub(super) fn full(to: String, field: &str, found: &mut Findings) -> Option<PathRewrite> {
    text::replacement_path(to, field, found).map(PathRewrite::Full)
}

/// As [`full`], where variables would be filled in.
pub(super) fn formatted(to: &str, found: &mut Findings) -> Option<PathRewrite> {
    let to = text::without_variables(to, "path_rewrite", found)?;
    full(to, "path_rewrite", found)
}

/// An expression: either our own that removes the prefix, or one that takes the
/// whole path and puts a text in its place.
pub(super) fn regex(
    from: matcher::RegexMatchAndSubstitute,
    removes_prefix: bool,
    path: &PathMatch,
    found: &mut Findings,
) -> Option<PathRewrite> {
    let matcher::RegexMatchAndSubstitute {
        pattern,
        substitution,
    } = from;
    if removes_prefix && matches!(path, PathMatch::Prefix(_) | PathMatch::Segments(_)) {
        return Some(PathRewrite::Prefix(String::new()));
    }
    let pattern = pattern.map(|pattern| pattern.regex).unwrap_or_default();
    let takes_all = matches!(
        pattern.as_str(),
        "^.*$" | "^.*" | "^.+$" | "^.+" | ".+" | "^/.*$" | "^/.*" | "^(.*)$"
    );
    match text::literal_substitution(&substitution) {
        Some(to) if takes_all => full(to, "regex_rewrite.substitution", found),
        _ => {
            let rule = "not supported by evenkeel: must replace the whole path with a text";
            found.invalid("regex_rewrite", pattern, rule)
        }
    }
}
