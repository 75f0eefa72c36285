//! Looks whether files of certificates and keys have changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::secrets::Secrets;

/// How often. New connections have a new certificate within four times as long.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// The task that looks.
#[derive(Debug)]
pub struct Watch {
    /// What is to be kept up to date.
    pub secrets: Arc<Secrets>,
    /// Ends the task.
    pub shutdown: CancellationToken,
}

impl Watch {
    /// Looks until the shutdown. Disks may be slow, so each look has a thread of
    /// its own to wait on.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(POLL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.shutdown.cancelled() => return,
            }
            let secrets = Arc::clone(&self.secrets);
            if tokio::task::spawn_blocking(move || secrets.poll())
                .await
                .is_err()
            {
                error!("reading certificates has died; those in use stay");
            }
        }
    }
}
