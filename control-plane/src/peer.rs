//! Who is at the other end of a connection, as far as the transport knows.

use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_shared::tls::Identity;
use tonic::Request;
use tonic::transport::server::TcpConnectInfo;

/// The other end of a connection. Every request carries it in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// Its certificate, if it showed one; verified then.
    pub identity: Option<Arc<Identity>>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl Peer {
    /// Who sent a request; `None` if its connection did not come through a
    /// listener, so that nothing may be taken for granted.
    pub fn of<T>(request: &Request<T>) -> Option<Self> {
        let extensions = request.extensions();
        if let Some(peer) = extensions.get::<Self>() {
            return Some(peer.clone());
        }
        let address = extensions.get::<TcpConnectInfo>()?.remote_addr()?;
        Some(Self {
            address,
            identity: None,
            tls: false,
        })
    }
}
