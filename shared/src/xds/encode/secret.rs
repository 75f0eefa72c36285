//! `Secret`.

use crate::ir;
use crate::xds::wire::tls;

/// Writes a secret.
pub(in crate::xds) fn secret(secret: &ir::Secret) -> tls::Secret {
    tls::Secret {
        name: secret.name.as_str().to_owned(),
        r#type: None,
    }
}
