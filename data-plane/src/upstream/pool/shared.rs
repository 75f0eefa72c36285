//! HTTP/2 connections, shared by requests: a new one is opened when all streams
//! of the others are taken, one at a time.

use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Ask, HostPool, Refused, count_connect, enqueue};
use crate::upstream::dial::Dial;
use crate::upstream::exec::LocalExec;
use crate::upstream::http2::{Http2, Stream};
use crate::upstream::permit::{ConnectionPermit, PendingPermit};
use crate::worker::Worker;

impl HostPool {
    /// A stream of a new connection, or of one that comes to have room.
    pub(super) async fn stream(self: &Rc<Self>, ask: Ask<'_>) -> Result<Box<Stream>, Refused> {
        let _pending = PendingPermit::take(&self.host, ask.cluster).ok_or(Refused::Overflow)?;
        let settings = ask.worker.shared.settings;
        let limit = settings.queue_timeout + ask.cluster.spec.connection.connect_timeout;
        let deadline = Instant::now() + limit;
        loop {
            let released = ask.cluster.gauges.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if let Some(stream) = self.take_stream() {
                return Ok(stream);
            }
            self.connect_shared(ask);
            let (ready, waits) = oneshot::channel();
            enqueue(&self.stream_queue, ready);
            tokio::select! {
                biased;
                ready = waits => ready.unwrap_or(Err(Refused::Connect))?,
                () = released => {}
                () = tokio::time::sleep_until(deadline) => return Err(Refused::Overflow),
            }
        }
    }

    /// A stream of the first connection that has room.
    pub(super) fn take_stream(self: &Rc<Self>) -> Option<Box<Stream>> {
        let most = self.settings.get().max_requests;
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| !connection.is_closed() && !connection.is_spent(most));
        let connection = shared.iter().find(|connection| connection.has_room(most))?;
        Some(Box::new(Stream::open(connection, self)))
    }

    /// Opens a connection in the background, unless one is being opened or there
    /// are as many as may be. Its end wakes all that wait for a stream.
    fn connect_shared(self: &Rc<Self>, ask: Ask<'_>) {
        if self.connecting.get() {
            return;
        }
        let Some(permit) = ConnectionPermit::take(&self.host, ask.cluster) else {
            ask.worker.shared.pressure.ask();
            return;
        };
        self.connecting.set(true);
        let pool = Rc::clone(self);
        let worker = Rc::clone(ask.worker);
        let dial = Dial::new(&self.host, ask);
        tokio::task::spawn_local(async move {
            let connected = pool.start_shared(dial, permit, &worker).await;
            count_connect(&pool.host, worker.index, connected.is_ok());
            pool.connecting.set(false);
            let ready = connected.as_ref().map(|_| ()).map_err(|refused| *refused);
            pool.shared.borrow_mut().extend(connected);
            let waiting = std::mem::take(&mut *pool.stream_queue.borrow_mut());
            for waiter in waiting {
                // It may have stopped waiting.
                let _ = waiter.send(ready);
            }
        });
    }

    async fn start_shared(
        &self,
        dial: Dial,
        permit: ConnectionPermit,
        worker: &Rc<Worker>,
    ) -> Result<Rc<Http2>, Refused> {
        let deadline = dial.deadline();
        let wire = dial.connect().await?;
        let tasks = LocalExec::new(Rc::clone(worker));
        let starting = async {
            let started = Http2::start(wire.clone(), permit, tasks, self.now()).await;
            let started = started.ok()?;
            wire.takes_part().await.then_some(started)
        };
        let started = tokio::time::timeout_at(deadline, starting).await;
        let refused = || wire.refusal().map_or(Refused::Connect, Refused::Tls);
        started.ok().flatten().ok_or_else(refused)
    }

    /// A stream has ended: the next that waits may try.
    pub(crate) fn stream_ended(&self) {
        while let Some(waiter) = self.stream_queue.borrow_mut().pop_front() {
            if waiter.send(Ok(())).is_ok() {
                return;
            }
        }
    }
}
