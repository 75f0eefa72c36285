//! Who is at the other end of a connection, as far as the transport knows.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use evenkeel_shared::tls::Identity;
use tokio_util::sync::CancellationToken;
use tonic::Request;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// Its certificate, if it showed one; verified then.
    pub identity: Option<Arc<Identity>>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A connection, as every request on it carries it in its extensions.
#[derive(Debug, Clone)]
pub struct Link {
    /// The other end.
    pub peer: Peer,
    /// Cuts the connection off at once, with everything that it buffers.
    pub hangup: CancellationToken,
}

/// Whose share of the streams a stream takes: an address alone, or with the name
/// in the certificate that was shown from there. A certificate may be shared by
/// a group of proxies, each of which has its own address.
pub type Share = (IpAddr, Option<String>);

impl Link {
    /// The connection of a request; `None` if it did not come through a port, so
    /// that nothing may be taken for granted.
    pub fn of<T>(request: &Request<T>) -> Option<&Self> {
        request.extensions().get::<Self>()
    }
}

impl Peer {
    /// Who sent a request; `None` if its connection did not come through a
    /// port, so that nothing may be taken for granted.
    pub fn of<T>(request: &Request<T>) -> Option<Self> {
        Link::of(request).map(|link| link.peer.clone())
    }

    /// The name in its certificate; empty without one.
    pub fn label(&self) -> &str {
        self.identity.as_deref().map_or("", Identity::label)
    }

    /// What tells it from others: the name in its certificate, else its IP
    /// address.
    pub fn owner(&self) -> String {
        match &self.identity {
            Some(identity) => identity.label().to_owned(),
            None => self.address.ip().to_string(),
        }
    }

    /// Whose share it takes; `None` on this machine without a certificate, where
    /// all share one address.
    pub fn share(&self) -> Option<Share> {
        let name = self.identity.as_deref().map(Identity::label);
        if name.is_none() && self.address.ip().is_loopback() {
            return None;
        }
        Some((network(self.address.ip()), name.map(str::to_owned)))
    }
}

/// What one party is likely to have of addresses: one of IPv4, or 64 bits of
/// IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
