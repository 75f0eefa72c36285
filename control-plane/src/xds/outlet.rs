//! The way of responses from the task of a stream to its reader. There is one
//! place: the task renders the next response when that is free.
//!
//! The writer knows whether the reader takes anything: HTTP/2 asks for the next
//! response only when the client has made room for the last one, which it may
//! never do while it keeps the connection alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// How long a reader may leave a response untaken.
pub(super) const SLOW: Duration = Duration::from_secs(30);

/// The writing end.
#[derive(Debug)]
pub(super) struct Outlet<M> {
    sender: mpsc::Sender<M>,
    taken: Arc<AtomicU64>,
    sent: u64,
    /// How many were taken when that was last looked at.
    seen: u64,
    /// Since when none was.
    since: Option<Instant>,
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Inlet<M> {
    receiver: mpsc::Receiver<M>,
    taken: Arc<AtomicU64>,
    pending: bool,
}

/// Whether a response can be given to the reader.
pub(super) enum Room {
    Free,
    Full,
    /// Nobody reads any more.
    Gone,
}

/// Both ends.
pub(super) fn outlet<M>() -> (Outlet<M>, Inlet<M>) {
    let (sender, receiver) = mpsc::channel(1);
    let taken = Arc::new(AtomicU64::new(0));
    let outlet = Outlet {
        sender,
        taken: Arc::clone(&taken),
        sent: 0,
        seen: 0,
        since: None,
    };
    let inlet = Inlet {
        receiver,
        taken,
        pending: false,
    };
    (outlet, inlet)
}

impl<M> Outlet<M> {
    pub(super) fn room(&self) -> Room {
        match self.sender.try_reserve() {
            Ok(_) => Room::Free,
            Err(TrySendError::Full(())) => Room::Full,
            Err(TrySendError::Closed(())) => Room::Gone,
        }
    }

    /// Gives a response to the reader, if there is room.
    pub(super) fn send(&mut self, message: M) {
        if self.sender.try_send(message).is_ok() {
            self.sent += 1;
        }
    }

    /// Since when the reader has taken nothing although there is something; as
    /// of now.
    pub(super) fn stalled_since(&mut self) -> Option<Instant> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken >= self.sent {
            self.since = None;
        } else if self.since.is_none() || taken != self.seen {
            self.since = Some(Instant::now());
        }
        self.seen = taken;
        self.since
    }

    /// Waits until there is room.
    pub(super) async fn freed(&self) {
        // Whether there is, or nobody reads any more, is seen after this.
        let _ = self.sender.reserve().await;
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}

impl<M> Inlet<M> {
    /// The next response. Asking for it says that there is room for it, so that
    /// the one before is on its way.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<M>> {
        if std::mem::take(&mut self.pending) {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        let next = self.receiver.poll_recv(cx);
        self.pending = matches!(next, Poll::Ready(Some(_)));
        next
    }
}
