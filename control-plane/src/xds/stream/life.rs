//! How long a stream lives, and waiting for it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// About how long a stream lives, so that replicas share the load again.
pub(super) const MAX_AGE: Duration = Duration::from_mins(30);

/// Waits until the stream has to end, whatever the client does.
pub(super) async fn over(shutdown: CancellationToken) -> Status {
    let expiry = Instant::now() + max_age();
    let aged = shutdown.run_until_cancelled(sleep_until(expiry)).await;
    aged.map_or_else(shutting_down, |()| Status::unavailable("the stream is old"))
}

/// How a stream ends with the process.
pub(super) fn shutting_down() -> Status {
    Status::unavailable("the control plane is shutting down")
}

/// Waits for a time, or for ever.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Thirty minutes, a tenth more or less, so that the streams opened by one
/// failover do not end together.
fn max_age() -> Duration {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    MAX_AGE * 9 / 10 + MAX_AGE / 5 * u32::try_from(random % 1000).unwrap_or(0) / 1000
}
