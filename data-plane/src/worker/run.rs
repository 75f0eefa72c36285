//! What happens on a worker's thread.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_shared::names::ListenerName;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::drain::{DrainReport, DrainTimes};
use crate::listen::accept::{Farewell, Listening};
use crate::worker::{Worker, log};

/// How often idle connections to endpoints are looked at.
const TICK: Duration = Duration::from_millis(500);

/// What the control thread asks of a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on a socket.
    Listen {
        /// Which listener.
        name: ListenerName,
        /// Its socket, listening.
        socket: std::net::TcpListener,
    },
    /// Drain a listener.
    Unlisten {
        /// Which one.
        name: ListenerName,
    },
    /// Drain all listeners, and go on.
    Leave,
    /// Drain everything and end.
    Drain {
        /// Is told what became of the connections.
        report: oneshot::Sender<DrainReport>,
    },
}

/// Runs a worker until it is told to end, or its handle is dropped.
pub(super) fn run(
    runtime: &tokio::runtime::Runtime,
    worker: Worker,
    inbox: mpsc::Receiver<Command>,
) {
    let tasks = LocalSet::new();
    tasks.block_on(runtime, serve(Rc::new(worker), inbox));
}

/// Obeys commands. Connections run beside it, as tasks of the same thread.
async fn serve(worker: Rc<Worker>, mut inbox: mpsc::Receiver<Command>) {
    let upkeep = tokio::task::spawn_local(keep_up(Rc::clone(&worker)));
    let relief = tokio::task::spawn_local(relieve(Rc::clone(&worker)));
    let logging = tokio::task::spawn_local(log::hand_over_in_time(Rc::clone(&worker)));
    let times = worker.shared.settings.drain;
    let mut listening: HashMap<ListenerName, Listening> = HashMap::new();
    let mut leaving: Vec<Listening> = Vec::new();
    while let Some(command) = inbox.recv().await {
        leaving.retain(Listening::is_open);
        match command {
            Command::Listen { name, socket } => {
                match Listening::start(Rc::clone(&worker), name.clone(), socket) {
                    Ok(started) => {
                        if let Some(old) = listening.insert(name, started) {
                            old.leave(Farewell::of_one(&times));
                            leaving.push(old);
                        }
                    }
                    Err(error) => tracing::error!(listener = %name, %error, "cannot accept"),
                }
            }
            Command::Unlisten { name } => {
                if let Some(old) = listening.remove(&name) {
                    old.leave(Farewell::of_one(&times));
                    leaving.push(old);
                }
            }
            Command::Leave => {
                for (_, old) in listening.drain() {
                    old.leave(Farewell::of_all(&times));
                    leaving.push(old);
                }
            }
            Command::Drain { report } => {
                leaving.extend(listening.into_values());
                // Nobody may be left to hear it.
                let _ = report.send(drain(leaving, &times).await);
                break;
            }
        }
    }
    upkeep.abort();
    relief.abort();
    logging.abort();
}

/// Brings all listeners to their end.
async fn drain(listening: Vec<Listening>, times: &DrainTimes) -> DrainReport {
    let deadline = Instant::now() + times.delay + times.timeout;
    for listener in &listening {
        listener.leave(Farewell::of_all(times));
    }
    let mut report = DrainReport::default();
    for listener in listening {
        report += listener.finish(deadline).await;
    }
    report
}

/// Closes connections to endpoints that have been idle for too long or whose
/// endpoint has left.
async fn keep_up(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Lets go of a snapshot that nothing else uses any more.
        drop(worker.snapshot());
        worker.pools.sweep(worker.now());
    }
}

/// Gives up idle connections that requests of other workers wait for.
async fn relieve(worker: Rc<Worker>) {
    loop {
        let asked = worker.shared.pressure.next();
        tokio::pin!(asked);
        // Registered before looking, so that no request is missed in between.
        asked.as_mut().enable();
        worker.pools.give_up();
        asked.await;
    }
}
