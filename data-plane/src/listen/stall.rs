//! Ends streams on which nothing happens any more: a client that opens no window
//! for its answer holds the answer, and the endpoint's connection, for ever.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::tick::Tick;
use crate::upstream::exec::LocalExec;
use crate::worker::Worker;
use crate::worker::timers::Timer;

/// Runs the streams of a connection, each until nothing has woken it for too
/// long.
#[derive(Debug, Clone)]
pub(super) struct StreamExec {
    worker: Rc<Worker>,
    tasks: LocalExec,
    idle: Option<Duration>,
}

impl StreamExec {
    /// For streams that may be idle this long.
    pub(super) fn new(worker: Rc<Worker>, idle: Option<Duration>) -> Self {
        Self {
            tasks: LocalExec::new(Rc::clone(&worker)),
            worker,
            idle,
        }
    }
}

impl<F> hyper::rt::Executor<F> for StreamExec
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, stream: F) {
        match self.idle {
            None => self.tasks.execute(stream),
            Some(idle) => self.tasks.execute(Attended {
                idle,
                woken: Tick::default(),
                alarm: Timer::new(Rc::clone(&self.worker)),
                worker: Rc::clone(&self.worker),
                stream: Box::pin(stream),
            }),
        }
    }
}

/// A stream and when it was woken last. Dropping it resets the stream.
struct Attended<F> {
    worker: Rc<Worker>,
    idle: Duration,
    woken: Tick,
    alarm: Timer,
    stream: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Attended<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let now = this.worker.now();
        let rang = this.alarm.has_rung(cx);
        if rang && this.woken.plus(this.idle) <= now {
            return Poll::Ready(());
        }
        // The alarm is not the stream's own doing.
        if !rang {
            this.woken = now;
        }
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if this.alarm.poll(this.woken.plus(this.idle), cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
