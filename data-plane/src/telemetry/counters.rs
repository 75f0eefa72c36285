//! Counters that workers do not share: each adds to its own, and the reader
//! sums.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets.
pub const LATENCY_BOUNDS: [Duration; 14] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Number of latency buckets: one for each bound, and one above.
pub const LATENCY_BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// The bucket of a time.
pub fn latency_bucket(time: Duration) -> usize {
    LATENCY_BOUNDS.partition_point(|bound| *bound < time)
}

/// Adds one to a number of which only this thread is the writer: nobody else's
/// count can be lost, so no memory has to be locked.
pub(crate) fn add_one(number: &AtomicU64) {
    add(number, 1);
}

/// The same for more than one.
pub(crate) fn add(number: &AtomicU64, more: u64) {
    let before = number.load(Ordering::Relaxed);
    number.store(before.wrapping_add(more), Ordering::Relaxed);
}

/// Keeps its content off its neighbours' cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// One `T` for each worker.
#[derive(Debug)]
pub struct Sharded<T> {
    shards: Box<[Padded<T>]>,
}

impl<T: Default> Sharded<T> {
    /// One for each of `workers`, and at least one.
    pub fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers.max(1)).map(|_| Padded::default()).collect(),
        }
    }
}

impl<T> Sharded<T> {
    /// The one of a worker; an unknown worker shares with another.
    pub fn of(&self, worker: usize) -> &T {
        // Nearly always there; a division costs more than the rest of a count.
        let known = self.shards.get(worker);
        &known
            .unwrap_or_else(|| &self.shards[worker % self.shards.len()])
            .0
    }

    /// All of them, for the reader.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().map(|shard| &shard.0)
    }

    /// The sum of a number over all of them.
    pub fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(number).sum()
    }
}
