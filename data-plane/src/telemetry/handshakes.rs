//! Counts TLS handshakes with clients.

use std::sync::atomic::{AtomicU64, Ordering};

/// Versions that are counted.
pub const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// Why handshakes fail: the words of [`evenkeel_shared::tls::refusal`], and
/// before them what is no error of TLS. `timeout`: it took too long. `gone`: the
/// client went away. `no_settings`: the listener has no certificate (yet).
pub const REASONS: [&str; 16] = [
    "timeout",
    "gone",
    "no_settings",
    "not_tls",
    "version",
    "no_common_cipher",
    "no_common_protocol",
    "no_certificate",
    "bad_certificate",
    "expired",
    "not_valid_yet",
    "unknown_issuer",
    "wrong_name",
    "revoked",
    "alert",
    "other",
];

/// What one worker counts of a listener's handshakes.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Those that succeeded, by [`VERSIONS`]; in full, and resumed.
    pub complete: [[AtomicU64; 2]; VERSIONS.len()],
    /// Those that failed, by [`REASONS`].
    pub failed: [AtomicU64; REASONS.len()],
}

impl Handshakes {
    /// One succeeded.
    pub fn succeed(&self, version: &str, resumed: bool) {
        let kinds = VERSIONS.iter().zip(&self.complete);
        if let Some((_, kinds)) = kinds.into_iter().find(|(name, _)| **name == version) {
            kinds[usize::from(resumed)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One failed; a reason that is none of [`REASONS`] is `other`.
    pub fn fail(&self, reason: &str) {
        let place = REASONS.iter().position(|name| *name == reason);
        self.failed[place.unwrap_or(REASONS.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }
}
