//! Who may change something through the admin port.
//!
//! On the loopback interface everybody may who is on this machine, but no page
//! in a browser there: those say where they come from, or, after their name has
//! been bound to 127.0.0.1, whom they think they speak with. Elsewhere, and
//! wherever there is a token, whoever has the token.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use evenkeel_shared::secret::SecretBytes;
use sha2::{Digest as _, Sha256};

use super::Admin;
use crate::tls::read_file;

/// Shortest token, in bytes.
const SHORTEST_TOKEN: usize = 16;

/// Decides who may.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Whether only this machine can reach the port.
    pub loopback: bool,
    /// Where the token is; read at each call that changes something.
    pub token_file: Option<PathBuf>,
}

impl Guard {
    /// Of a port that is bound to `address`.
    pub fn new(address: SocketAddr, token_file: Option<PathBuf>) -> Self {
        Self {
            loopback: address.ip().is_loopback(),
            token_file,
        }
    }

    /// Whether a call with these headers may change something; else why not.
    fn allow(&self, headers: &HeaderMap) -> Result<(), String> {
        if let Some(file) = &self.token_file {
            let token = read_token(file)?;
            return if bearer(headers).is_some_and(|shown| is_same(shown, token.expose())) {
                Ok(())
            } else {
                Err("send the token as `Authorization: Bearer …`".to_owned())
            };
        }
        if !self.loopback {
            let how = "start the proxy with --admin-token-file, or call it on its own machine";
            return Err(format!("the admin port is open to other machines: {how}"));
        }
        if headers.contains_key(header::ORIGIN) {
            return Err("the call comes from a page in a browser (Origin)".to_owned());
        }
        let host = headers.get(header::HOST);
        if host.is_some_and(|host| !host.to_str().is_ok_and(is_loopback)) {
            return Err("the Host of the call must be 127.0.0.1, [::1] or localhost".to_owned());
        }
        Ok(())
    }
}

/// Lets calls pass that change nothing, and others if they may.
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let harmless = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if harmless {
        return next.run(request).await;
    }
    let (guard, headers) = (admin.guard.clone(), request.headers().clone());
    let allowed = tokio::task::spawn_blocking(move || guard.allow(&headers)).await;
    match allowed.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(()) => next.run(request).await,
        Err(reason) => (StatusCode::FORBIDDEN, format!("refused: {reason}\n")).into_response(),
    }
}

/// Reads the token: the file without white space around it.
///
/// # Errors
/// A sentence for the user, without the token.
pub fn read_token(file: &Path) -> Result<SecretBytes, String> {
    let shown = file.display();
    let content = read_file(file).map_err(|error| format!("the token file {shown}: {error}"))?;
    let token = content.expose().trim_ascii();
    if token.len() < SHORTEST_TOKEN {
        return Err(format!(
            "the token file {shown} must hold at least {SHORTEST_TOKEN} characters"
        ));
    }
    Ok(SecretBytes::new(token.to_vec()))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Compares digests without a hint at how much of them is alike.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    let differences = one.iter().zip(&other).map(|(one, other)| one ^ other);
    differences.fold(0, |all, difference| all | difference) == 0
}

/// Whether a `Host` means this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = inside.unwrap_or(host).parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| {
        address.is_loopback()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-of-twenty-fo";

    fn guard(address: &str, token: Option<&str>) -> (Guard, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        if let Some(token) = token {
            std::fs::write(&file, format!("{token}\n")).unwrap();
        }
        let file = token.map(|_| file);
        (Guard::new(address.parse().unwrap(), file), directory)
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn on_the_machine_everybody_may_but_no_page_in_a_browser() {
        let (guard, _files) = guard("127.0.0.1:9901", None);
        for (host, may) in [
            ("127.0.0.1:9901", true),
            ("127.9.9.9", true),
            ("localhost:9901", true),
            ("LOCALHOST", true),
            ("[::1]:9901", true),
            ("evil.test:9901", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("user@evil.test", false),
            ("", false),
        ] {
            let found = guard.allow(&headers(&[(header::HOST, host)]));
            assert_eq!(found.is_ok(), may, "{host:?}");
        }
        assert!(guard.allow(&headers(&[])).is_ok());
        for origin in ["http://evil.test", "http://127.0.0.1:9901", "null"] {
            let sent = [(header::HOST, "127.0.0.1:9901"), (header::ORIGIN, origin)];
            let refused = guard.allow(&headers(&sent)).unwrap_err();
            assert!(refused.contains("Origin"), "{refused}");
        }
    }

    #[test]
    fn elsewhere_nobody_may_without_a_token() {
        for address in ["0.0.0.0:9901", "10.0.0.1:9901", "[::]:9901"] {
            let (guard, _files) = guard(address, None);
            let sent = [(header::HOST, "127.0.0.1:9901")];
            let refused = guard.allow(&headers(&sent)).unwrap_err();
            assert!(refused.contains("--admin-token-file"), "{refused}");
        }
    }

    #[test]
    fn whoever_has_the_token_may() {
        for address in ["0.0.0.0:9901", "127.0.0.1:9901"] {
            let (guard, files) = guard(address, Some(TOKEN));
            let bearer = |text: &str| guard.allow(&headers(&[(header::AUTHORIZATION, text)]));
            assert_eq!(bearer(&format!("Bearer {TOKEN}")), Ok(()));
            assert_eq!(bearer(&format!("bearer  {TOKEN}")), Ok(()));
            for wrong in [
                "Bearer ",
                "Bearer",
                "Bearer a-token-of-twenty-fe",
                &format!("Bearer {TOKEN}x"),
                &format!("Basic {TOKEN}"),
                TOKEN,
            ] {
                assert!(bearer(wrong).is_err(), "{wrong}");
            }
            assert!(guard.allow(&headers(&[])).is_err());
            let file = files.path().join("token");
            std::fs::write(&file, "another-token-of-more").unwrap();
            assert!(bearer(&format!("Bearer {TOKEN}")).is_err());
            std::fs::write(&file, "canary").unwrap();
            let refused = bearer("Bearer canary").unwrap_err();
            assert!(refused.contains("at least 16"), "{refused}");
            assert!(!refused.contains("canary"), "{refused}");
            std::fs::remove_file(&file).unwrap();
            assert!(bearer(&format!("Bearer {TOKEN}")).is_err());
        }
    }
}
