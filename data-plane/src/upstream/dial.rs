//! How a connection to an endpoint comes about: the socket, what the PROXY
//! protocol says on it, and TLS, all within the cluster's time to connect.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::upstream::handshake::{Handshake, Tally};
use crate::upstream::host::Host;
use crate::upstream::pool::{Ask, Refused};
use crate::upstream::proxy_header;
use crate::upstream::wire::Wire;

/// A connection to be made.
#[derive(Debug)]
pub(crate) struct Dial {
    address: SocketAddr,
    deadline: Instant,
    /// What is sent first, in the clear.
    header: Option<Vec<u8>>,
    handshake: Option<Handshake>,
}

impl Dial {
    /// To a host, as its cluster has it for a request.
    pub(crate) fn new(host: &Host, ask: Ask<'_>) -> Self {
        let spec = &ask.cluster.spec;
        let header = spec.proxy_protocol.zip(ask.origin);
        let handshake = ask.cluster.tls.as_ref().map(|tls| Handshake {
            tls: Arc::clone(tls),
            protocol: spec.protocol,
            tally: Tally {
                counts: Arc::clone(&ask.cluster.counts),
                worker: ask.worker.index,
            },
        });
        Self {
            address: host.address,
            deadline: Instant::now() + spec.connection.connect_timeout,
            header: header.map(|(version, origin)| proxy_header::header(version, origin)),
            handshake,
        }
    }

    /// Until when it must be made.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Makes it.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn connect(self) -> Result<Wire, Refused> {
        let deadline = self.deadline;
        let opening = open(self.address, self.header.as_deref());
        let Ok(Ok(stream)) = timeout_at(deadline, opening).await else {
            return Err(Refused::Connect);
        };
        match self.handshake {
            None => Ok(Wire::plain(stream)),
            Some(handshake) => {
                let shaken = handshake.shake(stream, self.address, deadline).await;
                shaken.map(Wire::secured).map_err(Refused::Tls)
            }
        }
    }
}

async fn open(address: SocketAddr, header: Option<&[u8]>) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    if let Some(header) = header {
        stream.write_all(header).await?;
    }
    Ok(stream)
}
