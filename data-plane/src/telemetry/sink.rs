//! Where the records of requests go. A worker hands a record over and goes on:
//! nothing here ever waits, and what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::runtime::snapshot::Front;
use crate::telemetry::counters::Sharded;
use crate::telemetry::record::Record;

/// How many records may wait for the access log; beyond it they are dropped.
pub const LOG_QUEUE: usize = 8_192;

/// How many records may wait to become spans; beyond it they are dropped.
pub const SPAN_QUEUE: usize = 4_096;

/// What one worker counts of its own records.
#[derive(Debug, Default)]
pub struct SinkCounts {
    /// Records that missed the access log.
    pub log_dropped: AtomicU64,
    /// Records that did not become spans.
    pub spans_dropped: AtomicU64,
}

/// Takes records from the workers.
#[derive(Debug)]
pub struct Sink {
    log: Option<SyncSender<Arc<Record>>>,
    spans: Option<SyncSender<Arc<Record>>>,
    /// What each worker counts for itself.
    pub counts: Sharded<SinkCounts>,
}

/// The other ends of a [`Sink`].
#[derive(Debug)]
pub struct Outlets {
    /// Records for the access log.
    pub log: Receiver<Arc<Record>>,
    /// Records that become spans, if traces are exported.
    pub spans: Option<Receiver<Arc<Record>>>,
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

    /// Whether the record of a request of this listener would go anywhere, so
    /// that it need not be made if not.
    pub fn wants(&self, listener: &Front, sampled: bool) -> bool {
        let logged = self.log.is_some() && listener.spec.access_log.is_some();
        logged || (sampled && self.spans.is_some())
    }

    /// Takes a record of `worker`. Never waits.
    pub fn finish(&self, worker: usize, record: Record) {
        let record = Arc::new(record);
        let counts = self.counts.of(worker);
        if let Some(spans) = self.spans.as_ref().filter(|_| record.trace.sampled)
            && spans.try_send(Arc::clone(&record)).is_err()
        {
            counts.spans_dropped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(log) = &self.log
            && log.try_send(record).is_err()
        {
            counts.log_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::sample;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (sink, outlets) = Sink::new(2, 1, Some(1));
        for _ in 0..3 {
            sink.finish(1, sample::record());
        }
        let counts = sink.counts.of(1);
        assert_eq!(counts.log_dropped.load(Ordering::Relaxed), 2);
        assert_eq!(counts.spans_dropped.load(Ordering::Relaxed), 2);
        assert_eq!(outlets.log.try_iter().count(), 1);
        assert_eq!(outlets.spans.unwrap().try_iter().count(), 1);
    }

    #[test]
    fn what_is_not_sampled_makes_no_span() {
        let (sink, outlets) = Sink::new(1, 4, Some(4));
        let mut record = sample::record();
        record.trace.sampled = false;
        sink.finish(0, record);
        assert_eq!(outlets.log.try_iter().count(), 1);
        assert_eq!(outlets.spans.unwrap().try_iter().count(), 0);
    }
}
