//! Ends streams on which nothing happens any more: a client that opens no window
//! for its answer holds the answer, and the endpoint's connection, for ever.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::tick::Tick;
use crate::upstream::exec::LocalExec;
use crate::worker::Worker;

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
                worker: Rc::clone(&self.worker),
                idle,
                woken: Tick::default(),
                alarm: None,
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
    alarm: Option<Pin<Box<Sleep>>>,
    stream: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Attended<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (clock, now) = (this.worker.shared.clock, this.worker.now());
        let rang = match &mut this.alarm {
            Some(alarm) => alarm.as_mut().poll(cx).is_ready(),
            None => false,
        };
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
        let at = clock.instant(this.woken.plus(this.idle));
        match &mut this.alarm {
            None => this.alarm = Some(Box::pin(tokio::time::sleep_until(at))),
            Some(alarm) if rang => alarm.as_mut().reset(at),
            // Rings too early, and is then set anew.
            Some(_) => return Poll::Pending,
        }
        if let Some(alarm) = &mut this.alarm
            && alarm.as_mut().poll(cx).is_ready()
        {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
