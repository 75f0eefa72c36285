//! Timers that requests of one worker use one after another.
//!
//! Nearly all requests are answered long before their time is over. So a timer is
//! not moved for each of them: it is taken over as the request before has left
//! it, rings too early at worst, and is moved then.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;

use crate::tick::Tick;
use crate::worker::Worker;

/// Most timers that are kept.
const MOST: usize = 256;

/// Free timers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Timers(RefCell<Vec<Armed>>);

/// A timer of the runtime, and when it rings.
#[derive(Debug)]
struct Armed {
    at: Tick,
    sleep: Pin<Box<Sleep>>,
}

/// A timer that is taken when it is first needed, and given back when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Timer {
    worker: Rc<Worker>,
    armed: Option<Armed>,
}

impl Timer {
    /// One of a worker.
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Self {
            worker,
            armed: None,
        }
    }

    /// Whether it has rung, be it too early. If not, it wakes the task when it
    /// rings.
    pub(crate) fn has_rung(&mut self, cx: &mut Context<'_>) -> bool {
        let armed = self.armed.as_mut();
        armed.is_some_and(|armed| armed.sleep.as_mut().poll(cx).is_ready())
    }

    /// Ready when it is `at`, which may be another moment at each call.
    pub(crate) fn poll(&mut self, at: Tick, cx: &mut Context<'_>) -> Poll<()> {
        let worker = &*self.worker;
        let clock = worker.shared.clock;
        let armed = self.armed.get_or_insert_with(|| {
            let kept = worker.timers.0.borrow_mut().pop();
            kept.unwrap_or_else(|| Armed {
                at,
                sleep: Box::pin(tokio::time::sleep_until(clock.instant(at))),
            })
        });
        if at < armed.at {
            armed.set(at, worker);
        }
        loop {
            ready!(armed.sleep.as_mut().poll(cx));
            if at <= clock.now() {
                return Poll::Ready(());
            }
            armed.set(at, worker);
        }
    }
}

impl Armed {
    fn set(&mut self, at: Tick, worker: &Worker) {
        self.at = at;
        self.sleep.as_mut().reset(worker.shared.clock.instant(at));
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut kept = self.worker.timers.0.borrow_mut();
        if let Some(armed) = self.armed.take()
            && kept.len() < MOST
        {
            kept.push(armed);
        }
    }
}
