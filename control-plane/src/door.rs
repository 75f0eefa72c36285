//! The way into both gRPC ports: it accepts connections, shakes hands with TLS,
//! and bounds how many there are.
//!
//! Each port has its own bounds, so that a flood of one does not close the
//! other. A connection from this machine has no share of its own: there all
//! share one address.

mod conn;
mod keys;
mod pace;
mod quota;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::tls::{Identity, refusal};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use self::conn::Bytes;
pub use self::conn::Conn;
pub use self::keys::{Handshake, Keys};
pub use self::pace::Pace;
pub use self::quota::{Full, Place, Quota};
use crate::admin::metrics::Metrics;
use crate::peer::{Link, Peer, network};

/// How many connections a port serves: one for each of 10,000 proxies.
const CONNECTIONS: usize = 10_000;

/// How many of them from one address (IPv4) or network (IPv6, 64 bits).
const CONNECTIONS_EACH: usize = 256;

/// How many connections a port shakes hands with at once.
const HANDSHAKES: usize = 1_000;

/// How many of them from one address or network.
const HANDSHAKES_EACH: usize = 64;

/// How long a client has for its side of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long nothing is accepted after that failed, which it does for want of
/// file descriptors: the connection waits in the kernel meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// The place of a connection.
type Seat = Place<IpAddr>;

/// A port.
#[derive(Debug)]
pub struct Door {
    /// Its name, for logs and metrics.
    pub port: &'static str,
    /// How it shakes hands; without, nothing is encrypted.
    pub handshake: Option<Handshake>,
    /// How fast each connection is read.
    pub pace: Pace,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Ends it.
    pub shutdown: CancellationToken,
    /// Owns its tasks.
    pub tasks: TaskTracker,
}

/// What the handshakes of a port work with.
#[derive(Debug)]
struct Porch {
    door: Door,
    connections: Arc<Quota<IpAddr>>,
    handshakes: Arc<Quota<IpAddr>>,
    inside: mpsc::Sender<io::Result<Conn>>,
}

impl Door {
    /// Opens the port: connections come out of the stream as they are let in.
    pub fn open(self, listener: TcpListener) -> ReceiverStream<io::Result<Conn>> {
        let (inside, conns) = mpsc::channel(64);
        let tasks = self.tasks.clone();
        let porch = Porch {
            door: self,
            connections: Quota::new(CONNECTIONS, CONNECTIONS_EACH),
            handshakes: Quota::new(HANDSHAKES, HANDSHAKES_EACH),
            inside,
        };
        tasks.spawn(async move {
            let porch = Arc::new(porch);
            let shutdown = porch.door.shutdown.clone();
            shutdown.run_until_cancelled(porch.accept(&listener)).await;
        });
        ReceiverStream::new(conns)
    }
}

impl Porch {
    /// Accepts for ever.
    async fn accept(self: Arc<Self>, listener: &TcpListener) {
        let (port, security) = (self.door.port, &self.door.metrics.security);
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    if let Err((reason, full)) = self.admit(stream, address).await {
                        security.note_refused(port, reason, full);
                        debug!(port, %address, reason, "connection refused");
                    }
                }
                Err(error) => {
                    warn!(port, %error, "a connection cannot be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Finds a place for a connection.
    async fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<(), (&'static str, Full)> {
        let party = (!address.ip().to_canonical().is_loopback()).then(|| network(address.ip()));
        let seat = self.connections.take(party);
        let seat = seat.map_err(|full| ("connections", full))?;
        // Only the delay of small messages is at stake.
        let _ = stream.set_nodelay(true);
        let Some(config) = self.door.handshake.as_ref() else {
            self.enter(Bytes::Plain(stream), address, None, seat).await;
            return Ok(());
        };
        let config = Arc::clone(&config.borrow());
        let place = self.handshakes.take(party);
        let place = place.map_err(|full| ("handshakes", full))?;
        let porch = Arc::clone(self);
        let shutdown = self.door.shutdown.clone();
        self.door.tasks.spawn(async move {
            let shaken = shutdown.run_until_cancelled(shake(stream, config)).await;
            drop(place);
            match shaken {
                Some(Ok((stream, identity))) => {
                    let bytes = Bytes::Tls(Box::new(stream));
                    porch.enter(bytes, address, identity, seat).await;
                }
                Some(Err(reason)) => {
                    let port = porch.door.port;
                    porch.door.metrics.security.note_handshake(port, reason);
                    debug!(port, %address, reason, "TLS handshake failed");
                }
                None => {}
            }
        });
        Ok(())
    }

    async fn enter(
        &self,
        bytes: Bytes,
        address: SocketAddr,
        identity: Option<Arc<Identity>>,
        seat: Seat,
    ) {
        let peer = Peer {
            address,
            identity,
            tls: matches!(bytes, Bytes::Tls(_)),
        };
        let link = Link {
            peer,
            hangup: CancellationToken::new(),
        };
        let open = self.door.metrics.security.open_connections(self.door.port);
        // Nobody takes it in any more if the server is gone.
        let _ = self
            .inside
            .send(Ok(Conn::new(bytes, link, self.door.pace, open, seat)))
            .await;
    }
}

/// Shakes hands; the stream with the client's certificate, or the reason why
/// not, as one word.
async fn shake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<(TlsStream<TcpStream>, Option<Arc<Identity>>), &'static str> {
    let shaken = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
    let stream = shaken.map_err(|_| "timeout")?.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        inner.map_or("broken_off", refusal)
    })?;
    let (_, session) = stream.get_ref();
    // Whoever offers protocols and not this one was refused; whoever offers none
    // shows by its first bytes what it speaks.
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let identity = certificate.map(Identity::read).transpose();
    let identity = identity.map_err(|_| "bad_certificate")?.map(Arc::new);
    Ok((stream, identity))
}
