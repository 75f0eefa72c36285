//! TLS without sockets: certificates and keys from PEM, what names they carry,
//! whom to trust, and the settings of both sides of a handshake.
//!
//! There is one provider of cryptography (aws-lc-rs), given to every setting by
//! hand, so that nothing depends on what a process installed. Renegotiation,
//! TLS 1.1 and what is older do not exist here; early data (0-RTT) is off.

mod certificate;
mod client;
mod fault;
mod names;
mod server;
mod trust;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;

use crate::ir::TlsVersion;

pub use certificate::{Identity, Pair};
pub use client::{ClientSettings, ServerRules};
pub use fault::{TlsFault, refusal};
pub use names::NameRules;
pub use server::{ClientRules, ServerSettings};
pub use trust::Trust;

/// ALPN of HTTP/2.
pub const ALPN_HTTP2: &[u8] = b"h2";
/// ALPN of HTTP/1.1.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Only 1.3.
static TLS13_ONLY: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// The versions from `lowest` on.
fn versions(lowest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match lowest {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        TlsVersion::Tls13 => &TLS13_ONLY,
    }
}
