//! Ends the service without losing a request.
//!
//! ```text
//! not ready, "Connection: close" and GOAWAY -> wait delay
//!     -> accept what is queued, close sockets and idle connections
//!     -> requests finish -> cut the rest
//! ```
//! Connections are not closed at the beginning, because a request may be on its
//! way to meet the close: their clients are told with the next answer, and have
//! the delay to ask for it. Closing a listening socket resets what is queued on
//! it, hence the last round of accepting.

use std::ops::AddAssign;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::worker::Command;

/// How long the steps of a drain take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainTimes {
    /// How long listeners accept on, and connections may stay idle, once they
    /// are told to end.
    pub delay: Duration,
    /// How long requests may take from then on. A listener that goes from the
    /// configuration alone lets its connections be idle for so long.
    pub timeout: Duration,
}

impl Default for DrainTimes {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(30),
        }
    }
}

/// What became of the connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were open when the sockets were closed.
    pub connections: u64,
    /// Those that had to be cut.
    pub cut: u64,
}

impl AddAssign for DrainReport {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.cut += other.cut;
    }
}

/// Drains all workers at once and ends their threads.
pub(crate) async fn all(
    workers: Vec<mpsc::Sender<Command>>,
    threads: Vec<JoinHandle<()>>,
) -> DrainReport {
    let mut answers = Vec::with_capacity(workers.len());
    for worker in &workers {
        let (report, answer) = oneshot::channel();
        if worker.send(Command::Drain { report }).await.is_ok() {
            answers.push(answer);
        }
    }
    let mut total = DrainReport::default();
    for answer in answers {
        total += answer.await.unwrap_or_default();
    }
    drop(workers);
    // Joining blocks, though not for long any more.
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            // A worker that panicked has already been reported as such.
            let _ = thread.join();
        }
    });
    let _ = joined.await;
    total
}
