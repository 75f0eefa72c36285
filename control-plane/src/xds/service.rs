//! The aggregated discovery service: admits streams and starts their tasks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status, Streaming};

use super::clock::Clock;
use super::grpc::AdsServer;
use super::message::Message;
use super::nodes::Nodes;
use super::outlet::{Inlet, outlet};
use super::stream::{Shared, run};
use super::variant::Variant;
use crate::admin::metrics::Metrics;
use crate::audit_sink::Audit;
use crate::door::{Full, Place, Quota};
use crate::peer::{Link, Share};
use crate::snapshot::Snapshot;

/// How many streams a process serves.
const STREAMS: usize = 10_000;

/// How many of them to one party: a certificate at one address, or an address.
const STREAMS_EACH: usize = 64;

/// How long a client has to take the end of its stream, before the connection is
/// cut off with all that waits in it.
const PARTING: Duration = Duration::from_secs(10);

/// What the service works with.
#[derive(Debug)]
pub struct Discovery {
    /// The present snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The register of proxies.
    pub nodes: Arc<Nodes>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where refusals are told.
    pub audit: Audit,
    /// The time.
    pub clock: Clock,
    /// Ends all streams.
    pub shutdown: CancellationToken,
    /// What proxies are told of who serves them.
    pub id: Arc<str>,
    /// Owns the tasks of the streams.
    pub tasks: TaskTracker,
}

/// The service.
#[derive(Debug)]
pub struct Ads {
    shared: Shared,
    tasks: TaskTracker,
    places: Arc<Quota<Share>>,
}

impl Ads {
    /// The service, ready to be mounted.
    pub fn server(with: Discovery) -> AdsServer {
        let service = Self {
            shared: Shared {
                snapshots: with.snapshots,
                nodes: with.nodes,
                metrics: with.metrics,
                audit: with.audit,
                clock: with.clock,
                shutdown: with.shutdown,
                id: with.id,
            },
            tasks: with.tasks,
            places: Quota::new(STREAMS, STREAMS_EACH),
        };
        AdsServer::new(service)
    }

    /// Starts the task of a stream.
    ///
    /// # Errors
    /// There is no place for it.
    pub(super) fn start<V: Variant + 'static>(
        &self,
        request: Request<Streaming<V::Request>>,
    ) -> Result<Responses, Status>
    where
        V::Request: Send,
    {
        let link = Link::of(&request).cloned();
        let metrics = Arc::clone(&self.shared.metrics);
        let share = link.as_ref().and_then(|link| link.peer.share());
        let place = self.places.take(share).map_err(|full| {
            metrics.security.note_ended("streams");
            Status::resource_exhausted(match full {
                Full::Total => format!("more than {STREAMS} streams"),
                Full::Share => format!("more than {STREAMS_EACH} streams from one place"),
            })
        })?;
        metrics.streams.inc();
        let (outlet, messages) = outlet();
        let (end, ending) = oneshot::channel();
        let gone = CancellationToken::new();
        let responses = Responses {
            messages,
            current: Message::default(),
            ending,
            ended: false,
            _place: place,
            _gone: gone.clone().drop_guard(),
            metrics: Arc::clone(&metrics),
        };
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let shutdown = shared.shutdown.clone();
            let peer = link.as_ref().map(|link| link.peer.clone());
            let status = run::<V>(request.into_inner(), outlet, shared, peer).await;
            // Who it is was settled with the connection.
            let useless = status.code() == Code::Unauthenticated;
            // Nobody listens if the client is gone.
            let _ = end.send(status);
            let parting = timeout(PARTING, gone.cancelled());
            let parted = shutdown.run_until_cancelled(parting).await;
            let unread = matches!(parted, Some(Err(_)));
            if unread {
                metrics.security.note_ended("unread");
            }
            if let Some(link) = link
                && (unread || useless)
            {
                link.hangup.cancel();
            }
        });
        Ok(responses)
    }
}

/// The responses of one stream, and how it ends. It holds the place among the
/// streams, also while a client that does not read keeps it from ending.
#[derive(Debug)]
pub struct Responses {
    messages: Inlet<Message>,
    /// What is left to send of the last one.
    current: Message,
    ending: oneshot::Receiver<Status>,
    ended: bool,
    _place: Place<Share>,
    _gone: DropGuard,
    metrics: Arc<Metrics>,
}

impl Body for Responses {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(piece) = self.current.pieces.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            match std::task::ready!(self.messages.poll(cx)) {
                Some(message) => self.current = message,
                None => break,
            }
        }
        let ending = std::task::ready!(Pin::new(&mut self.ending).poll(cx));
        self.ended = true;
        let mut trailers = HeaderMap::new();
        let told = ending.unwrap_or(Status::ok("")).add_header(&mut trailers);
        Poll::Ready(Some(told.map(|()| Frame::trailers(trailers))))
    }
}

impl Drop for Responses {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}
