//! The aggregated discovery service: admits streams and starts their tasks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status, Streaming};

use super::clock::Clock;
use super::nodes::Nodes;
use super::stream::{Shared, Variant, run};
use super::subscription::{SotwSubscription, Subscription};
use crate::admin::metrics::Metrics;
use crate::snapshot::Snapshot;

/// How many streams a process serves.
const STREAMS: usize = 10_000;

/// The largest request, in bytes: a reconnecting client names all it has.
const REQUEST_LIMIT: usize = 16 << 20;

/// What the service works with.
#[derive(Debug)]
pub struct Discovery {
    /// The present snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The register of proxies.
    pub nodes: Arc<Nodes>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
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
    permits: Arc<Semaphore>,
}

impl Ads {
    /// The service, ready to be mounted.
    pub fn server(with: Discovery) -> AggregatedDiscoveryServiceServer<Self> {
        let service = Self {
            shared: Shared {
                snapshots: with.snapshots,
                nodes: with.nodes,
                metrics: with.metrics,
                clock: with.clock,
                shutdown: with.shutdown,
                id: with.id,
            },
            tasks: with.tasks,
            permits: Arc::new(Semaphore::new(STREAMS)),
        };
        AggregatedDiscoveryServiceServer::new(service).max_decoding_message_size(REQUEST_LIMIT)
    }

    fn start<V: Variant + 'static>(
        &self,
        requests: Streaming<V::Request>,
    ) -> Result<Responses<V::Message>, Status>
    where
        V::Request: Send,
    {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| Status::unavailable(format!("more than {STREAMS} streams")))?;
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.streams.inc();
        // One place: the task renders the next response when this is free.
        let (sender, messages) = mpsc::channel(1);
        let (end, ending) = oneshot::channel();
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let status = run::<V>(requests, sender, shared).await;
            // Nobody listens if the client is gone.
            let _ = end.send(status);
        });
        Ok(Responses {
            messages,
            ending,
            ended: false,
            _permit: permit,
            metrics,
        })
    }
}

/// The responses of one stream, and how it ends. It holds the place among the
/// streams, also while a client that does not read keeps it from ending.
#[derive(Debug)]
pub struct Responses<M> {
    messages: mpsc::Receiver<M>,
    ending: oneshot::Receiver<Status>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl<M> Stream for Responses<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(message) = std::task::ready!(self.messages.poll_recv(cx)) {
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
        self.start::<SotwSubscription>(request.into_inner())
            .map(tonic::Response::new)
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.start::<Subscription>(request.into_inner())
            .map(tonic::Response::new)
    }
}
