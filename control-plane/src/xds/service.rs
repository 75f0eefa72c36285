//! The aggregated discovery service: admits streams and starts their tasks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use futures_util::Stream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status, Streaming};

use super::clock::Clock;
use super::nodes::Nodes;
use super::outlet::{Inlet, outlet};
use super::stream::{Shared, run};
use super::subscription::{SotwSubscription, Subscription};
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

/// The largest request, in bytes: a client that reconnects names all it has of a
/// type with their versions, which takes about 80 bytes each, and there may be
/// 100,000.
const REQUEST_LIMIT: usize = 8 << 20;

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
    pub fn server(with: Discovery) -> AggregatedDiscoveryServiceServer<Self> {
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
        AggregatedDiscoveryServiceServer::new(service).max_decoding_message_size(REQUEST_LIMIT)
    }

    fn start<V: Variant + 'static>(
        &self,
        request: Request<Streaming<V::Request>>,
    ) -> Result<tonic::Response<Responses<V::Message>>, Status>
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
        Ok(tonic::Response::new(responses))
    }
}

/// The responses of one stream, and how it ends. It holds the place among the
/// streams, also while a client that does not read keeps it from ending.
#[derive(Debug)]
pub struct Responses<M> {
    messages: Inlet<M>,
    ending: oneshot::Receiver<Status>,
    ended: bool,
    _place: Place<Share>,
    _gone: DropGuard,
    metrics: Arc<Metrics>,
}

impl<M> Stream for Responses<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(message) = std::task::ready!(self.messages.poll(cx)) {
            return Poll::Ready(Some(Ok(message)));
        }
        let status = std::task::ready!(Pin::new(&mut self.ending).poll(cx));
        self.ended = true;
        match status {
            Ok(status) if status.code() != Code::Ok => Poll::Ready(Some(Err(status))),
            _ => Poll::Ready(None),
        }
    }
}

impl<M> Drop for Responses<M> {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.start::<SotwSubscription>(request)
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.start::<Subscription>(request)
    }
}
