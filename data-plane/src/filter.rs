//! What is changed in a request on its way.
//!
//! Owns the rules for header fields, paths and redirects, as functions of the
//! configuration and a [`Head`](crate::head::Head); applying the changes to a
//! message is done elsewhere.

use evenkeel_shared::ir;

use crate::head::{HeadEdits, HeaderChange};

pub mod forwarded;
pub mod hop;
mod redirect;

#[cfg(test)]
mod tests;

pub use redirect::{Redirected, redirect_location};

/// Adds the changes of a configuration to those of a request or response:
/// remove, set, add.
pub fn request_edits<'a>(edits: &'a ir::HeaderEdits, head: &mut HeadEdits<'a>) {
    let removed = edits.remove.iter().map(|name| HeaderChange::Remove(name));
    let set = edits.set.iter();
    let set = set.map(|field| HeaderChange::Set(&field.name, &field.value));
    let added = edits.add.iter();
    let added = added.map(|field| HeaderChange::Add(&field.name, &field.value));
    head.headers.extend(removed.chain(set).chain(added));
}

/// The new target of a request whose route covers the first `matched` bytes of
/// the path.
///
/// The query is kept, unless a full path brings its own. The text is taken as it
/// stands, with two exceptions: no `//` comes about where the new prefix meets
/// the rest, and the path begins with `/`.
pub fn rewrite_target(rewrite: &ir::PathRewrite, target: &str, matched: usize) -> String {
    let query_at = target.find('?').unwrap_or(target.len());
    let (path, query) = target.split_at(query_at);
    let (begin, rest) = match rewrite {
        ir::PathRewrite::Prefix(prefix) => {
            let rest = path.get(matched..).unwrap_or_default();
            let doubled = prefix.ends_with('/') && rest.starts_with('/');
            (prefix, &rest[usize::from(doubled)..])
        }
        ir::PathRewrite::Full(path) => (path, ""),
    };
    let slash = if begin.starts_with('/') || (begin.is_empty() && rest.starts_with('/')) {
        ""
    } else {
        "/"
    };
    let query = if begin.contains('?') { "" } else { query };
    [slash, begin, rest, query].concat()
}
