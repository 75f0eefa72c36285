use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::message::tests::read;
use super::super::node::ID_LIMIT;
use super::super::outlet::{Inlet, outlet};
use super::super::subscription::Subscription;
use super::life::MAX_AGE;
use super::*;
use crate::snapshot::{Encoded, View};

fn snapshot(revision: u64) -> Arc<Snapshot> {
    let mut view = View::default();
    let encoded = Encoded {
        version: revision.to_string(),
        value: bytes::Bytes::new(),
        needs: Vec::new(),
    };
    let clusters = BTreeMap::from([("api".to_owned(), Arc::new(encoded))]);
    view.resources.insert(ResourceType::Cluster, clusters);
    Arc::new(Snapshot::of(revision, 0, Arc::new(view)))
}

fn shared() -> (Shared, watch::Sender<Arc<Snapshot>>) {
    let clock = Clock::start();
    let nodes = Arc::new(Nodes::new(clock));
    let (publish, snapshots) = watch::channel(snapshot(1));
    let metrics = Arc::new(Metrics::new(Arc::clone(&nodes)));
    let (audit, _) = Audit::open(Arc::clone(&metrics), clock);
    let shared = Shared {
        snapshots,
        metrics,
        audit,
        nodes,
        clock,
        shutdown: CancellationToken::new(),
        id: "cp".into(),
    };
    (shared, publish)
}

async fn next(inlet: &mut Inlet<Message>) -> Option<DeltaDiscoveryResponse> {
    let message = std::future::poll_fn(|cx| inlet.poll(cx)).await?;
    Some(read(&message))
}

fn wildcard(kind: ResourceType, node: Option<core::Node>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node,
        type_url: kind.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// Requests, after which the client says nothing more but stays.
fn quiet_after(
    requests: Vec<DeltaDiscoveryRequest>,
) -> impl Stream<Item = Result<DeltaDiscoveryRequest, Status>> + Send + Unpin {
    stream::iter(requests.into_iter().map(Ok)).chain(stream::pending())
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_is_ended_after_a_while() {
    let (shared, _publish) = shared();
    let metrics = Arc::clone(&shared.metrics);
    let (out, _unread) = outlet();
    let requests = quiet_after(vec![
        wildcard(ResourceType::Cluster, None),
        wildcard(ResourceType::Listener, None),
    ]);
    let began = Instant::now();
    let status = run::<Subscription>(requests, out, shared, None).await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(began.elapsed() >= SLOW && began.elapsed() < SLOW * 2);
    assert_eq!(metrics.slow_readers.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_slow_goes_on_with_the_newest() {
    let (shared, publish) = shared();
    let shutdown = shared.shutdown.clone();
    let (out, mut read) = outlet();
    let (say, said) = mpsc::channel(8);
    let requests = tokio_stream::wrappers::ReceiverStream::new(said).map(Ok);
    let task = tokio::spawn(run::<Subscription>(requests, out, shared, None));
    say.send(wildcard(ResourceType::Cluster, None))
        .await
        .unwrap();
    let first = next(&mut read).await.unwrap();
    assert_eq!(first.system_version_info, "1");
    for revision in 2..10 {
        publish.send_replace(snapshot(revision));
        tokio::task::yield_now().await;
    }
    let ack = DeltaDiscoveryRequest {
        response_nonce: first.nonce,
        ..wildcard(ResourceType::Cluster, None)
    };
    say.send(ack).await.unwrap();
    let second = next(&mut read).await.unwrap();
    assert_eq!(second.system_version_info, "9");
    shutdown.cancel();
    assert_eq!(task.await.unwrap().code(), tonic::Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_it_is_old() {
    let (shared, _publish) = shared();
    let (out, mut read) = outlet();
    let requests = quiet_after(vec![wildcard(ResourceType::Cluster, None)]);
    let reading = tokio::spawn(async move { while next(&mut read).await.is_some() {} });
    let began = Instant::now();
    let status = run::<Subscription>(requests, out, shared, None).await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(began.elapsed() > MAX_AGE * 8 / 10 && began.elapsed() < MAX_AGE * 12 / 10);
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_speaks_is_not_kept() {
    let (shared, _publish) = shared();
    let (out, _read) = outlet();
    let status = run::<Subscription>(quiet_after(Vec::new()), out, shared, None).await;
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_is_too_long_is_refused() {
    let (shared, _publish) = shared();
    let (out, _read) = outlet();
    let node = core::Node {
        id: "x".repeat(ID_LIMIT + 1),
        ..core::Node::default()
    };
    let requests = quiet_after(vec![wildcard(ResourceType::Cluster, Some(node))]);
    let status = run::<Subscription>(requests, out, shared, None).await;
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}
