//! Metrics for Prometheus. Nothing is counted here: at each scrape the counters
//! of workers, clusters and hosts are read and summed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::counters::{LATENCY_BOUNDS, Sharded};
use crate::telemetry::sink::Sink;
use crate::tls::secrets::Secrets;
use crate::worker::WorkerCounts;
use crate::xds::view::{ConfigView, Status};

mod certificates;
mod clusters;
mod listeners;
mod names;
mod process;
mod workers;

/// Where the numbers come from.
#[derive(Debug)]
pub struct Sources {
    /// What is in force.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// The configuration side.
    pub status: Arc<Status>,
    /// What each worker counts of itself.
    pub workers: Arc<Sharded<WorkerCounts>>,
    /// Counts dropped records.
    pub sink: Arc<Sink>,
    /// Log lines that could not be written.
    pub log_lost: Arc<AtomicU64>,
    /// Spans that could not be exported.
    pub spans_lost: Arc<AtomicU64>,
    /// Certificates and keys.
    pub secrets: Arc<Secrets>,
    /// Now.
    pub clock: Clock,
}

/// The sources at one moment.
struct Moment<'a> {
    sources: &'a Sources,
    snapshot: Arc<Snapshot>,
    config: Arc<ConfigView>,
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times by bucket, in seconds.
    Histogram,
}

/// One metric: what it is called, what it says, and how it is read.
pub struct Metric {
    /// Its name, without `_total`.
    pub name: &'static str,
    /// What a number means.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    read: fn(&Moment<'_>, &mut Samples),
}

/// A number or a histogram.
#[derive(Debug, PartialEq)]
enum Value {
    Count(u64),
    Level(f64),
    Times { sum: f64, buckets: Vec<(f64, u64)> },
}

/// The samples of one metric: values of its labels, and a value.
#[derive(Debug, Default)]
struct Samples(Vec<(Vec<String>, Value)>);

impl Samples {
    fn count(&mut self, labels: &[&str], value: u64) {
        self.add(labels, Value::Count(value));
    }

    fn level(&mut self, labels: &[&str], value: f64) {
        self.add(labels, Value::Level(value));
    }

    fn add(&mut self, labels: &[&str], value: Value) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.push((labels, value));
    }
}

/// All metrics, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    listeners::METRICS
        .iter()
        .chain(clusters::METRICS)
        .chain(names::METRICS)
        .chain(workers::METRICS)
        .chain(certificates::METRICS)
        .chain(process::METRICS)
}

/// A registry that holds all metrics.
pub fn registry(sources: Sources) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(sources));
    registry
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let moment = Moment {
            sources: self,
            snapshot: self.current.load_full(),
            config: self.status.config.load_full(),
        };
        for metric in all() {
            let mut samples = Samples::default();
            (metric.read)(&moment, &mut samples);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in &samples.0 {
                if labels.is_empty() {
                    value.encode(&mut family)?;
                    continue;
                }
                let pairs: Vec<(&str, &str)> = metric
                    .labels
                    .iter()
                    .copied()
                    .zip(labels.iter().map(String::as_str))
                    .collect();
                value.encode(&mut family.encode_family(&pairs)?)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Count(count) => encoder.encode_counter::<NoLabelSet, u64, f64>(count, None),
            Self::Level(level) => encoder.encode_gauge(level),
            Self::Times { sum, buckets } => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}

/// Upper bounds of the latency buckets in seconds, the last one without end.
fn bounds() -> impl Iterator<Item = f64> {
    LATENCY_BOUNDS
        .iter()
        .map(std::time::Duration::as_secs_f64)
        .chain([f64::INFINITY])
}

/// A gauge of a number that is small enough to be exact.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; above 2^53 its last digits do not matter"
)]
fn level(number: u64) -> f64 {
    number as f64
}

fn read(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metric")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = include_str!("../../../docs/metrics.md");

    fn full_name(metric: &Metric) -> String {
        let suffix = match metric.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{suffix}", metric.name)
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_one_exists() {
        let labels = |metric: &Metric| metric.labels.join(", ");
        let kind = |metric: &Metric| format!("{:?}", metric.kind).to_lowercase();
        let expected: Vec<String> = all()
            .map(|metric| {
                let (name, kind, labels) = (full_name(metric), kind(metric), labels(metric));
                format!("| `{name}` | {kind} | {labels} | {} |", metric.help)
            })
            .collect();
        let documented: Vec<&str> = DOCUMENTED
            .lines()
            .filter(|line| line.starts_with("| `evenkeel_"))
            .collect();
        assert_eq!(documented, expected, "wanted:\n{}", expected.join("\n"));
    }

    #[test]
    fn an_idle_proxy_can_be_scraped() {
        let workers: Arc<Sharded<WorkerCounts>> = Arc::new(Sharded::new(2));
        workers.of(0).panics.store(1, Ordering::Relaxed);
        workers.of(1).panics.store(2, Ordering::Relaxed);
        let sources = Sources {
            current: Arc::default(),
            status: Arc::default(),
            workers: Arc::clone(&workers),
            sink: Arc::new(Sink::closed()),
            log_lost: Arc::default(),
            spans_lost: Arc::default(),
            secrets: Arc::default(),
            clock: Clock::start(),
        };
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry(sources)).unwrap();
        assert!(text.contains("evenkeel_ready 0"), "{text}");
        assert!(text.contains("evenkeel_panics_total 3"), "{text}");
        assert!(
            text.contains("evenkeel_xds_nacks_total{type=\"Cluster\"} 0"),
            "{text}"
        );
    }
}
