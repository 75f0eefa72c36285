//! The connections of one worker. An idle HTTP/1.1 connection is taken last in,
//! first out, so that the rest can grow old; HTTP/2 connections are shared.
//!
//! ```text
//!            .-- idle, alive ------------------> use --> idle again, or to who waits
//! acquire ---+-- permit --> connect -----------> use
//!            '-- queue --> another request ends, or a permit comes free
//! ```
//! Permits are for the whole process. So whoever waits asks the other workers to
//! close idle connections, and a worker that gets one back closes it if only
//! others wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use evenkeel_shared::ir;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::outcome::TlsFailure;
use crate::tick::Tick;
use crate::tls::BackTls;
use crate::upstream::cluster::{Cluster, Gauges};
use crate::upstream::connection::Connection;
use crate::upstream::dial::Dial;
use crate::upstream::host::Host;
use crate::upstream::http1::Http1;
use crate::upstream::http2::Http2;
use crate::upstream::permit::{ConnectionPermit, PendingPermit};
use crate::upstream::proxy_header::Origin;
use crate::upstream::wire::Wire;
use crate::worker::Worker;

mod shared;

/// How often a connection goes from request to request of this worker while
/// other workers wait for one.
const MOST_HANDOVERS: u32 = 16;

/// How long a connection that only one client may use is kept at most without a
/// request: the client may be gone.
const PRIVATE_IDLE: Duration = Duration::from_mins(1);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// None came about: refused, unreachable, or too slow.
    Connect,
    /// One came about, but TLS on it did not.
    Tls(TlsFailure),
    /// Too many wait for one, or it took too long.
    Overflow,
}

/// What a request asks of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// Who asks.
    pub(crate) worker: &'a Rc<Worker>,
    /// For which cluster.
    pub(crate) cluster: &'a Cluster,
    /// Whether the request must not meet an endpoint that closes just now.
    pub(crate) careful: bool,
    /// For whom, if endpoints are told so; then nobody else may have the
    /// connection.
    pub(crate) origin: Option<Origin>,
}

/// The connections of one worker to one host, under the same settings of TLS and
/// on behalf of the same client, if endpoints are told.
#[derive(Debug)]
#[expect(clippy::vec_box, reason = "connections move from hand to hand")]
pub(crate) struct HostPool {
    host: Arc<Host>,
    /// TLS settings; gone when no cluster has them any more.
    tls: Option<Weak<BackTls>>,
    /// Whether only one client's requests may use it.
    private: bool,
    gauges: Arc<Gauges>,
    clock: Clock,
    /// As the cluster of the latest request has it.
    settings: Cell<ir::Connection>,
    /// Most connections of the cluster, likewise.
    cluster_limit: Cell<u32>,
    idle: RefCell<Vec<Box<Http1>>>,
    queue: RefCell<VecDeque<oneshot::Sender<Box<Http1>>>>,
    shared: RefCell<Vec<Rc<Http2>>>,
    connecting: Cell<bool>,
    stream_queue: RefCell<VecDeque<oneshot::Sender<Result<(), Refused>>>>,
    handovers: Cell<u32>,
}

impl HostPool {
    /// For the host and all that keeps its connections apart from others.
    pub(super) fn new(host: &Arc<Host>, ask: Ask<'_>) -> Self {
        let cluster = ask.cluster;
        Self {
            host: Arc::clone(host),
            tls: cluster.tls.as_ref().map(Arc::downgrade),
            private: ask.origin.is_some(),
            gauges: Arc::clone(&cluster.gauges),
            clock: ask.worker.shared.clock,
            settings: Cell::new(cluster.spec.connection),
            cluster_limit: Cell::new(cluster.spec.breakers.connections),
            idle: RefCell::default(),
            queue: RefCell::default(),
            shared: RefCell::default(),
            connecting: Cell::new(false),
            stream_queue: RefCell::default(),
            handovers: Cell::new(0),
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// A connection for a request, if there is one that has nothing to do.
    pub(crate) fn take(self: &Rc<Self>, ask: Ask<'_>) -> Option<Connection> {
        self.settings.set(ask.cluster.spec.connection);
        self.cluster_limit
            .set(ask.cluster.spec.breakers.connections);
        match ask.cluster.spec.protocol {
            ir::UpstreamProtocol::Http1 => self.take_idle(ask.careful).map(Connection::Http1),
            ir::UpstreamProtocol::Http2 => self.take_stream().map(Connection::Http2),
        }
    }

    /// Waits for a connection that [`Self::take`] did not find, or makes one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn acquire(self: &Rc<Self>, ask: Ask<'_>) -> Result<Connection, Refused> {
        match ask.cluster.spec.protocol {
            ir::UpstreamProtocol::Http1 => self.whole(ask).await.map(Connection::Http1),
            ir::UpstreamProtocol::Http2 => self.stream(ask).await.map(Connection::Http2),
        }
    }

    async fn whole(&self, ask: Ask<'_>) -> Result<Box<Http1>, Refused> {
        match ConnectionPermit::take(&self.host, ask.cluster) {
            Some(permit) => self.connect_whole(permit, ask).await,
            None => self.wait_whole(ask).await,
        }
    }

    /// The idle connection used last that is still alive.
    fn take_idle(&self, careful: bool) -> Option<Box<Http1>> {
        loop {
            let connection = self.idle.borrow_mut().pop()?;
            if connection.is_usable(careful) {
                return Some(connection);
            }
        }
    }

    async fn connect_whole(
        &self,
        permit: ConnectionPermit,
        ask: Ask<'_>,
    ) -> Result<Box<Http1>, Refused> {
        let wire = connect(&self.host, ask).await?;
        Http1::start(wire, permit, ask.worker)
            .await
            .map_err(|_| Refused::Connect)
    }

    /// Waits for a connection of this worker or a permit of any.
    async fn wait_whole(&self, ask: Ask<'_>) -> Result<Box<Http1>, Refused> {
        let _pending = PendingPermit::take(&self.host, ask.cluster).ok_or(Refused::Overflow)?;
        let deadline = Instant::now() + ask.worker.shared.settings.queue_timeout;
        let (hand_over, mut handed) = oneshot::channel();
        enqueue(&self.queue, hand_over);
        ask.worker.shared.pressure.ask();
        loop {
            let released = ask.cluster.gauges.released.notified();
            tokio::pin!(released);
            // Registered before looking, so that no permit is missed in between.
            released.as_mut().enable();
            if let Some(permit) = ConnectionPermit::take(&self.host, ask.cluster) {
                return self.connect_whole(permit, ask).await;
            }
            tokio::select! {
                biased;
                connection = &mut handed => {
                    let connection = connection.map_err(|_| Refused::Connect)?;
                    if connection.is_usable(ask.careful) {
                        return Ok(connection);
                    }
                    drop(connection);
                    let (hand_over, next) = oneshot::channel();
                    self.queue.borrow_mut().push_front(hand_over);
                    handed = next;
                }
                () = released => {}
                () = tokio::time::sleep_until(deadline) => return Err(Refused::Overflow),
            }
        }
    }

    /// Takes a connection back after a response.
    pub(crate) fn give_back(self: &Rc<Self>, connection: Box<Http1>) {
        if connection.is_closed() {
            return;
        }
        if connection.is_ready() {
            self.put(connection);
            return;
        }
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if let Some(connection) = connection.settle().await {
                pool.put(connection);
            }
        });
    }

    fn put(&self, mut connection: Box<Http1>) {
        let most = self.settings.get().max_requests;
        let spent = most.is_some_and(|most| connection.used >= most);
        if spent || self.is_retired() || self.others_turn() {
            return;
        }
        while let Some(next) = self.queue.borrow_mut().pop_front() {
            match next.send(connection) {
                Ok(()) => {
                    self.handovers.set(self.handovers.get() + 1);
                    return;
                }
                // It has stopped waiting.
                Err(back) => connection = back,
            }
        }
        connection.idle_since = self.now();
        self.idle.borrow_mut().push(connection);
    }

    /// Whether a connection should be closed for a request of another worker.
    fn others_turn(&self) -> bool {
        let waiting = self.host.shared.waiting.load(Ordering::Acquire);
        let own = self.waiting_here();
        let turn = waiting > own && (own == 0 || self.handovers.get() >= MOST_HANDOVERS);
        if turn || waiting == 0 {
            self.handovers.set(0);
        }
        turn
    }

    fn waiting_here(&self) -> u32 {
        let waits = self.queue.borrow();
        let open = waits.iter().filter(|waiter| !waiter.is_closed()).count();
        u32::try_from(open).unwrap_or(u32::MAX)
    }

    /// Whether nobody will ask for its connections again: its host has left, or
    /// its settings of TLS have.
    fn is_retired(&self) -> bool {
        let left = self.host.shared.retired.load(Ordering::Acquire);
        left || self.tls.as_ref().is_some_and(|tls| tls.strong_count() == 0)
    }

    /// Whether there are no connections.
    pub(super) fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_empty()
    }

    /// Closes what is idle for too long, or of no use any more.
    pub(super) fn sweep(&self, now: Tick) {
        let retired = self.is_retired();
        let settings = self.settings.get();
        let most = settings.max_requests;
        let limit = if self.private {
            let limit = settings.idle_timeout.unwrap_or(PRIVATE_IDLE);
            Some(limit.min(PRIVATE_IDLE))
        } else {
            settings.idle_timeout
        };
        let too_old = |since: Tick| limit.is_some_and(|limit| now.since(since) >= limit);
        self.idle.borrow_mut().retain(|connection| {
            !retired && !connection.is_closed() && !too_old(connection.idle_since)
        });
        self.shared.borrow_mut().retain(|connection| {
            let idle = connection.idle_since();
            !connection.is_closed()
                && !connection.is_spent(most)
                && idle.is_none_or(|since| !retired && !too_old(since))
        });
    }

    /// Closes as many idle connections as other requests wait: for this host,
    /// or for any host of a cluster that has all the connections it may have.
    pub(super) fn give_up(&self) {
        // What is free already need not be given up; so pools of one host do not
        // all close the same number.
        let short = |waiting: &AtomicU32, open: &AtomicU32, most: u32| {
            let free = most.saturating_sub(open.load(Ordering::Acquire));
            waiting.load(Ordering::Acquire).saturating_sub(free)
        };
        let (host, all) = (&self.host.shared, &self.gauges);
        let most = self.settings.get().max.unwrap_or(u32::MAX);
        let for_host = short(&host.waiting, &host.connections, most);
        let for_cluster = short(&all.pending, &all.connections, self.cluster_limit.get());
        let wanted = for_host
            .max(for_cluster)
            .saturating_sub(self.waiting_here());
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut idle = self.idle.borrow_mut();
        let count = wanted.min(idle.len());
        // The oldest: the others are more likely to be used again.
        idle.drain(..count);
    }
}

/// Puts a request at the end of a queue, and takes those away at its beginning
/// that have stopped waiting, so that it cannot grow while nothing is served.
fn enqueue<T>(queue: &RefCell<VecDeque<oneshot::Sender<T>>>, last: oneshot::Sender<T>) {
    let mut queue = queue.borrow_mut();
    while queue.front().is_some_and(oneshot::Sender::is_closed) {
        queue.pop_front();
    }
    queue.push_back(last);
}

async fn connect(host: &Host, ask: Ask<'_>) -> Result<Wire, Refused> {
    let wire = Dial::new(host, ask).connect().await;
    count_connect(host, ask.worker.index, wire.is_ok());
    wire
}

fn count_connect(host: &Host, worker: usize, connected: bool) {
    let counts = host.counts.of(worker);
    let number = if connected {
        &counts.connects
    } else {
        &counts.connect_failures
    };
    number.fetch_add(1, Ordering::Relaxed);
}
