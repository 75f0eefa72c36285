//! What the control plane counts, in the form Prometheus reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::security::Security;
use crate::xds::nodes::Nodes;

mod security;

/// How many proxies get a series of their own.
const PROXY_SERIES: usize = 1000;

/// Label of a type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

/// Label of how a commit ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// All instruments. Updating one never waits.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Refusals received from proxies.
    pub nacks: Counter,
    /// Configuration streams that are open.
    pub streams: Gauge,
    /// Streams ended because the client did not read.
    pub slow_readers: Counter,
    /// Seconds from a request for a commit to its being durable and published.
    pub commit_seconds: Histogram,
    /// Who was kept out.
    pub security: Security,
    revision: Gauge<u64, AtomicU64>,
    pushes: Family<Kind, Counter>,
    push_bytes: Counter,
    commits: Family<Outcome, Counter>,
}

impl Metrics {
    /// All at zero; what is known of proxies comes from the register.
    pub fn new(nodes: Arc<Nodes>) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("evenkeel_control_plane"),
            nacks: Counter::default(),
            streams: Gauge::default(),
            slow_readers: Counter::default(),
            commit_seconds: Histogram::new([
                0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
            ]),
            security: Security::default(),
            revision: Gauge::default(),
            pushes: Family::default(),
            push_bytes: Counter::default(),
            commits: Family::default(),
        };
        metrics.register(nodes);
        metrics
    }

    fn register(&mut self, nodes: Arc<Nodes>) {
        let registry = &mut self.registry;
        registry.register(
            "nacks",
            "Refusals received from proxies",
            self.nacks.clone(),
        );
        registry.register(
            "streams",
            "Open configuration streams",
            self.streams.clone(),
        );
        registry.register(
            "slow_readers",
            "Streams ended because the client did not read",
            self.slow_readers.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time to check, store and publish a change",
            self.commit_seconds.clone(),
        );
        registry.register("revision", "The published revision", self.revision.clone());
        registry.register("pushes", "Responses sent, by type", self.pushes.clone());
        registry.register(
            "push_bytes",
            "Bytes of resources sent",
            self.push_bytes.clone(),
        );
        registry.register(
            "commits",
            "Changes asked for, by result",
            self.commits.clone(),
        );
        self.security.register(registry);
        registry.register_collector(Box::new(Proxies { nodes }));
    }

    /// Counts a response.
    pub fn note_push(&self, kind: &'static str, bytes: usize) {
        self.pushes.get_or_create(&Kind { r#type: kind }).inc();
        self.push_bytes
            .inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Counts an attempt to change the configuration.
    pub fn note_commit(&self, result: &'static str) {
        self.commits.get_or_create(&Outcome { result }).inc();
    }

    /// Notes the published revision.
    pub fn set_revision(&self, revision: u64) {
        self.revision.set(revision);
    }

    /// The published revision.
    pub fn revision(&self) -> u64 {
        self.revision.inner().load(Ordering::Relaxed)
    }

    /// Everything, as text.
    ///
    /// # Errors
    /// Only if formatting fails.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Reads the register at each scrape.
#[derive(Debug)]
struct Proxies {
    nodes: Arc<Nodes>,
}

impl Collector for Proxies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let nodes = self.nodes.list();
        let connected = nodes.iter().filter(|node| node.connected);
        let count = ConstGauge::new(u64::try_from(connected.clone().count()).unwrap_or(0));
        let metric = encoder.encode_descriptor(
            "connected_proxies",
            "Proxies with an open configuration stream",
            None,
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        count.encode(metric)?;
        let mut family = encoder.encode_descriptor(
            "accepted_revision",
            "The newest revision a connected proxy has accepted",
            None,
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        for node in connected.take(PROXY_SERIES) {
            let labels = [("proxy", node.identity.id.as_str())];
            let gauge = ConstGauge::new(node.progress.accepted);
            gauge.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
