//! Bytes that nobody shall see: a private key, a token.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// What is shown instead.
const REDACTED: &str = "[redacted]";

/// Bytes that cannot be printed or serialised, and that are wiped from memory
/// with their last holder. Cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Arc<Zeroizing<Vec<u8>>>);

impl SecretBytes {
    /// Takes them over, without a copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes. Not to be copied to where they would not be wiped.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// For dumps: it writes that there is something.
impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_can_be_seen() {
        let secret = SecretBytes::new(b"canary".to_vec());
        assert_eq!(format!("{secret:?}"), REDACTED);
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(json, format!("{REDACTED:?}"));
        assert_eq!(secret.expose(), b"canary");
    }
}
