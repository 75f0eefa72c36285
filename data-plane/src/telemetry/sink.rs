//! Where what is told of requests goes. A worker hands it over and goes on:
//! nothing here ever waits, and what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::runtime::snapshot::Front;
use crate::telemetry::counters::Sharded;
use crate::telemetry::record::Record;

/// How many batches of lines may wait to be written; beyond it they are dropped.
pub const LOG_QUEUE: usize = 512;

/// How many records may wait to become spans; beyond it they are dropped.
pub const SPAN_QUEUE: usize = 4_096;

/// Lines of the access log of one listener.
#[derive(Debug)]
pub struct Lines {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The lines, each with its end.
    pub text: String,
    /// How many there are.
    pub count: u64,
}

/// What one worker counts of its own requests.
#[derive(Debug, Default)]
pub struct SinkCounts {
    /// Lines that missed the access log.
    pub log_dropped: AtomicU64,
    /// Records that did not become spans.
    pub spans_dropped: AtomicU64,
}

/// Takes lines and records from the workers.
#[derive(Debug)]
pub struct Sink {
    log: Option<SyncSender<Lines>>,
    spans: Option<SyncSender<Record>>,
    /// What each worker counts for itself.
    pub counts: Sharded<SinkCounts>,
}

/// The other ends of a [`Sink`].
#[derive(Debug)]
pub struct Outlets {
    /// Lines for the access log.
    pub log: Receiver<Lines>,
    /// Records that become spans, if traces are exported.
    pub spans: Option<Receiver<Record>>,
}

impl Sink {
    /// A sink for `workers`, with queues of the given lengths; without
    /// `span_queue` no traces are exported.
    pub fn new(workers: usize, log_queue: usize, span_queue: Option<usize>) -> (Self, Outlets) {
        let (log, log_outlet) = sync_channel(log_queue);
        let (spans, spans_outlet) = span_queue.map(sync_channel).unzip();
        let sink = Self {
            log: Some(log),
            spans,
            counts: Sharded::new(workers),
        };
        let outlets = Outlets {
            log: log_outlet,
            spans: spans_outlet,
        };
        (sink, outlets)
    }

    /// A sink that wants nothing.
    pub fn closed() -> Self {
        Self {
            log: None,
            spans: None,
            counts: Sharded::new(1),
        }
    }

    /// Whether requests of this listener are logged.
    pub fn logs(&self, listener: &Front) -> bool {
        self.log.is_some() && listener.spec.access_log.is_some()
    }

    /// Whether the record of a request of this listener would go anywhere, so
    /// that it need not be made if not.
    pub fn wants(&self, listener: &Front, sampled: bool) -> bool {
        self.logs(listener) || (sampled && self.spans.is_some())
    }

    /// Takes lines of `worker`. Never waits.
    pub fn log(&self, worker: usize, lines: Lines) {
        let count = lines.count;
        if let Some(log) = &self.log
            && log.try_send(lines).is_err()
        {
            let counts = self.counts.of(worker);
            counts.log_dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Takes the record of a request of `worker`, if it is traced. Never waits.
    pub fn trace(&self, worker: usize, record: Record) {
        if let Some(spans) = self.spans.as_ref().filter(|_| record.trace.sampled)
            && spans.try_send(record).is_err()
        {
            let counts = self.counts.of(worker);
            counts.spans_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::sample;

    fn lines(count: u64) -> Lines {
        Lines {
            listener: "edge".into(),
            text: "{}\n".repeat(usize::try_from(count).unwrap()),
            count,
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (sink, outlets) = Sink::new(2, 1, Some(1));
        for _ in 0..3 {
            sink.log(1, lines(10));
            sink.trace(1, sample::record());
        }
        let counts = sink.counts.of(1);
        assert_eq!(counts.log_dropped.load(Ordering::Relaxed), 20);
        assert_eq!(counts.spans_dropped.load(Ordering::Relaxed), 2);
        assert_eq!(outlets.log.try_iter().count(), 1);
        assert_eq!(outlets.spans.unwrap().try_iter().count(), 1);
    }

    #[test]
    fn what_is_not_sampled_makes_no_span() {
        let (sink, outlets) = Sink::new(1, 4, Some(4));
        let mut record = sample::record();
        record.trace.sampled = false;
        sink.trace(0, record);
        assert_eq!(outlets.spans.unwrap().try_iter().count(), 0);
    }
}
