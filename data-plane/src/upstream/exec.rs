//! Tasks of a worker's thread, and what happens when one panics.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;

use crate::worker::{KeepAlive, Worker};

/// Runs a task; a panic ends the task and is counted, and the worker lives on.
/// Guards give back what the task held.
pub(crate) async fn caught(worker: &Worker, task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        worker.counts().panics.fetch_add(1, Ordering::Relaxed);
    }
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
        tokio::task::spawn_local(async move {
            caught(&worker, task.map(drop)).await;
        });
    }
}
