//! Takes connections from a socket, for one worker.

use std::cell::OnceCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_shared::names::ListenerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::drain::DrainReport;
use crate::listen::connection::{self, Latest};
use crate::runtime::snapshot::Front;
use crate::upstream::exec::caught;
use crate::worker::Worker;

/// Pause after the system could not hand a connection over, so that a lack of
/// file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long cut connections have to end.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// Where a listener is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It accepts.
    Serving,
    /// It lets requests finish.
    Draining,
    /// What is left is cut.
    Cut,
}

/// A listener of one worker.
#[derive(Debug)]
pub(crate) struct Listening {
    phase: watch::Sender<Phase>,
    acceptor: JoinHandle<()>,
    connections: TaskTracker,
}

impl Listening {
    /// Accepts in a task of its own.
    pub(crate) fn start(
        worker: Rc<Worker>,
        name: ListenerName,
        socket: std::net::TcpListener,
    ) -> io::Result<Self> {
        let socket = TcpListener::from_std(socket)?;
        let bound = socket.local_addr()?;
        let (phase, watched) = watch::channel(Phase::Serving);
        let connections = TaskTracker::new();
        let acceptor = Acceptor {
            worker,
            name,
            bound,
            phase: watched,
            connections: connections.clone(),
            latest: OnceCell::new(),
        };
        Ok(Self {
            phase,
            acceptor: tokio::task::spawn_local(acceptor.run(socket)),
            connections,
        })
    }

    /// Whether it accepts or has connections.
    pub(crate) fn is_open(&self) -> bool {
        !self.acceptor.is_finished() || !self.connections.is_empty()
    }

    /// Goes on to a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
        self.connections.close();
    }

    /// Waits for the connections to end, cuts what is left at the deadline.
    pub(crate) async fn finish(mut self, deadline: Instant) -> DrainReport {
        // It takes in what is queued before it ends.
        let _ = (&mut self.acceptor).await;
        let connections = self.open();
        let finished = tokio::time::timeout_at(deadline, self.connections.wait()).await;
        if finished.is_ok() {
            return DrainReport {
                connections,
                cut: 0,
            };
        }
        let cut = self.open();
        self.enter(Phase::Cut);
        // What does not even end now dies with the worker.
        let _ = tokio::time::timeout(CUT_GRACE, self.connections.wait()).await;
        DrainReport { connections, cut }
    }

    fn open(&self) -> u64 {
        u64::try_from(self.connections.len()).unwrap_or(u64::MAX)
    }
}

/// Takes connections from a socket.
struct Acceptor {
    worker: Rc<Worker>,
    name: ListenerName,
    /// What the socket is bound to.
    bound: SocketAddr,
    phase: watch::Receiver<Phase>,
    connections: TaskTracker,
    latest: OnceCell<Latest>,
}

impl Acceptor {
    async fn run(mut self, socket: TcpListener) {
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(error) => self.pause(&error).await,
                },
                // The sender goes away with the worker.
                changed = self.phase.changed() => {
                    if changed.is_err() || *self.phase.borrow() >= Phase::Draining {
                        break;
                    }
                }
            }
        }
        self.accept_queued(socket);
    }

    /// Closing the socket would reset what is queued on it. The system is asked
    /// itself: the event queue may not have told of the latest yet.
    fn accept_queued(&self, socket: TcpListener) {
        let Ok(socket) = socket.into_std() else {
            return;
        };
        while let Ok((stream, peer)) = socket.accept() {
            let ready = stream.set_nonblocking(true);
            if let Ok(stream) = ready.and_then(|()| TcpStream::from_std(stream)) {
                self.admit(stream, peer);
            }
        }
    }

    async fn pause(&self, error: &io::Error) {
        // A client that went away while it was queued is no reason to wait.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        let errors = &self.worker.counts().accept_errors;
        errors.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(listener = %self.name, %error, "cannot accept");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    /// Serves a connection, or closes it at once if there are too many.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let snapshot = self.worker.snapshot();
        let Some(listener) = snapshot.listeners.get(&self.name) else {
            // Drained, and already gone from the configuration.
            return;
        };
        let front = &listener.front;
        let counts = front.counts.of(self.worker.index);
        let open = front
            .counts
            .sum(|of| of.connections_open.load(Ordering::Relaxed));
        if open >= u64::from(front.spec.limits.connections) {
            counts.connections_refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let latest = self.latest.get_or_init(|| Latest::new(listener));
        let guard = OpenConnection::new(Arc::clone(front), self.worker.index);
        let served = connection::serve(
            Rc::clone(&self.worker),
            (Arc::clone(front), latest.clone()),
            (stream, peer, self.bound),
            self.phase.clone(),
        );
        let worker = Rc::clone(&self.worker);
        self.connections.spawn_local(async move {
            caught(&worker, served).await;
            drop(guard);
        });
    }
}

/// Counts a connection as open for as long as it lives.
struct OpenConnection {
    listener: Arc<Front>,
    worker: usize,
}

impl OpenConnection {
    fn new(listener: Arc<Front>, worker: usize) -> Self {
        let counts = listener.counts.of(worker);
        counts.connections_open.fetch_add(1, Ordering::Relaxed);
        Self { listener, worker }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let counts = self.listener.counts.of(self.worker);
        counts.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}
