//! TLS of listeners and clusters, as new connections find it: settings that are
//! exchanged as a whole when a certificate, a key or an authority changes. A
//! handshake takes what is there when it begins; connections keep what they
//! have.
//!
//! [`plan`] says who needs what, [`secrets`] reads it and keeps it up to date,
//! [`watch`] looks whether files have changed; [`shown`] is what people see of it,
//! [`problems`] what they should.

mod load;
mod place;
pub mod plan;
pub mod problems;
#[cfg(test)]
pub(crate) mod sample;
pub mod secrets;
mod settings;
pub mod shown;
#[cfg(test)]
mod tests;
pub mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

pub(crate) use load::read_file;
pub use place::Place;

/// Settings, or why there are none (yet), in words for people.
pub type Ready<T> = Result<Arc<T>, Arc<str>>;

/// TLS between clients and a listener.
pub struct FrontTls {
    current: ArcSwap<Ready<ServerConfig>>,
    /// How long a handshake may take; `None` is as long as a connection may be
    /// idle.
    pub handshake_timeout: Option<Duration>,
}

impl FrontTls {
    /// Begins with these settings.
    pub fn new(first: Ready<ServerConfig>, handshake_timeout: Option<Duration>) -> Self {
        Self {
            current: ArcSwap::from_pointee(first),
            handshake_timeout,
        }
    }

    /// For the next handshake.
    pub fn settings(&self) -> Ready<ServerConfig> {
        Ready::clone(&self.current.load())
    }

    /// Exchanges the settings.
    pub fn renew(&self, next: Ready<ServerConfig>) {
        self.current.store(Arc::new(next));
    }
}

impl fmt::Debug for FrontTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontTls").finish_non_exhaustive()
    }
}

/// TLS between this proxy and the endpoints of a cluster.
pub struct BackTls {
    current: ArcSwap<Ready<ClientConfig>>,
    /// The name that endpoints are told (SNI); `None` is none.
    pub server_name: Option<ServerName<'static>>,
}

impl BackTls {
    /// Begins with these settings.
    pub fn new(first: Ready<ClientConfig>, server_name: Option<ServerName<'static>>) -> Self {
        Self {
            current: ArcSwap::from_pointee(first),
            server_name,
        }
    }

    /// For the next handshake.
    pub fn settings(&self) -> Ready<ClientConfig> {
        Ready::clone(&self.current.load())
    }

    /// Exchanges the settings.
    pub fn renew(&self, next: Ready<ClientConfig>) {
        self.current.store(Arc::new(next));
    }
}

impl fmt::Debug for BackTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackTls").finish_non_exhaustive()
    }
}
