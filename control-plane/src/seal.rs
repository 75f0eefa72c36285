//! Keeps secrets unreadable wherever they are stored or shown.
//!
//! The text of every inline data source of a `Secret` is sealed as soon as it
//! comes in, before anything else looks at it, and only opened to be checked,
//! compiled, or to read what its certificates say. What leaves the management
//! API shows a digest in its place, which can be made from the sealed text
//! alone.
//!
//! ```text
//! apply -> admit (seal) -> settle (`redacted:` is what is stored) -> store
//!                                                store -> open -> compile
//!                                                store -> redact -> get, list, …
//! ```
//!
//! The same text always seals to the same text, so that a secret that did not
//! change is a resource that did not change: the nonce is the beginning of a
//! keyed digest of the text. Two texts share a nonce only if they share 96 bits
//! of that digest. Whoever sees sealed texts can tell whether two are equal, and
//! nothing else.

mod key;
mod resources;

use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evenkeel_shared::secret::SecretBytes;
use zeroize::Zeroizing;

pub use resources::{Admitted, redact, redact_changes, redacted};

/// What a sealed text begins with.
pub const SEALED: &str = "evenkeel-sealed:v1:";

/// What is shown in place of a text begins with this.
pub const REDACTED: &str = "redacted:";

/// The kind of digest that is shown; it is keyed, so that nobody can find out
/// the text by trying.
const DIGEST: &str = "sha256:";

/// Bytes of the digest that are shown.
const SHOWN: usize = 8;

/// Bytes of a key.
const KEY: usize = 32;

/// Bytes that sealing adds at the end.
const TAG: usize = 16;

/// Characters of a sealed text in which the nonce is written: base64 has four
/// for three bytes.
const NONCE_TEXT: usize = NONCE_LEN / 3 * 4;

/// Seals and opens. Holds keys, and shows none.
pub struct Seal {
    cipher: LessSafeKey,
    digests: hmac::Key,
}

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealFault {
    /// There are sealed texts, but not their key.
    #[error(
        "{} is missing, but the stored configuration holds secrets that were sealed with it: restore it from a backup",
        path.display()
    )]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is no key.
    #[error("{} is not a key: it must have {KEY} bytes", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or made.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A sealed text that this key does not open.
    #[error("it was sealed with another key than that in `seal.key`, or is damaged")]
    Closed,
    /// The cryptographic library says no, without a reason.
    #[error("the cryptographic library failed")]
    Library,
}

impl From<Unspecified> for SealFault {
    fn from(_: Unspecified) -> Self {
        Self::Library
    }
}

impl Seal {
    /// A seal with this key. Encryption and digests each get a key of their own
    /// that is derived from it.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn new(key: &[u8; KEY]) -> Result<Self, SealFault> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = |purpose: &[u8]| Zeroizing::new(hmac::sign(&key, purpose).as_ref().to_vec());
        let cipher = UnboundKey::new(&AES_256_GCM, &derived(b"evenkeel seal: encryption"))?;
        let digests = derived(b"evenkeel seal: digests");
        Ok(Self {
            cipher: LessSafeKey::new(cipher),
            digests: hmac::Key::new(hmac::HMAC_SHA256, &digests),
        })
    }

    /// The sealed form of a text; always the same one.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn seal(&self, text: &str) -> Result<String, SealFault> {
        let digest = hmac::sign(&self.digests, text.as_bytes());
        let (nonce, _) = digest.as_ref().split_at(NONCE_LEN);
        // Large enough from the start: growing would leave a copy behind.
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + TAG);
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(text.as_bytes());
        let (nonce, body) = sealed.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let tag =
            self.cipher
                .seal_in_place_separate_tag(nonce, Aad::from(SEALED.as_bytes()), body)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(format!("{SEALED}{}", STANDARD.encode(&sealed)))
    }

    /// The text behind its sealed form.
    ///
    /// # Errors
    /// It is no sealed text, or one of another key.
    pub fn open(&self, sealed: &str) -> Result<SecretBytes, SealFault> {
        let body = sealed.strip_prefix(SEALED).ok_or(SealFault::Closed)?;
        let decoded = STANDARD.decode(body).map_err(|_| SealFault::Closed)?;
        let mut decoded = Zeroizing::new(decoded);
        let (nonce, body) = decoded
            .split_at_mut_checked(NONCE_LEN)
            .ok_or(SealFault::Closed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let opened = self
            .cipher
            .open_in_place(nonce, Aad::from(SEALED.as_bytes()), body);
        let text = opened.map_err(|_| SealFault::Closed)?;
        Ok(SecretBytes::new(text.to_vec()))
    }
}

/// Without the keys.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

/// Whether a text is what [`Seal::seal`] makes, as far as can be seen without a
/// key.
pub fn is_sealed(text: &str) -> bool {
    text.strip_prefix(SEALED)
        .is_some_and(|body| body.len() >= NONCE_TEXT)
}

/// What is shown in place of a text: of a sealed one its digest, which its nonce
/// begins with; of any other nothing that depends on it.
pub fn shown(text: &str) -> String {
    let body = text.strip_prefix(SEALED);
    let nonce = body.and_then(|body| body.get(..NONCE_TEXT));
    let nonce = nonce.and_then(|nonce| STANDARD.decode(nonce).ok());
    let digest = nonce.unwrap_or_default();
    let mut shown = format!("{REDACTED}{DIGEST}");
    for byte in digest.iter().take(SHOWN) {
        for half in [byte >> 4, byte & 15] {
            shown.extend(char::from_digit(half.into(), 16));
        }
    }
    shown
}

/// Whether a text stands for one that is stored.
pub fn is_redacted(text: &str) -> bool {
    text.starts_with(REDACTED)
}

#[cfg(test)]
mod tests;
