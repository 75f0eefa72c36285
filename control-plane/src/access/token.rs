//! The form of a token: `ekt_<id>_<secret>`, the secret being 256 random bits.
//!
//! Only the SHA-256 of the secret is kept. Guessing is hopeless however fast
//! the digest is, so a slow one would only burden every request.

use anyhow::anyhow;
use aws_lc_rs::{constant_time, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evenkeel_shared::secret::SecretBytes;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What every token begins with, so that scanners for lost secrets find them.
const PREFIX: &str = "ekt_";
/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;
/// Random bytes in an id.
const ID_BYTES: usize = 8;

/// A token that somebody shows: its id, and the digest of its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presented {
    pub id: String,
    pub digest: [u8; 32],
}

/// A new token.
#[derive(Debug)]
pub(super) struct Minted {
    pub id: String,
    /// The whole token, to be shown once.
    pub text: SecretBytes,
    pub digest: Vec<u8>,
}

impl Presented {
    /// Reads a token; `None` if it does not have the form of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if id.len() != 2 * ID_BYTES || !id.bytes().all(hexadecimal) {
            return None;
        }
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
        (secret.len() == SECRET_BYTES).then(|| Self {
            id: id.to_owned(),
            digest: Sha256::digest(&*secret).into(),
        })
    }

    /// Whether the secret is the one with this digest; takes the same time
    /// wherever they differ.
    pub(super) fn proves(&self, digest: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.digest, digest).is_ok()
    }
}

/// Makes a token.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn mint() -> anyhow::Result<Minted> {
    let id = fresh_id()?;
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(&mut *secret).map_err(|_| anyhow!("the system has no random numbers"))?;
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(*secret));
    let text = [PREFIX, &id, "_", &encoded].concat();
    Ok(Minted {
        text: SecretBytes::new(text.into_bytes()),
        digest: Sha256::digest(*secret).to_vec(),
        id,
    })
}

/// An id that nothing else has.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn fresh_id() -> anyhow::Result<String> {
    let mut id = [0; ID_BYTES];
    rand::fill(&mut id).map_err(|_| anyhow!("the system has no random numbers"))?;
    Ok(format!("{:016x}", u64::from_be_bytes(id)))
}
