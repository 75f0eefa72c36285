//! Lines of the access log that a worker has written and not handed over yet.
//!
//! A line is written where everything it says is at hand: handing the parts over
//! costs more than writing it. Lines are handed over together, because waking
//! the log's thread costs more than a line.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::telemetry::access_log::render;
use crate::telemetry::record::Record;
use crate::telemetry::sink::{Lines, Sink};
use crate::worker::Worker;

/// How long a line waits for others.
const GATHER: Duration = Duration::from_millis(20);

/// So many bytes do not wait.
const FULL: usize = 64 * 1024;

/// Room at first, in bytes.
const ROOM: usize = 4 * 1024;

/// Lines that were not handed over yet, of each listener that has some.
#[derive(Debug, Default)]
pub(super) struct Log {
    open: RefCell<Vec<Lines>>,
    /// Told when the first line has come.
    begun: Notify,
}

impl Log {
    /// Writes the line of a request that began at `begun`.
    pub(super) fn add(
        &self,
        record: &Record,
        begun: jiff::Timestamp,
        (sink, worker): (&Sink, usize),
    ) {
        let mut open = self.open.borrow_mut();
        if open.is_empty() {
            self.begun.notify_one();
        }
        let here = open
            .iter()
            .position(|lines| lines.listener == record.listener);
        let at = here.unwrap_or_else(|| {
            open.push(Lines {
                listener: Arc::clone(&record.listener),
                text: String::with_capacity(ROOM),
                count: 0,
            });
            open.len() - 1
        });
        let Some(lines) = open.get_mut(at) else {
            return;
        };
        render(record, begun, &mut lines.text);
        lines.count += 1;
        if lines.text.len() >= FULL {
            sink.log(worker, open.swap_remove(at));
        }
    }

    /// Hands everything over.
    pub(super) fn hand_over(&self, (sink, worker): (&Sink, usize)) {
        for lines in self.open.take() {
            sink.log(worker, lines);
        }
    }
}

/// Hands lines over when they have waited for others.
pub(super) async fn hand_over_in_time(worker: Rc<Worker>) {
    loop {
        worker.log.begun.notified().await;
        tokio::time::sleep(GATHER).await;
        worker.hand_over_log();
    }
}
