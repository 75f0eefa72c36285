//! The threads that carry requests. Each has a runtime, listening sockets,
//! connection pools and counters of its own, so that a request never crosses a
//! thread and never waits for a lock. What workers share hangs off
//! [`WorkerShared`].
//!
//! ```text
//! control thread --Command--> worker 0: accept -> connection -> proxy::handle
//!                --Command--> worker 1: accept -> connection -> proxy::handle
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
#[cfg(test)]
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use evenkeel_shared::names::ListenerName;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::drain::{self, DrainReport, DrainTimes};
use crate::health::Trigger;
use crate::listen::socket::Bound;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::counters::Sharded;
use crate::telemetry::record::Record;
use crate::telemetry::sink::Sink;
use crate::tick::Tick;
use crate::upstream::pools::Pools;
use crate::upstream::pressure::Pressure;

pub(crate) mod buffers;
mod entropy;
mod log;
mod run;
pub(crate) mod timers;

use buffers::Buffers;
use entropy::Entropy;
use log::Log;
pub(crate) use run::Command;
use timers::Timers;

/// Commands that may wait for a worker. They come at the pace of
/// configuration; a worker that leaves so many unread is stuck, and the sender
/// is told.
const COMMAND_QUEUE: usize = 1_024;

/// Settings of the process that workers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a request may wait for a connection.
    pub queue_timeout: Duration,
    /// Bytes of a request's body kept for another attempt.
    pub replay_bytes: usize,
    /// Of HTTP/2 connections to endpoints.
    pub keep_alive: KeepAlive,
    /// Who speaks HTTP/1.1.
    pub http1_codec: Http1Codec,
    /// How listeners are brought to their end.
    pub drain: DrainTimes,
}

/// Who speaks HTTP/1.1, with clients and endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Http1Codec {
    /// This proxy's own codec.
    #[default]
    Own,
    /// The hyper library.
    Hyper,
}

/// How it is noticed that a connection with open streams is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Time between two `PING`s.
    pub interval: Duration,
    /// Time for the answer to one.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_timeout: Duration::from_secs(1),
            replay_bytes: 64 * 1024,
            keep_alive: KeepAlive {
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(10),
            },
            http1_codec: Http1Codec::default(),
            drain: DrainTimes::default(),
        }
    }
}

/// What one worker counts of itself.
#[derive(Debug, Default)]
pub struct WorkerCounts {
    /// Times that a connection could not be accepted, for example because there
    /// were no file descriptors.
    pub accept_errors: AtomicU64,
    /// Panics that ended a connection or a request.
    pub panics: AtomicU64,
    /// Connections turned into tunnels.
    pub upgrades: AtomicU64,
    /// Tunnels open now; a worker adds and takes away only its own.
    pub tunnels_open: AtomicU64,
    /// Responses that broke off after their head had gone to the client.
    pub broken_responses: AtomicU64,
    /// Detector triggers lost because the control thread's queue was full.
    pub triggers_dropped: AtomicU64,
}

/// What all workers share.
#[derive(Debug)]
pub struct WorkerShared {
    /// The configuration in force.
    pub config: Arc<ArcSwap<Snapshot>>,
    /// Time.
    pub clock: Clock,
    /// Tells the control thread of failing hosts.
    pub triggers: mpsc::Sender<Trigger>,
    /// Takes the records of requests.
    pub sink: Arc<Sink>,
    /// Settings of the process.
    pub settings: Settings,
    /// What each worker counts of itself.
    pub counts: Arc<Sharded<WorkerCounts>>,
    /// Asks all workers to give up connections that others wait for.
    pub(crate) pressure: Pressure,
}

impl WorkerShared {
    /// For `workers` workers, with default [`Settings`].
    pub fn new(
        workers: usize,
        config: Arc<ArcSwap<Snapshot>>,
        clock: Clock,
        triggers: mpsc::Sender<Trigger>,
        sink: Arc<Sink>,
    ) -> Self {
        Self {
            config,
            clock,
            triggers,
            sink,
            settings: Settings::default(),
            counts: Arc::new(Sharded::new(workers)),
            pressure: Pressure::default(),
        }
    }
}

/// One worker, as seen from its own thread.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Which one; the shard of every counter it adds to.
    pub(crate) index: usize,
    /// What it shares with the others.
    pub(crate) shared: Arc<WorkerShared>,
    /// Its connections to endpoints.
    pub(crate) pools: Pools,
    /// Its memory.
    pub(crate) buffers: Buffers,
    /// Its timers.
    pub(crate) timers: Timers,
    log: Log,
    snapshot: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    entropy: RefCell<Entropy>,
}

impl Worker {
    fn new(index: usize, shared: Arc<WorkerShared>, entropy: Entropy) -> Self {
        Self {
            index,
            pools: Pools::default(),
            buffers: Buffers::default(),
            timers: Timers::default(),
            log: Log::default(),
            snapshot: RefCell::new(Cache::new(Arc::clone(&shared.config))),
            entropy: RefCell::new(entropy),
            shared,
        }
    }

    /// One without a thread of its own.
    #[cfg(test)]
    pub(crate) fn alone(shared: &Arc<WorkerShared>) -> Rc<Self> {
        Rc::new(Self::new(
            0,
            Arc::clone(shared),
            Entropy::from_system().unwrap(),
        ))
    }

    /// The configuration in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.snapshot.borrow_mut().load())
    }

    /// What `look` finds in the configuration in force. It must not look at it
    /// again by itself.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(self.snapshot.borrow_mut().load())
    }

    /// Now.
    pub(crate) fn now(&self) -> Tick {
        self.shared.clock.now()
    }

    /// A random number.
    pub(crate) fn entropy(&self) -> u64 {
        self.entropy.borrow_mut().next_u64()
    }

    /// A random number of twice the size.
    pub(crate) fn wide_entropy(&self) -> u128 {
        (u128::from(self.entropy()) << 64) | u128::from(self.entropy())
    }

    /// Tells the access log of a request.
    pub(crate) fn log(&self, record: &Record) {
        let age = self.now().since(record.started);
        let age = jiff::SignedDuration::try_from(age).unwrap_or_default();
        let begun = jiff::Timestamp::now().checked_sub(age).unwrap_or_default();
        self.log.add(record, begun, (&self.shared.sink, self.index));
    }

    fn hand_over_log(&self) {
        self.log.hand_over((&self.shared.sink, self.index));
    }

    /// Its own counters.
    pub(crate) fn counts(&self) -> &WorkerCounts {
        self.shared.counts.of(self.index)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.hand_over_log();
    }
}

/// The handle of all workers, for the control thread. Dropping it stops them
/// without a drain.
#[derive(Debug)]
pub struct Workers {
    commands: Vec<mpsc::Sender<Command>>,
    threads: Vec<JoinHandle<()>>,
    /// Listeners and what they are bound to. A lock, because the admin port
    /// reads it while configuration is applied; no worker ever takes it.
    serving: Mutex<BTreeMap<ListenerName, SocketAddr>>,
}

impl Workers {
    /// Starts `count` threads, and at least one.
    ///
    /// # Errors
    /// If the system has no thread, no entropy or no event queue to give.
    pub fn start(count: usize, shared: &Arc<WorkerShared>) -> io::Result<Self> {
        let mut workers = Self {
            commands: Vec::new(),
            threads: Vec::new(),
            serving: Mutex::default(),
        };
        for index in 0..count.max(1) {
            let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
            let entropy = Entropy::from_system()?;
            let shared = Arc::clone(shared);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || run::run(&runtime, Worker::new(index, shared, entropy), inbox))?;
            workers.commands.push(commands);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Binds a socket for every worker without listening yet. The configuration
    /// that asks for it can still be refused.
    ///
    /// # Errors
    /// What the system says, for example that the address is in use.
    pub fn bind(&self, name: &ListenerName, address: SocketAddr) -> io::Result<Bound> {
        Bound::bind(name, address, self.commands.len())
    }

    /// Listens and accepts. A listener of the same name is drained.
    ///
    /// # Errors
    /// What the system says, or that a worker is stuck.
    pub fn serve(&self, bound: Bound) -> io::Result<()> {
        let (name, address) = (bound.name.clone(), bound.address);
        let sockets = bound.listen()?;
        let mut serving = self.serving.lock();
        for (commands, socket) in self.commands.iter().zip(sockets) {
            let name = name.clone();
            send(commands, Command::Listen { name, socket })?;
        }
        serving.insert(name, address);
        Ok(())
    }

    /// Drains a listener: its sockets are closed when nobody waits on them, and
    /// its connections when their clients have been told.
    ///
    /// # Errors
    /// That a worker is stuck.
    pub fn unbind(&self, name: &ListenerName) -> io::Result<()> {
        let mut serving = self.serving.lock();
        for commands in &self.commands {
            send(commands, Command::Unlisten { name: name.clone() })?;
        }
        serving.remove(name);
        Ok(())
    }

    /// Drains all listeners: they accept on for the delay, and then end.
    ///
    /// # Errors
    /// That a worker is stuck.
    pub fn leave(&self) -> io::Result<()> {
        let mut serving = self.serving.lock();
        for commands in &self.commands {
            send(commands, Command::Leave)?;
        }
        serving.clear();
        Ok(())
    }

    /// Listeners and what they are bound to.
    pub fn addresses(&self) -> BTreeMap<ListenerName, SocketAddr> {
        self.serving.lock().clone()
    }

    /// Ends the service without losing a request, in the time of the settings:
    /// lets load balancers in front notice that readiness was taken back and
    /// clients that their connections end, lets requests finish, cuts what is
    /// left, and ends the threads.
    pub async fn drain(self) -> DrainReport {
        drain::all(self.commands, self.threads).await
    }
}

fn send(commands: &mpsc::Sender<Command>, command: Command) -> io::Result<()> {
    commands
        .try_send(command)
        .map_err(|error| io::Error::new(io::ErrorKind::WouldBlock, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::upstream::exec::caught;

    #[tokio::test]
    async fn a_panic_ends_its_task_and_is_counted() {
        let config = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let (triggers, _) = mpsc::channel(1);
        let sink = Arc::new(Sink::closed());
        let shared = WorkerShared::new(1, config, Clock::start(), triggers, sink);
        let worker = Worker::alone(&Arc::new(shared));
        caught(Rc::clone(&worker), async { panic!("on purpose") }).await;
        assert_eq!(worker.counts().panics.load(Ordering::Relaxed), 1);
        assert_ne!(worker.entropy(), worker.entropy());
    }
}
