//! The task of one stream: it moves messages between gRPC and a
//! [`Conversation`], and decides nothing itself.
//!
//! A response is rendered only when the reader took the one before, so there is
//! no queue, and a reader that stops costs one response.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{self as core, node::UserAgentVersionType};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use evenkeel_shared::xds::ResourceType;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info};

use super::clock::Clock;
use super::nodes::{Connected, Nodes, Progress};
use super::subscription::{Conversation, Response, SotwSubscription, Subscription, Violation};
use crate::admin::metrics::Metrics;
use crate::snapshot::{NodeIdentity, Snapshot};

/// How long a reader may leave a response untaken.
const SLOW: Duration = Duration::from_secs(30);

/// How long a stream may stay silent at first.
const FIRST_REQUEST: Duration = Duration::from_secs(15);

/// About how long a stream lives, so that replicas share the load again.
const MAX_AGE: Duration = Duration::from_mins(30);

/// The longest node id, in bytes.
const ID_LIMIT: usize = 256;

/// The most text in a node's identity, in bytes.
const IDENTITY_LIMIT: usize = 64 * 1024;

/// What all streams share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub nodes: Arc<Nodes>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub shutdown: CancellationToken,
    /// What proxies are told of who serves them.
    pub id: Arc<str>,
}

/// A variant of the protocol, on the wire.
pub(super) trait Variant: Conversation + Send {
    /// Its responses.
    type Message: Send + 'static;

    fn node(request: &Self::Request) -> Option<&core::Node>;
    fn message(response: Response, id: &str) -> Self::Message;
}

impl Variant for Subscription {
    type Message = DeltaDiscoveryResponse;

    fn node(request: &DeltaDiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn message(response: Response, id: &str) -> DeltaDiscoveryResponse {
        response.into_delta(id)
    }
}

impl Variant for SotwSubscription {
    type Message = DiscoveryResponse;

    fn node(request: &DiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn message(response: Response, id: &str) -> DiscoveryResponse {
        response.into_sotw(id)
    }
}

/// Serves one stream until it ends; returns how it ends.
pub(super) async fn run<V: Variant>(
    mut requests: impl Stream<Item = Result<V::Request, Status>> + Send + Unpin,
    out: mpsc::Sender<V::Message>,
    mut shared: Shared,
) -> Status {
    let first = match timeout(FIRST_REQUEST, requests.next()).await {
        Ok(Some(Ok(request))) => request,
        Ok(Some(Err(status))) => return status,
        Ok(None) => return Status::ok(""),
        Err(_) => return Status::deadline_exceeded("no request came"),
    };
    let identity = match identity(V::node(&first)) {
        Ok(identity) => identity,
        Err(status) => return status,
    };
    info!(node = %identity.id, agent = %identity.agent, "configuration stream opened");
    let mut session = Session::<V>::open(identity, &mut shared);
    let status = match session.hear(&first) {
        Ok(()) => session.serve(&mut requests, &out).await,
        Err(status) => status,
    };
    info!(node = %session.identity.id, status = %status.message(), "configuration stream ended");
    status
}

struct Session<'a, V> {
    conversation: V,
    identity: NodeIdentity,
    connected: Connected,
    progress: Progress,
    full_since: Option<Instant>,
    shared: &'a mut Shared,
}

/// What made the task wake up.
enum Event<R> {
    Request(R),
    Snapshot,
    /// A timer, or room for a response.
    Due,
    End(Status),
}

impl<'a, V: Variant> Session<'a, V> {
    fn open(identity: NodeIdentity, shared: &'a mut Shared) -> Self {
        let connected = shared.nodes.connect(identity.clone());
        let mut session = Self {
            conversation: V::open(shared.clock.now()),
            identity,
            connected,
            progress: Progress::default(),
            full_since: None,
            shared,
        };
        session.take_snapshot();
        session
    }

    fn take_snapshot(&mut self) {
        let snapshot = Arc::clone(&self.shared.snapshots.borrow_and_update());
        let view = snapshot.view(&self.identity);
        self.conversation.on_snapshot(snapshot.revision, view);
    }

    fn hear(&mut self, request: &V::Request) -> Result<(), Status> {
        let now = self.shared.clock.now();
        let heard = self.conversation.on_request(request, now);
        let heard = heard.map_err(|violation| match violation {
            Violation::NoType => Status::invalid_argument(violation.to_string()),
            Violation::TooManyNames => Status::resource_exhausted(violation.to_string()),
        })?;
        if let Some(detail) = heard.refused {
            self.shared.metrics.nacks.inc();
            info!(node = %self.identity.id, %detail, "configuration refused");
        }
        Ok(())
    }

    async fn serve(
        &mut self,
        requests: &mut (impl Stream<Item = Result<V::Request, Status>> + Send + Unpin),
        out: &mpsc::Sender<V::Message>,
    ) -> Status {
        let expiry = Instant::now() + max_age();
        loop {
            if !self.send(out) {
                return Status::ok("");
            }
            self.note_progress();
            match self.wake(requests, out, expiry).await {
                Event::Request(request) => {
                    if let Err(status) = self.hear(&request) {
                        return status;
                    }
                }
                Event::Snapshot => self.take_snapshot(),
                Event::Due => {}
                Event::End(status) => return status,
            }
        }
    }

    /// Waits for something to do. Biased: whatever ends the stream comes before
    /// a client that never pauses. Every branch is safe to cancel.
    async fn wake(
        &mut self,
        requests: &mut (impl Stream<Item = Result<V::Request, Status>> + Send + Unpin),
        out: &mpsc::Sender<V::Message>,
        expiry: Instant,
    ) -> Event<V::Request> {
        let deadline = self.conversation.deadline();
        let deadline = deadline.map(|nanos| self.shared.clock.instant(nanos));
        let full = self.full_since.is_some();
        let slow = self.full_since.map_or(expiry, |since| since + SLOW);
        tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => {
                Event::End(Status::unavailable("the control plane is shutting down"))
            }
            () = sleep_until(expiry) => Event::End(Status::unavailable("the stream is old")),
            () = out.closed() => Event::End(Status::ok("")),
            () = sleep_until(slow), if full => {
                self.shared.metrics.slow_readers.inc();
                Event::End(Status::unavailable("the client does not read"))
            }
            request = requests.next() => match request {
                Some(Ok(request)) => Event::Request(request),
                Some(Err(status)) => Event::End(status),
                None => Event::End(Status::ok("")),
            },
            changed = self.shared.snapshots.changed() => match changed {
                Ok(()) => Event::Snapshot,
                Err(_) => Event::End(Status::unavailable("the control plane is shutting down")),
            },
            // Nothing can be sent before there is room, however due it is.
            () = sleep_until(deadline.unwrap_or(expiry)), if deadline.is_some() && !full => {
                Event::Due
            }
            _ = out.reserve(), if full => Event::Due,
        }
    }

    /// Sends what may be sent now, as far as the reader takes it. `false` if
    /// nobody reads any more.
    fn send(&mut self, out: &mpsc::Sender<V::Message>) -> bool {
        loop {
            let permit = match out.try_reserve() {
                Ok(permit) => permit,
                Err(TrySendError::Full(())) => {
                    self.full_since.get_or_insert_with(Instant::now);
                    return true;
                }
                Err(TrySendError::Closed(())) => return false,
            };
            self.full_since = None;
            let Some(response) = self.conversation.next(self.shared.clock.now()) else {
                return true;
            };
            let kind = ResourceType::from_type_url(&response.type_url);
            let kind = kind.map_or("other", ResourceType::label);
            debug!(
                node = %self.identity.id, kind, nonce = %response.nonce, revision = response.revision,
                resources = response.resources.len(), removed = response.removed.len(), "sent"
            );
            self.shared.metrics.note_push(kind, response.size());
            permit.send(V::message(response, &self.shared.id));
        }
    }

    fn note_progress(&mut self) {
        let rejections = self.conversation.rejections();
        let same = *rejections == *self.progress.rejections;
        let progress = Progress {
            settled: self.conversation.settled_revision(),
            accepted: self.conversation.accepted_revision(),
            rejections: if same {
                Arc::clone(&self.progress.rejections)
            } else {
                rejections.into()
            },
        };
        if progress != self.progress {
            self.connected.advance(&progress);
            self.progress = progress;
        }
    }
}

/// Thirty minutes, a tenth more or less, so that the streams opened by one
/// failover do not end together.
fn max_age() -> Duration {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    MAX_AGE * 9 / 10 + MAX_AGE / 5 * u32::try_from(random % 1000).unwrap_or(0) / 1000
}

/// What the first request says of the proxy. One that says nothing is served
/// like any other.
fn identity(node: Option<&core::Node>) -> Result<NodeIdentity, Status> {
    let Some(node) = node else {
        return Ok(NodeIdentity::default());
    };
    let fields = node.metadata.iter().flat_map(|metadata| &metadata.fields);
    let metadata: std::collections::BTreeMap<String, String> = fields
        .filter_map(|(key, value)| match &value.kind {
            Some(Kind::StringValue(text)) => Some((key.clone(), text.clone())),
            _ => None,
        })
        .collect();
    let version = match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(text)) => text.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let version = build.version.as_ref();
            version.map_or_else(String::new, |v| {
                format!("{}.{}.{}", v.major_number, v.minor_number, v.patch)
            })
        }
        None => String::new(),
    };
    let agent = format!("{} {version}", node.user_agent_name);
    let identity = NodeIdentity {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        metadata,
        agent: agent.trim().to_owned(),
    };
    let texts = identity.metadata.iter().map(|(k, v)| k.len() + v.len());
    let size = texts.sum::<usize>() + identity.cluster.len() + identity.agent.len();
    if identity.id.len() > ID_LIMIT || size > IDENTITY_LIMIT {
        return Err(Status::invalid_argument(format!(
            "node: an id of at most {ID_LIMIT} bytes and a text of at most {IDENTITY_LIMIT} bytes"
        )));
    }
    Ok(identity)
}

#[cfg(test)]
mod tests;
