//! Work that takes long, beside the tasks that must not wait for it.

use tracing::error;

use super::rejected::Rejected;

/// Runs work that takes long on a thread of its own, so that streams go on.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Rejected> {
    tokio::task::spawn_blocking(work).await.map_err(|failure| {
        error!(%failure, "a change could not be processed");
        Rejected::Defect
    })
}
