//! One connection of a client: which protocol it speaks, and what its requests
//! share.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_shared::ir::HttpProtocol;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::listen::accept::Phase;
use crate::listen::handshake::Secured;
use crate::listen::http1;
use crate::listen::http1_hyper;
use crate::listen::http2;
use crate::listen::io::ClientIo;
use crate::listen::opening::{self, Opened};
use crate::listen::watch::{Alarm, Watch};
use crate::proxy::tunnel::Tunnel;
use crate::runtime::snapshot::{Front, Listener};
use crate::upstream::proxy_header::Origin;
use crate::worker::{Http1Codec, Worker};

/// What the requests of a connection share.
#[derive(Debug)]
pub(crate) struct Conn {
    /// The worker that carries it.
    pub(crate) worker: Rc<Worker>,
    /// Its listener as it was when the connection was accepted.
    pub(crate) listener: Arc<Front>,
    /// Its listener with routes.
    pub(crate) latest: Latest,
    /// The other end, or whom its load balancer named as such.
    pub(crate) peer: SocketAddr,
    /// Its address as endpoints are told it.
    pub(crate) peer_name: Box<str>,
    /// Where it reached us.
    pub(crate) local: SocketAddr,
    /// What a handshake told; `None` in the clear.
    pub(crate) secured: Option<Secured>,
    /// What it is doing.
    pub(crate) watch: Rc<Watch>,
    /// Set by the request that turns the connection into a tunnel.
    pub(crate) tunnel: RefCell<Option<Tunnel>>,
}

impl Conn {
    /// Its two ends, as endpoints are told of them.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            source: self.peer,
            destination: self.local,
        }
    }

    /// The listener as it is now; as it was, if it is gone.
    pub(crate) fn current_listener(&self) -> Arc<Listener> {
        let name = &self.listener.spec.name;
        self.worker
            .look(|snapshot| self.latest.renewed(snapshot.listeners.get(name)))
    }

    /// How the client reached this proxy.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secured.is_some() {
            "https"
        } else {
            "http"
        }
    }
}

/// A listener as its worker saw it last: what serves the last requests of its
/// connections when it is gone. One for all of them, so that an old connection
/// does not keep the routes of its time alive.
#[derive(Debug, Clone)]
pub(crate) struct Latest(Rc<RefCell<Arc<Listener>>>);

impl Latest {
    /// As it is now.
    pub(crate) fn new(listener: &Arc<Listener>) -> Self {
        Self(Rc::new(RefCell::new(Arc::clone(listener))))
    }

    /// Takes in how it is now, if it is there. Returns the latest.
    pub(super) fn renewed(&self, current: Option<&Arc<Listener>>) -> Arc<Listener> {
        let mut latest = self.0.borrow_mut();
        if let Some(current) = current.filter(|current| !Arc::ptr_eq(current, &latest)) {
            latest.clone_from(current);
        }
        Arc::clone(&latest)
    }
}

/// Where a connection reached us. The system is asked only if the address that
/// its socket was `bound` to leaves that open.
fn local(stream: &TcpStream, bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        stream.local_addr().unwrap_or(bound)
    } else {
        bound
    }
}

/// A connection on which requests may begin.
struct Begun {
    conn: Rc<Conn>,
    io: ClientIo,
    alarm: Alarm,
    phase: watch::Receiver<Phase>,
    http2: bool,
}

/// Serves a connection to its end.
pub(crate) fn serve(
    worker: Rc<Worker>,
    (listener, latest): (Arc<Front>, Latest),
    (stream, peer, bound): (TcpStream, SocketAddr, SocketAddr),
    phase: watch::Receiver<Phase>,
) -> impl Future<Output = ()> {
    let codec = worker.shared.settings.http1_codec;
    let begun = begin(worker, (listener, latest), (stream, peer, bound), phase);
    // What is large or soon over is in boxes: most connections are idle most of
    // the time, and need no room for it.
    let begun = Box::pin(begun);
    async move {
        let Some(begun) = begun.await else {
            return;
        };
        let Begun {
            conn,
            io,
            alarm,
            phase,
            http2,
        } = begun;
        match codec {
            _ if http2 => Box::pin(http2::serve(conn, io, alarm, phase)).await,
            Http1Codec::Own => http1::serve(conn, io, alarm, phase).await,
            Http1Codec::Hyper => Box::pin(http1_hyper::serve(conn, io, alarm, phase)).await,
        }
    }
}

/// Opens a connection and finds out what it speaks; `None` if it is over before.
async fn begin(
    worker: Rc<Worker>,
    (listener, latest): (Arc<Front>, Latest),
    (stream, peer, bound): (TcpStream, SocketAddr, SocketAddr),
    mut phase: watch::Receiver<Phase>,
) -> Option<Begun> {
    let local = local(&stream, bound);
    let counts = listener.counts.of(worker.index);
    let opened = opening::open(&listener, counts, (stream, peer), &phase).await?;
    let Opened {
        transport,
        peer,
        secured,
    } = opened;
    let watch = Rc::new(Watch::new(worker.shared.clock));
    let mut alarm = Alarm::new(&watch, listener.spec.timeouts);
    let mut io = ClientIo::new(transport, Rc::clone(&watch));
    let conn = Rc::new(Conn {
        worker,
        listener,
        latest,
        peer_name: peer.ip().to_canonical().to_string().into(),
        peer,
        local,
        secured,
        watch,
        tunnel: RefCell::new(None),
    });
    // The listener may have begun to end meanwhile, or before.
    conn.watch.enter(*phase.borrow_and_update());
    let http2 = match (conn.listener.spec.protocol, &conn.secured) {
        (HttpProtocol::Http1, _) => false,
        (HttpProtocol::Http2, _) => true,
        // Who agreed on nothing speaks HTTP/1.1.
        (HttpProtocol::Auto, Some(secured)) => secured.http2,
        (HttpProtocol::Auto, None) => {
            let sniffed = tokio::select! {
                sniffed = io.starts_with_preface() => sniffed.ok(),
                _ = poll_fn(|cx| alarm.poll(&conn.watch, cx)) => None,
                _ = phase.wait_for(|phase| *phase == Phase::Cut) => None,
            };
            sniffed?
        }
    };
    Some(Begun {
        conn,
        io,
        alarm,
        phase,
        http2,
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_address_reached_is_known_whatever_the_socket_is_bound_to() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let socket = TcpListener::bind(address).await.unwrap();
            let bound = socket.local_addr().unwrap();
            let reached = SocketAddr::from(([127, 0, 0, 1], bound.port()));
            let _client = TcpStream::connect(reached).await.unwrap();
            let (stream, _) = socket.accept().await.unwrap();
            assert_eq!(local(&stream, bound), reached);
        }
    }
}
