//! A connection to an endpoint that speaks HTTP/2: many requests at a time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::message::{ResponseHead, Version};
use crate::tick::Tick;
use crate::upstream::body::AttemptBody;
use crate::upstream::convert;
use crate::upstream::exec::LocalExec;
use crate::upstream::failure::Failure;
use crate::upstream::hyper_body::{self, Awaited, HyperBody};
use crate::upstream::permit::ConnectionPermit;
use crate::upstream::pool::HostPool;
use crate::upstream::request::Outgoing;
use crate::upstream::wire::Wire;

/// Most bytes of the head of a response, after decompression.
const HEAD_BYTES: u32 = 64 * 1024;
/// Windows of one stream and of the connection, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes of a request's body held for one stream while the endpoint does not
/// read.
const SEND_BUFFER: usize = 128 * 1024;

/// The protocol of a connection: its task drives it, the pool asks it how many
/// streams the endpoint allows. `None` once it has ended.
type Protocol = Rc<RefCell<Option<Connection<TokioIo<Wire>, AttemptBody, LocalExec>>>>;

/// A connection that its streams share.
#[derive(Debug)]
pub(crate) struct Http2 {
    sender: SendRequest<AttemptBody>,
    wire: Wire,
    protocol: Protocol,
    active: Cell<u32>,
    used: Cell<u32>,
    idle_since: Cell<Tick>,
    _permit: ConnectionPermit,
}

impl Http2 {
    /// Begins to speak on a new connection.
    pub(crate) async fn start(
        wire: Wire,
        permit: ConnectionPermit,
        tasks: LocalExec,
        now: Tick,
    ) -> hyper::Result<Rc<Self>> {
        let keep_alive = tasks.keep_alive();
        let (sender, connection) = Builder::new(tasks)
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout)
            .handshake(TokioIo::new(wire.clone()))
            .await?;
        let protocol = Rc::new(RefCell::new(Some(connection)));
        tokio::task::spawn_local(drive(Rc::clone(&protocol)));
        Ok(Rc::new(Self {
            sender,
            wire,
            protocol,
            active: Cell::new(0),
            used: Cell::new(0),
            idle_since: Cell::new(now),
            _permit: permit,
        }))
    }

    /// Whether it has ended, or takes no more streams (`GOAWAY`).
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether another stream may be opened now.
    pub(crate) fn has_room(&self, max_requests: Option<u32>) -> bool {
        let protocol = self.protocol.borrow();
        let streams = protocol
            .as_ref()
            .map_or(0, Connection::current_max_send_streams);
        let active = usize::try_from(self.active.get()).unwrap_or(usize::MAX);
        !self.is_closed() && !self.is_spent(max_requests) && active < streams
    }

    /// Whether it has served as many requests as it may.
    pub(crate) fn is_spent(&self, max_requests: Option<u32>) -> bool {
        max_requests.is_some_and(|most| self.used.get() >= most)
    }

    /// Since when there is no stream; `None` if there are some.
    pub(crate) fn idle_since(&self) -> Option<Tick> {
        (self.active.get() == 0).then(|| self.idle_since.get())
    }
}

/// Drives a connection to its end.
async fn drive(protocol: Protocol) {
    let ended = poll_fn(|cx| match &mut *protocol.borrow_mut() {
        Some(connection) => Pin::new(connection).poll(cx),
        None => Poll::Ready(Ok(())),
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "connection to endpoint ended");
    }
    protocol.replace(None);
}

/// A stream of a shared connection. Dropping it makes room for another.
pub(crate) struct Stream {
    connection: Rc<Http2>,
    pool: Rc<HostPool>,
    awaited: Awaited,
    /// Of its response.
    pub(crate) body: HyperBody,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// Takes a stream of a connection that has room.
    pub(crate) fn open(connection: &Rc<Http2>, pool: &Rc<HostPool>) -> Self {
        connection.active.set(connection.active.get() + 1);
        connection.used.set(connection.used.get() + 1);
        Self {
            connection: Rc::clone(connection),
            pool: Rc::clone(pool),
            awaited: None,
            body: HyperBody::default(),
        }
    }

    /// Whether other requests were sent on its connection before.
    pub(crate) fn is_reused(&self) -> bool {
        self.connection.used.get() > 1
    }

    /// Begins a request.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(crate) fn begin(&mut self, request: &Outgoing<'_>) -> Result<(), Failure> {
        let request = convert::request(request, Version::Http2).ok_or(Failure::Unsendable)?;
        let mut sender = self.connection.sender.clone();
        self.awaited = Some(Box::pin(sender.try_send_request(request)));
        Ok(())
    }

    /// Ready when the head of the response has come.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Failure>> {
        let wire = &self.connection.wire;
        let (head, body) = ready!(hyper_body::poll_head(&mut self.awaited, wire, cx))?;
        self.body = body;
        Poll::Ready(Ok(head))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let active = self.connection.active.get().saturating_sub(1);
        self.connection.active.set(active);
        self.connection.idle_since.set(self.pool.now());
        self.pool.stream_ended();
    }
}
