//! A connection that has switched protocols (WebSocket and others): bytes in
//! both directions until one side ends or nothing comes for too long. It goes on
//! when configuration changes, and when its listener drains, until it is cut.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::listen::accept::Phase;
use crate::listen::io::ClientIo;
use crate::proxy::Live;
use crate::proxy::forward::Journey;
use crate::telemetry::record::Reason;
use crate::tick::Tick;
use crate::upstream::http1::Leftover;
use crate::worker::timers::Timer;

/// Buffer of each direction, in bytes.
const BUFFER: usize = 16 * 1024;

/// What is needed to carry bytes once the client has seen the switch.
pub(crate) struct Tunnel {
    upstream: Leftover,
    /// The request that asked for it.
    journey: Box<Journey>,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

impl Tunnel {
    /// Between a client's connection and what is left of an endpoint's.
    pub(super) fn new(upstream: Leftover, journey: Box<Journey>) -> Self {
        Self { upstream, journey }
    }

    /// Carries bytes until the end.
    pub(crate) async fn run(mut self, client: ClientIo, mut phase: watch::Receiver<Phase>) {
        let live = &mut self.journey.live;
        let worker = Rc::clone(&live.conn.worker);
        let clock = worker.shared.clock;
        let counts = worker.counts();
        counts.upgrades.fetch_add(1, Ordering::Relaxed);
        let _open = Open::begin(live);
        let last_byte = Rc::new(Cell::new(clock.now()));
        let mut client = Counted::new(client, Bytes::new(), &last_byte, clock);
        let Leftover { wire, read } = self.upstream;
        let mut upstream = Counted::new(wire, read, &last_byte, clock);
        let reason = {
            let copy = tokio::io::copy_bidirectional_with_sizes(
                &mut client,
                &mut upstream,
                BUFFER,
                BUFFER,
            );
            let mut timer = Timer::new(Rc::clone(&worker));
            let idle = live.listener.spec.timeouts.stream_idle;
            let idle = poll_fn(|cx| poll_idle(&mut timer, (idle, last_byte.get()), cx));
            tokio::select! {
                copied = copy => copied.err().map(|_| Reason::ClientGone),
                () = idle => Some(Reason::StreamIdle),
                _ = phase.wait_for(|phase| *phase == Phase::Cut) => Some(Reason::StreamIdle),
            }
        };
        let exchange = &mut live.exchange;
        exchange.received(client.bytes);
        exchange.sent(usize::try_from(upstream.bytes).unwrap_or(usize::MAX));
        exchange.complete();
        if let Some(reason) = reason {
            exchange.cut(reason);
        }
    }
}

/// Ready when nothing has come for `limit`.
fn poll_idle(
    timer: &mut Timer,
    (limit, last_byte): (Option<Duration>, Tick),
    cx: &mut Context<'_>,
) -> Poll<()> {
    match limit {
        Some(limit) => timer.poll(last_byte.plus(limit), cx),
        None => Poll::Pending,
    }
}

/// Counts a tunnel as open for as long as it lives.
struct Open(Rc<crate::worker::Worker>);

impl Open {
    fn begin(live: &Live) -> Self {
        let worker = Rc::clone(&live.conn.worker);
        worker.counts().tunnels_open.fetch_add(1, Ordering::Relaxed);
        Self(worker)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts().tunnels_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts what is read, and notes when.
struct Counted<T> {
    inner: T,
    first: Bytes,
    bytes: u64,
    last_byte: Rc<Cell<Tick>>,
    clock: Clock,
}

impl<T> Counted<T> {
    fn new(inner: T, first: Bytes, last_byte: &Rc<Cell<Tick>>, clock: Clock) -> Self {
        Self {
            inner,
            first,
            bytes: 0,
            last_byte: Rc::clone(last_byte),
            clock,
        }
    }

    fn note(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.last_byte.set(self.clock.now());
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.advance(length);
            self.note(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if polled.is_ready() {
            self.note(buffer.filled().len() - before);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
