//! HTTP/1.1 to an endpoint, spoken by the hyper library.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::message::{ResponseHead, Version};
use crate::upstream::body::AttemptBody;
use crate::upstream::convert;
use crate::upstream::failure::Failure;
use crate::upstream::http1::Leftover;
use crate::upstream::hyper_body::{self, Awaited, HyperBody};
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

/// A connection whose protocol hyper speaks, in a task of its own.
pub(super) struct Hyper {
    sender: SendRequest<AttemptBody>,
    awaited: Awaited,
    /// Of the latest response.
    pub(super) body: HyperBody,
    /// What is left when the connection's protocol has ended.
    left: oneshot::Receiver<Leftover>,
}

impl fmt::Debug for Hyper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hyper").finish_non_exhaustive()
    }
}

impl Hyper {
    /// Begins to speak on a new connection.
    pub(super) async fn start(wire: &Wire) -> hyper::Result<Self> {
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
            awaited: None,
            body: HyperBody::default(),
            left,
        })
    }

    /// Whether it can take a request now or soon.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it can take a request at once.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until it can take another request. Whether it ever will.
    pub(super) async fn settle(&mut self) -> bool {
        let ready = tokio::time::timeout(SETTLE, self.sender.ready()).await;
        matches!(ready, Ok(Ok(())))
    }

    /// Begins a request.
    pub(super) fn begin(&mut self, request: &Outgoing<'_>) -> Result<(), Failure> {
        let request = convert::request(request, Version::Http11).ok_or(Failure::Unsendable)?;
        let response = self.sender.try_send_request(request);
        self.awaited = Some(Box::pin(response));
        Ok(())
    }

    /// Ready when the head of the response has come.
    pub(super) fn poll_head(
        &mut self,
        wire: &Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Failure>> {
        let (head, body) = ready!(hyper_body::poll_head(&mut self.awaited, wire, cx))?;
        self.body = body;
        Poll::Ready(Ok(head))
    }

    /// The socket, after a response that switches protocols.
    pub(super) async fn into_leftover(self) -> Option<Leftover> {
        tokio::time::timeout(SETTLE, self.left).await.ok()?.ok()
    }
}
