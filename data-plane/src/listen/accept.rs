//! Takes connections from a socket, for one worker.

use std::cell::OnceCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_shared::names::ListenerName;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::drain::{DrainReport, DrainTimes};
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
    /// It accepts, and tells the clients of all connections that they end:
    /// `Connection: close` with the next answer, `GOAWAY` at once.
    Leaving,
    /// It tells them, and accepts no more.
    Closed,
    /// It lets requests finish, and closes connections that have none.
    Draining,
    /// What is left is cut.
    Cut,
}

/// How a listener is brought to its end. A client whose requests are never
/// further apart than `tell` loses none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Farewell {
    /// Time in which it still accepts.
    pub(crate) accept: Duration,
    /// Time, from the beginning as well, in which connections may stay idle.
    pub(crate) tell: Duration,
}

impl Farewell {
    /// Of a proxy that ends.
    pub(crate) fn of_all(times: &DrainTimes) -> Self {
        Self {
            accept: times.delay,
            tell: times.delay,
        }
    }

    /// Of a listener that is gone from the configuration. Its address is free
    /// at once, because another may want it.
    pub(crate) fn of_one(times: &DrainTimes) -> Self {
        Self {
            accept: Duration::ZERO,
            tell: times.timeout,
        }
    }

    /// Goes through the phases.
    async fn say(self, phase: watch::Sender<Phase>) {
        let told = self.tell.saturating_sub(self.accept);
        for (next, time) in [(Phase::Leaving, self.accept), (Phase::Closed, told)] {
            go_on(&phase, next);
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
        }
        // What clients have sent by now is to be seen first.
        tokio::task::yield_now().await;
        go_on(&phase, Phase::Draining);
    }
}

/// Goes on to a phase, never back.
fn go_on(phase: &watch::Sender<Phase>, next: Phase) {
    phase.send_if_modified(|now| {
        let later = *now < next;
        *now = next.max(*now);
        later
    });
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
        let latest = OnceCell::new();
        if let Some(listener) = worker.snapshot().listeners.get(&name) {
            let _ = latest.set(Latest::new(listener));
        }
        let acceptor = Acceptor {
            worker,
            name,
            bound,
            phase: watched,
            connections: connections.clone(),
            latest,
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

    /// Begins its end. What an earlier call has begun goes on, and the earlier of
    /// the two counts.
    pub(crate) fn leave(&self, farewell: Farewell) {
        self.connections.close();
        tokio::task::spawn_local(farewell.say(self.phase.clone()));
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
        go_on(&self.phase, Phase::Cut);
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
                    if changed.is_err() || *self.phase.borrow() >= Phase::Closed {
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
        let current = snapshot.listeners.get(&self.name);
        if let Some(listener) = current {
            self.latest.get_or_init(|| Latest::new(listener));
        }
        let Some(latest) = self.latest.get() else {
            // It was never there.
            return;
        };
        // What is queued when it goes from the configuration is served as well.
        let listener = latest.renewed(current);
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
        let open = OpenConnection::new(Arc::clone(front), self.worker.index);
        let served = connection::serve(
            Rc::clone(&self.worker),
            (Arc::clone(front), latest.clone()),
            (stream, peer, self.bound),
            self.phase.clone(),
        );
        let served = caught(Rc::clone(&self.worker), served);
        self.connections.spawn_local(served.map(|()| drop(open)));
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
