//! Ends the service without losing a request.
//!
//! ```text
//! not ready -> wait delay -> accept what is queued, close sockets
//!           -> "Connection: close" and GOAWAY -> requests finish -> cut the rest
//! ```
//! Closing a listening socket resets what is queued on it, hence the delay and
//! the last round of accepting.

use std::ops::AddAssign;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::worker::Command;

/// What became of the connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were open when the drain began.
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
    delay: Duration,
    timeout: Duration,
) -> DrainReport {
    tokio::time::sleep(delay).await;
    let mut answers = Vec::with_capacity(workers.len());
    for worker in &workers {
        let (report, answer) = oneshot::channel();
        if worker
            .send(Command::Drain { timeout, report })
            .await
            .is_ok()
        {
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
