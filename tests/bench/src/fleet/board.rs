//! Where the simulated proxies note how far they are.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use tokio::sync::Notify;

use crate::clock;

/// When a revision was accepted by whom.
#[derive(Debug, Clone, Copy)]
struct Acceptance {
    revision: u64,
    proxies: usize,
    first: Instant,
    last: Instant,
}

/// The board; all proxies live on one thread.
#[derive(Debug, Default)]
pub(super) struct Board {
    ready: Cell<usize>,
    newest: RefCell<Option<Acceptance>>,
    changed: Notify,
    lost: RefCell<Option<String>>,
}

impl Board {
    /// Notes that a proxy has everything.
    pub(super) fn ready(&self) {
        self.ready.set(self.ready.get() + 1);
        self.changed.notify_one();
    }

    /// Notes that a proxy accepts a revision.
    pub(super) fn accepted(&self, revision: u64) {
        let now = clock::now();
        let mut newest = self.newest.borrow_mut();
        match newest.as_mut() {
            Some(known) if known.revision == revision => {
                known.proxies += 1;
                known.last = now;
            }
            Some(known) if known.revision > revision => {}
            _ => {
                *newest = Some(Acceptance {
                    revision,
                    proxies: 1,
                    first: now,
                    last: now,
                });
            }
        }
        self.changed.notify_one();
    }

    /// Notes that a proxy has lost its stream.
    pub(super) fn lost(&self, why: String) {
        *self.lost.borrow_mut() = Some(why);
        self.changed.notify_one();
    }

    /// Waits until so many proxies have everything.
    ///
    /// # Errors
    /// One has lost its stream.
    pub(super) async fn all_ready(&self, proxies: usize) -> anyhow::Result<()> {
        while self.ready.get() < proxies {
            self.check()?;
            self.changed.notified().await;
        }
        self.check()
    }

    /// Waits until so many proxies have accepted a revision; when the first and
    /// the last of them did.
    ///
    /// # Errors
    /// One has lost its stream.
    pub(super) async fn all_accepted(
        &self,
        revision: u64,
        proxies: usize,
    ) -> anyhow::Result<(Instant, Instant)> {
        loop {
            self.check()?;
            let newest = *self.newest.borrow();
            if let Some(known) = newest
                && known.revision == revision
                && known.proxies >= proxies
            {
                return Ok((known.first, known.last));
            }
            self.changed.notified().await;
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        match &*self.lost.borrow() {
            None => Ok(()),
            Some(why) => Err(anyhow::anyhow!("a proxy has lost its stream: {why}")),
        }
    }
}
