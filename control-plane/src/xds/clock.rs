//! The time of a control plane: nanoseconds since it started, and what the
//! wall said then. The only place where time enters.

use tokio::time::Instant;

/// One clock for everything in a process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall: jiff::Timestamp,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            wall: jiff::Timestamp::now(),
        }
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant of a time, for timers.
    pub fn instant(&self, nanos: u64) -> Instant {
        self.origin + std::time::Duration::from_nanos(nanos)
    }

    /// The wall time of a time.
    pub fn wall(&self, nanos: u64) -> prost_types::Timestamp {
        let later = jiff::SignedDuration::try_from(std::time::Duration::from_nanos(nanos));
        let time = later.ok().and_then(|d| self.wall.checked_add(d).ok());
        let time = time.unwrap_or(self.wall);
        prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        }
    }

    /// The wall time now.
    pub fn wall_now(&self) -> prost_types::Timestamp {
        self.wall(self.now())
    }
}
