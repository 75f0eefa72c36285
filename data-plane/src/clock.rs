//! The one place where time enters: tokio's clock, so that paused time governs
//! tests.

use tokio::time::Instant;

use crate::tick::Tick;

/// Turns the runtime's clock into [`Tick`]s.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Now.
    pub fn now(&self) -> Tick {
        Tick::default().plus(self.origin.elapsed())
    }

    /// The runtime's name for a moment, for its timers.
    pub fn instant(&self, tick: Tick) -> Instant {
        self.origin + tick.since(Tick::default())
    }
}
