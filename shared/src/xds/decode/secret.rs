//! `Secret`.

use super::findings::{Findings, set};
use crate::ir;
use crate::xds::wire::tls;

/// Reads a secret.
pub(in crate::xds) fn secret(from: tls::Secret, found: &mut Findings) -> Option<ir::Secret> {
    let tls::Secret { name, r#type } = from;
    found.unsupported_if([("name", set(&name)), ("type", r#type.is_some())]);
    None
}
