//! The stream to the control plane: connects, hands responses to the applier,
//! and comes back when it breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{Node, node::UserAgentVersionType};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use rand::Rng;
use rand::rngs::StdRng;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Uri;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::xds::applier::{Command, Handle, REQUEST_QUEUE};
use crate::xds::connect::{Dialer, Line};
use crate::xds::view::Status;

/// Upper bound of the first wait before connecting again.
const BACKOFF_BASE: Duration = Duration::from_millis(500);
/// Upper bound of all waits.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Upper bound of the wait after a stream that was of use.
const RECONNECT_JITTER: Duration = Duration::from_millis(100);
/// A stream that ends sooner was of no use, whatever it said.
const USEFUL_STREAM: Duration = Duration::from_secs(1);
/// Longest message: a whole configuration may come in one.
const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// Why a stream is given up for another certificate.
const RENEWED: &str = "the certificate ends, and there is a new one";

/// Who we are, for the control plane.
pub fn node(id: &str, cluster: &str, metadata: &BTreeMap<String, String>) -> Node {
    let fields = metadata.iter().map(|(name, value)| {
        let value = Value {
            kind: Some(Kind::StringValue(value.clone())),
        };
        (name.clone(), value)
    });
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Node {
        id: id.to_owned(),
        cluster: cluster.to_owned(),
        metadata: (!metadata.is_empty()).then(|| Struct {
            fields: fields.collect(),
        }),
        user_agent_name: "evenkeel".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentVersion(version)),
        ..Node::default()
    }
}

/// Wait before the n-th attempt after `failures` in a row: uniform in
/// `[0, min(base * 2^(n-1), max))`.
pub(crate) fn backoff(failures: u32, entropy: u64) -> Duration {
    let doubled = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    share(doubled.min(BACKOFF_MAX), entropy)
}

/// A part of a time, uniform.
fn share(whole: Duration, entropy: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(entropy)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The stream's task.
#[derive(Debug)]
pub struct Task {
    /// Where the control planes are, and how to know them.
    pub dialer: Dialer,
    /// Takes the responses.
    pub applier: Handle,
    /// What is shown.
    pub status: Arc<Status>,
    /// Now.
    pub clock: Clock,
    /// For the waits.
    pub entropy: StdRng,
    /// Ends the task.
    pub shutdown: CancellationToken,
}

/// How a stream ended.
struct Ended {
    /// It brought a response and lived for a while.
    useful: bool,
    /// Its last words.
    reason: String,
}

impl Task {
    /// Keeps a stream open until the shutdown.
    #[tracing::instrument(name = "xds", skip_all)]
    pub async fn run(mut self) {
        let mut failures = 0_u32;
        while !self.shutdown.is_cancelled() {
            let useful = self.try_all().await;
            failures = if useful {
                0
            } else {
                failures.saturating_add(1)
            };
            let entropy = self.entropy.next_u64();
            let wait = if useful {
                share(RECONNECT_JITTER, entropy)
            } else {
                backoff(failures, entropy)
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    /// Goes through the control planes until one was of use.
    async fn try_all(&mut self) -> bool {
        for uri in self.dialer.control_planes.clone() {
            if self.shutdown.is_cancelled() {
                return true;
            }
            let ended = self.visit(&uri).await;
            let now = self.clock.now();
            let mut line = self.status.line.lock();
            if line.endpoint.take().is_some() {
                line.since = now;
            }
            let news = line.last_error.as_deref() != Some(ended.reason.as_str());
            line.last_error = Some(ended.reason.clone());
            drop(line);
            if self.shutdown.is_cancelled() {
                return true;
            }
            if ended.useful {
                info!(control_plane = %uri, reason = ended.reason, "stream ended");
                return true;
            }
            if news {
                warn!(control_plane = %uri, reason = ended.reason, "no stream");
            } else {
                debug!(control_plane = %uri, reason = ended.reason, "no stream");
            }
        }
        false
    }

    /// Connects and stays until the stream ends.
    async fn visit(&self, uri: &Uri) -> Ended {
        let connected = tokio::select! {
            connected = self.dialer.connect(uri) => connected,
            () = self.shutdown.cancelled() => return Ended::of("shutting down"),
        };
        let line = match connected {
            Ok(line) => line,
            Err(reason) => return Ended::of(reason),
        };
        let (requests, outbound) = mpsc::channel(REQUEST_QUEUE);
        self.applier.tell(Command::Connected(requests));
        let begun = self.clock.now();
        let (responses, reason) = tokio::select! {
            ended = self.converse(line, outbound, uri) => ended,
            () = self.shutdown.cancelled() => (0, "shutting down".to_owned()),
        };
        self.applier.tell(Command::Disconnected);
        let lived = self.clock.now().since(begun);
        Ended {
            useful: responses > 0 && lived >= USEFUL_STREAM,
            reason,
        }
    }

    /// Hands responses over, one at a time: the next is read when the one before
    /// is in force and answered. Returns how many came, and how it ended.
    async fn converse(
        &self,
        line: Line,
        outbound: mpsc::Receiver<
            envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest,
        >,
        uri: &Uri,
    ) -> (u64, String) {
        let mut client = AggregatedDiscoveryServiceClient::new(line.channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let opened = client
            .delta_aggregated_resources(ReceiverStream::new(outbound))
            .await;
        let mut stream = match opened {
            Ok(response) => response.into_inner(),
            Err(status) => return (0, refusal(&status)),
        };
        let renewed = self.dialer.renewed(line.shown.as_ref());
        tokio::pin!(renewed);
        let mut responses = 0_u64;
        loop {
            // Both futures may be dropped without loss.
            let message = tokio::select! {
                message = stream.message() => message,
                () = &mut renewed => return (responses, RENEWED.to_owned()),
            };
            let response = match message {
                Ok(Some(response)) => response,
                Ok(None) => return (responses, "ended by the control plane".to_owned()),
                Err(status) => return (responses, refusal(&status)),
            };
            responses += 1;
            self.note_response(uri);
            let (done, answered) = oneshot::channel();
            let told = Command::Response(Box::new(response), done);
            if !self.applier.tell(told) || !answered.await.unwrap_or(false) {
                return (responses, "requests are not read".to_owned());
            }
        }
    }

    fn note_response(&self, uri: &Uri) {
        let now = self.clock.now();
        let mut line = self.status.line.lock();
        line.last_response = Some(now);
        if line.endpoint.is_none() {
            line.endpoint = Some(uri.to_string());
            line.since = now;
            line.last_error = None;
            drop(line);
            info!(control_plane = %uri, "stream established");
        }
    }
}

impl Ended {
    fn of(reason: impl Into<String>) -> Self {
        Self {
            useful: false,
            reason: reason.into(),
        }
    }
}

/// A refused call in one line, with what broke the connection if that did.
fn refusal(status: &tonic::Status) -> String {
    let text = format!("{:?}: {}", status.code(), status.message());
    match std::error::Error::source(status) {
        Some(cause) => format!("{text}: {}", describe(cause)),
        None => text,
    }
}

/// An error with its causes in one line.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let longest = |failures| backoff(failures, u64::MAX).as_millis();
        assert_eq!(longest(1), 499);
        assert_eq!(longest(2), 999);
        assert_eq!(longest(20), 29_999);
        assert_eq!(backoff(5, 0), Duration::ZERO);
    }

    #[test]
    fn a_node_says_what_it_is() {
        let metadata = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let node = node("edge-1", "edge", &metadata);
        assert_eq!(
            (node.id.as_str(), node.cluster.as_str()),
            ("edge-1", "edge")
        );
        assert_eq!(node.user_agent_name, "evenkeel");
        assert!(node.metadata.unwrap().fields.contains_key("zone"));
    }
}
