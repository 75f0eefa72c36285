//! Tasks of a worker's thread, and what happens when one panics.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use pin_project_lite::pin_project;

use crate::clock;
use crate::worker::{KeepAlive, Worker};

pin_project! {
    /// A task that has turns, and whose panic is its own.
    struct Caught<F> {
        worker: Rc<Worker>,
        #[pin]
        task: F,
    }
}

impl<F: Future<Output = ()>> Future for Caught<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let _turn = clock::begin_turn();
        let task = this.task;
        let polled = panic::catch_unwind(AssertUnwindSafe(|| task.poll(cx)));
        polled.unwrap_or_else(|_| {
            this.worker.counts().panics.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(())
        })
    }
}

/// Runs a task of a connection; a panic ends the task and is counted, and the
/// worker lives on. Guards give back what the task held.
pub(crate) fn caught(
    worker: Rc<Worker>,
    task: impl Future<Output = ()>,
) -> impl Future<Output = ()> {
    Caught { worker, task }
}

/// Runs the tasks of an HTTP/2 connection on the worker's own thread.
#[derive(Debug, Clone)]
pub(crate) struct LocalExec {
    worker: Rc<Worker>,
}

impl LocalExec {
    /// For the tasks of a worker's connections.
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Self { worker }
    }

    /// How the process looks after its HTTP/2 connections.
    pub(crate) fn keep_alive(&self) -> KeepAlive {
        self.worker.shared.settings.keep_alive
    }
}

impl<F> hyper::rt::Executor<F> for LocalExec
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        let worker = Rc::clone(&self.worker);
        tokio::task::spawn_local(caught(worker, task.map(drop)));
    }
}
