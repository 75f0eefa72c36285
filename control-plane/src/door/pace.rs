//! How fast a connection is read. HTTP/2 has frames that cost a client next to
//! nothing (pings, resets) and cannot be counted from outside; so bytes are.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How fast the connections of a port are read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// At once.
    pub burst: u32,
    /// In each second after that.
    pub rate: u32,
}

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Throttle {
    pace: Pace,
    /// When all that was read would have been read at the rate.
    due: Instant,
    pause: Option<Pin<Box<Sleep>>>,
    /// What was read since others had their turn.
    turn: usize,
}

/// How much is read of a connection before others have their turn, in bytes:
/// what can be thousands of frames, all of them answered without a pause.
const TURN: usize = 64 << 10;

impl Throttle {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            due: Instant::now(),
            pause: None,
            turn: 0,
        }
    }

    /// Ready when the connection may be read again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Notes what was read.
    pub(super) fn note(&mut self, bytes: usize) {
        self.turn += bytes;
        let rate = self.pace.rate.max(1);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let now = Instant::now();
        let takes = |bytes: u32| Duration::from_secs(u64::from(bytes)) / rate;
        self.due = self.due.max(now) + takes(bytes);
        let ahead = takes(self.pace.burst);
        if self.due > now + ahead {
            self.pause = Some(Box::pin(sleep_until(self.due - ahead)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_goes_beyond_the_burst_is_read_at_the_rate() {
        let mut throttle = Throttle::new(Pace {
            burst: 1000,
            rate: 100,
        });
        let began = Instant::now();
        for _ in 0..20 {
            poll_fn(|cx| throttle.poll(cx)).await;
            throttle.note(100);
        }
        poll_fn(|cx| throttle.poll(cx)).await;
        let took = began.elapsed().as_secs_f64();
        assert!((9.9..10.1).contains(&took), "{took}");
    }
}
