//! The one place where the benchmark asks for the time, and waits.

use std::time::{Duration, Instant};

use anyhow::Context;

/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where time enters; the benchmark measures real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits; the benchmark has no worker that this could block.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark lets processes run for a while, and has nothing else to do"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until `check` succeeds, and returns what it gave.
///
/// # Errors
/// The last error, with `what` was waited for, if it never succeeds within `patience`.
pub(crate) fn eventually<T>(
    what: &str,
    patience: Duration,
    mut check: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let began = now();
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() >= patience => {
                return Err(error)
                    .with_context(|| format!("{what}: not within {} s", patience.as_secs()));
            }
            Err(_) => pause(LOOK_EVERY),
        }
    }
}
