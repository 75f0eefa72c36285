//! The one place where time enters: the runtime's clock.
//!
//! While a connection's task does its turn, time stands still: one look at the
//! system's clock serves all that happens in it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

use tokio::time::Instant;

use crate::tick::Tick;

/// When the first clock of the process began.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

thread_local! {
    /// The time of the turn that this thread is doing.
    static TURN: Cell<Turn> = const { Cell::new(Turn::None) };
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// It is doing none.
    None,
    /// Nobody has asked for the time yet.
    Unasked,
    /// The time that was found when somebody asked first.
    At(Tick),
}

/// A turn of a task: one poll. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct TurnGuard {
    /// It is of this thread.
    _local: PhantomData<*const ()>,
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        TURN.set(Turn::None);
    }
}

/// Begins a turn. It must be short, because its time is that of its beginning.
pub(crate) fn begin_turn() -> TurnGuard {
    TURN.set(Turn::Unasked);
    TurnGuard {
        _local: PhantomData,
    }
}

/// Turns the runtime's clock into [`Tick`]s. All clocks of a process show the
/// same time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock. The first of the process begins at 0.
    pub fn start() -> Self {
        Self {
            origin: *ORIGIN.get_or_init(Instant::now),
        }
    }

    /// Now; within a turn, when it was asked first.
    pub fn now(&self) -> Tick {
        match TURN.get() {
            Turn::At(tick) => tick,
            turn => self.look(turn),
        }
    }

    fn look(&self, turn: Turn) -> Tick {
        let tick = Tick::default().plus(self.origin.elapsed());
        if !matches!(turn, Turn::None) {
            TURN.set(Turn::At(tick));
        }
        tick
    }

    /// The runtime's name for a moment, for its timers.
    pub fn instant(&self, tick: Tick) -> Instant {
        self.origin + tick.since(Tick::default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wait(clock: Clock) {
        let from = Instant::now();
        while from.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        assert!(clock.instant(clock.now()) <= Instant::now());
    }

    #[test]
    fn time_stands_still_within_a_turn_and_only_there() {
        let clock = Clock::start();
        let before = clock.now();
        wait(clock);
        let turn = begin_turn();
        let first = clock.now();
        assert!(first > before);
        wait(clock);
        assert_eq!(clock.now(), first);
        drop(turn);
        assert!(clock.now().since(first) >= Duration::from_millis(1));
    }

    #[test]
    fn all_clocks_show_the_same_time() {
        let (one, other) = (Clock::start(), Clock::start());
        let _turn = begin_turn();
        assert_eq!(one.now(), other.now());
        assert_eq!(one.instant(one.now()), other.instant(one.now()));
    }
}
