//! What comes before HTTP on a connection: the header of the PROXY protocol from
//! load balancers that are known to send it, then TLS.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_shared::ir::Timeouts;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::listen::accept::Phase;
use crate::listen::handshake::{self, Secured};
use crate::listen::proxy_protocol::{self, LONGEST};
use crate::listen::transport::Transport;
use crate::listen::watch::DRAIN_GRACE;
use crate::runtime::snapshot::{Front, ListenerCounts};

/// Bytes looked at at once.
const PIECE: usize = 256;

/// A connection on which HTTP may begin.
pub(super) struct Opened {
    /// What carries it.
    pub(super) transport: Transport,
    /// Whose it is: the other end, or whom a load balancer named.
    pub(super) peer: SocketAddr,
    /// What a handshake told; `None` in the clear.
    pub(super) secured: Option<Secured>,
}

/// Opens a connection; `None` if it is over before HTTP. What the listener does
/// not ask for costs nothing.
pub(super) async fn open(
    listener: &Front,
    counts: &ListenerCounts,
    (stream, peer): (TcpStream, SocketAddr),
    phase: &watch::Receiver<Phase>,
) -> Option<Opened> {
    let announced = is_announced(listener, peer);
    if !announced && listener.tls.is_none() {
        return Some(Opened {
            transport: Transport::Plain(stream),
            peer,
            secured: None,
        });
    }
    // In a box, so that other connections need no room for it.
    let phase = phase.clone();
    Box::pin(async move {
        tokio::select! {
            opened = begin(listener, counts, (stream, peer), announced) => opened,
            () = over(phase) => None,
        }
    })
    .await
}

/// Whether the other end sends a header. Nobody else's is even looked at.
fn is_announced(listener: &Front, peer: SocketAddr) -> bool {
    let address = peer.ip().to_canonical();
    let networks = &listener.spec.proxy_protocol_from;
    networks.iter().any(|network| network.contains(&address))
}

/// Ready when the listener has no more time for connections that are not open
/// yet: as long as it gives to the first request of others.
async fn over(mut phase: watch::Receiver<Phase>) {
    // Without a sender everything is over.
    if phase
        .wait_for(|phase| *phase >= Phase::Draining)
        .await
        .is_ok()
    {
        tokio::select! {
            () = tokio::time::sleep(DRAIN_GRACE) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
        }
    }
}

async fn begin(
    listener: &Front,
    counts: &ListenerCounts,
    (mut stream, mut peer): (TcpStream, SocketAddr),
    announced: bool,
) -> Option<Opened> {
    if announced {
        let Timeouts { header, idle, .. } = listener.spec.timeouts;
        let limit = header.or(idle);
        let said = within(limit, read_header(&mut stream)).await;
        let Some(Ok(source)) = said else {
            let probe = matches!(said, Some(Err(Unreadable::Nothing)));
            if !probe {
                counts
                    .proxy_protocol_failures
                    .fetch_add(1, Ordering::Relaxed);
                tracing::debug!(listener = %listener.spec.name, %peer, "no PROXY protocol header");
            }
            return None;
        };
        peer = source.unwrap_or(peer);
    }
    let Some(tls) = &listener.tls else {
        return Some(Opened {
            transport: Transport::Plain(stream),
            peer,
            secured: None,
        });
    };
    // Who vanishes meanwhile must not hold a connection for ever.
    let limit = tls.handshake_timeout.or(listener.spec.timeouts.idle);
    let (stream, secured) = handshake::shake(tls, stream, (limit, &counts.handshakes)).await?;
    Some(Opened {
        transport: Transport::Tls(stream),
        peer,
        secured: Some(secured),
    })
}

/// The output, if it comes in time; without a limit in any case.
pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// Why there is no header.
enum Unreadable {
    /// The connection ended without a byte: somebody looked whether the port is
    /// open.
    Nothing,
    /// It broke off or is malformed.
    Bad,
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Self {
        Self::Bad
    }
}

/// Whom the header names. Reads it and not a byte more, because what follows is
/// for TLS: what is there is looked at first, and then only its part is taken.
async fn read_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Unreadable> {
    let mut read: Vec<u8> = Vec::new();
    let mut piece = [0; PIECE];
    loop {
        let seen = stream.peek(&mut piece).await?;
        if seen == 0 {
            return Err(if read.is_empty() {
                Unreadable::Nothing
            } else {
                Unreadable::Bad
            });
        }
        let before = read.len();
        read.extend_from_slice(&piece[..seen]);
        let parsed = proxy_protocol::parse(&read).map_err(|_| Unreadable::Bad)?;
        let taken = parsed.map_or(seen, |header| header.length - before);
        stream.read_exact(&mut piece[..taken]).await?;
        if let Some(header) = parsed {
            return Ok(header.source);
        }
        debug_assert!(read.len() < LONGEST);
    }
}
