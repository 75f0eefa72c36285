//! Where a redirect leads.

use evenkeel_shared::ir;

use crate::filter::rewrite_target;

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

/// Value of `Location`: always a whole URL, so that no path can be taken for a
/// host.
///
/// What the redirect does not name stays. The client's port goes with a new
/// host, and with a new scheme if it was the old one's default; a port that is
/// the default of the scheme is not written.
pub fn redirect_location(redirect: &ir::Redirect, request: &Redirected<'_>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(request.scheme);
    let (host, port) = split_port(request.authority);
    let kept_port = port.filter(|port| {
        let moved = scheme != request.scheme && Some(*port) == default_port(request.scheme);
        redirect.host.is_none() && !moved
    });
    let port = redirect.port.or(kept_port);
    let port = port.filter(|port| Some(*port) != default_port(scheme));
    let host = redirect.host.as_deref().unwrap_or(host);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let target = match &redirect.path {
        Some(rewrite) => rewrite_target(rewrite, request.target, request.matched),
        None => request.target.to_owned(),
    };
    format!("{scheme}://{host}{port}{target}")
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Host and port of an authority. The colons of an IPv6 address in brackets are
/// not taken for the one before a port.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}
