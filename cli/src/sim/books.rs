//! What is written down while a scenario runs.

use std::time::Duration;

use evenkeel_data_plane::tick::Tick;

/// What is counted over time is counted in steps of this.
pub(super) const WINDOW: Duration = Duration::from_millis(250);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was answered well.
    Answered,
    /// It was answered with an error.
    Failed,
    /// The client waited no longer.
    TimedOut,
}

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// When it came.
    pub(super) arrived: Tick,
    /// How long it took, in microseconds.
    pub(super) micros: u32,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What is written down.
#[derive(Debug)]
pub(super) struct Books {
    endpoints: usize,
    /// Requests that came.
    pub(super) begun: u64,
    /// Requests that have ended, in the order in which they did.
    pub(super) entries: Vec<Entry>,
    /// Attempts that came to each endpoint, in each window.
    pub(super) windows: Vec<Vec<u32>>,
    /// Ejections, and of which endpoint if it was none of a proxy.
    pub(super) ejections: Vec<(Tick, Option<usize>)>,
    /// Hosts that were brought back.
    pub(super) returned: u64,
}

impl Books {
    /// Empty, for so many endpoints.
    pub(super) fn new(endpoints: usize) -> Self {
        Self {
            endpoints,
            begun: 0,
            entries: Vec::new(),
            windows: Vec::new(),
            ejections: Vec::new(),
            returned: 0,
        }
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, arrived: Tick, took: Duration, fate: Fate) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.entries.push(Entry {
            arrived,
            micros,
            fate,
        });
    }

    /// An attempt comes to an endpoint.
    pub(super) fn reached(&mut self, now: Tick, endpoint: usize) {
        let window = window(now);
        while self.windows.len() <= window {
            self.windows.push(vec![0; self.endpoints]);
        }
        let counts = self.windows.get_mut(window);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(endpoint)) {
            *count += 1;
        }
    }

    /// A host was ejected.
    pub(super) fn ejected(&mut self, now: Tick, endpoint: Option<usize>) {
        self.ejections.push((now, endpoint));
    }
}

/// The window of a moment.
pub(super) fn window(at: Tick) -> usize {
    let windows = at.since(Tick(0)).as_nanos() / WINDOW.as_nanos();
    usize::try_from(windows).unwrap_or(usize::MAX)
}
