//! What is changed in a request on its way.

use evenkeel_shared::ir;

use crate::head::HeadEdits;

pub mod forwarded;
pub mod hop;

/// Adds the changes of a configuration to those of a request.
pub fn request_edits<'a>(_edits: &'a ir::HeaderEdits, _head: &mut HeadEdits<'a>) {}

/// The new target of a request whose route covers the first `matched` bytes of
/// the path.
pub fn rewrite_target(_rewrite: &ir::PathRewrite, target: &str, _matched: usize) -> String {
    target.to_owned()
}

/// The request that a redirect answers.
#[derive(Debug, Clone, Copy)]
pub struct Redirected<'a> {
    /// `http` or `https`, as the client used it.
    pub scheme: &'a str,
    /// As the client named it.
    pub authority: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Bytes of the path that the route covers.
    pub matched: usize,
}

/// Value of `Location`.
pub fn redirect_location(_redirect: &ir::Redirect, _request: &Redirected<'_>) -> String {
    String::new()
}
