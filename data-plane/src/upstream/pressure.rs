//! How a request that waits for a connection makes other workers give up idle
//! ones.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Asks all workers at once.
#[derive(Debug, Default)]
pub(crate) struct Pressure(Notify);

impl Pressure {
    /// Asks all workers to look at what they could give up.
    pub(crate) fn ask(&self) {
        self.0.notify_waiters();
    }

    /// The next time that somebody asks.
    pub(crate) fn next(&self) -> Notified<'_> {
        self.0.notified()
    }
}
