//! A connection to an endpoint that speaks HTTP/1.1: one request at a time.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::message::{ResponseHead, Version};
use crate::tick::Tick;
use crate::upstream::body::AttemptBody;
use crate::upstream::convert;
use crate::upstream::failure::Failure;
use crate::upstream::hyper_body::HyperBody;
use crate::upstream::permit::ConnectionPermit;
use crate::upstream::request::Outgoing;
use crate::upstream::wire::Wire;

/// Most bytes of the head of a response.
const HEAD_BYTES: usize = 64 * 1024;
/// Most header fields of a response.
const HEADERS: usize = 200;
/// Buffer of a connection; not below the head.
const BUFFER: usize = 128 * 1024;
/// How long a connection may take to become ready for another request after a
/// response, for example because the request is still being sent.
const SETTLE: Duration = Duration::from_secs(5);

/// A connection of which nobody else knows.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: SendRequest<AttemptBody>,
    wire: Wire,
    /// Of the latest response.
    pub(crate) body: HyperBody,
    /// What is left when the connection's protocol has ended.
    left: oneshot::Receiver<Leftover>,
    /// Requests sent on it.
    pub(crate) used: u32,
    /// Since when it has had nothing to do.
    pub(crate) idle_since: Tick,
    _permit: ConnectionPermit,
}

/// A connection after its protocol has ended, for example by an upgrade.
#[derive(Debug)]
pub(crate) struct Leftover {
    /// The socket.
    pub(crate) wire: Wire,
    /// What was read of it already.
    pub(crate) read: Bytes,
}

impl Http1 {
    /// Begins to speak on a new connection.
    pub(crate) async fn start(wire: Wire, permit: ConnectionPermit) -> hyper::Result<Self> {
        let (sender, mut connection) = Builder::new()
            .max_headers(HEADERS)
            .max_header_size(HEAD_BYTES)
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(wire.clone()))
            .await?;
        let (leave, left) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
            if ended.is_ok() {
                let parts = connection.into_parts();
                // Only an upgrade waits for this; else the socket closes here.
                let _ = leave.send(Leftover {
                    wire: parts.io.into_inner(),
                    read: parts.read_buf,
                });
            }
        });
        Ok(Self {
            sender,
            wire,
            body: HyperBody::default(),
            left,
            used: 0,
            idle_since: Tick::default(),
            _permit: permit,
        })
    }

    /// Whether it can take a request now. See [`Wire::is_quiet`] for `careful`.
    pub(crate) fn is_usable(&self, careful: bool) -> bool {
        self.sender.is_ready() && self.wire.is_quiet(careful)
    }

    /// Whether it can take a request now or soon.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it can take a request at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until it can take another request; `None` if it never will.
    pub(crate) async fn settle(mut self) -> Option<Self> {
        let ready = tokio::time::timeout(SETTLE, self.sender.ready()).await;
        matches!(ready, Ok(Ok(()))).then_some(self)
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// How it failed.
    pub(crate) async fn send(&mut self, request: &Outgoing<'_>) -> Result<ResponseHead, Failure> {
        let request = convert::request(request, Version::Http11).ok_or(Failure::Unsendable)?;
        self.used += 1;
        self.wire.expect_head();
        let response = self.sender.try_send_request(request).await;
        self.wire.head_came();
        let response = response.map_err(|error| Failure::of(error, &self.wire))?;
        let head = convert::response_head(&response);
        self.body = HyperBody::of(response.into_body());
        Ok(head)
    }

    /// The socket, after a response that switches protocols.
    pub(crate) async fn into_leftover(self) -> Option<Leftover> {
        tokio::time::timeout(SETTLE, self.left).await.ok()?.ok()
    }
}
