//! Traces for an OpenTelemetry collector: a SERVER span for each request that is
//! sampled, and a CLIENT span for each of its attempts. Spans are made and sent
//! on a thread of their own; a collector that is away costs spans, never time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::telemetry::record::Record;

mod span;

/// The variable that says where the collector is; without it there are no
/// traces.
const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Most spans in one message.
const BATCH: usize = 512;
/// How long spans may wait for others.
const SEND_EVERY: Duration = Duration::from_secs(1);
/// Time for one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What the thread needs.
#[derive(Debug)]
pub struct Export {
    /// Where records come from.
    pub records: Receiver<Record>,
    /// Turns ticks into the time of day.
    pub clock: Clock,
    /// Requests whose spans were lost.
    pub lost: Arc<AtomicU64>,
    /// Ends the thread once the queue is empty.
    pub shutdown: CancellationToken,
}

/// Whether the environment asks for traces.
pub fn is_wanted() -> bool {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let endpoint = std::env::var_os(ENDPOINT_VARIABLE).is_some_and(|url| !url.is_empty());
    endpoint && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

/// Who sends the spans.
fn resource(node: &str) -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
    let mut builder = Resource::builder()
        .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !named {
        builder = builder.with_service_name("evenkeel-proxy");
    }
    builder.build()
}

impl Export {
    /// Begins the thread. The connection is driven by `runtime`, which must
    /// outlive the thread.
    ///
    /// # Errors
    /// If the environment's settings are of no use, or there can be no more
    /// threads.
    pub fn start(self, node: &str, runtime: &Handle) -> io::Result<JoinHandle<()>> {
        let entered = runtime.enter();
        let built: Result<_, ExporterBuildError> = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .build();
        drop(entered);
        let mut exporter = built.map_err(io::Error::other)?;
        exporter.set_resource(&resource(node));
        let runtime = runtime.clone();
        std::thread::Builder::new()
            .name("evenkeel-trace".to_owned())
            .spawn(move || self.run(&exporter, &runtime))
    }

    fn run(self, exporter: &opentelemetry_otlp::SpanExporter, runtime: &Handle) {
        let mut away = false;
        loop {
            let (batch, requests, ended) = self.collect();
            if !batch.is_empty() {
                let sent = runtime.block_on(send(exporter, batch));
                if let Err(reason) = &sent {
                    self.lost.fetch_add(requests, Ordering::Relaxed);
                    if away {
                        debug!(reason, "traces are not taken");
                    } else {
                        warn!(reason, "traces are not taken");
                    }
                }
                away = sent.is_err();
            }
            if ended {
                return;
            }
        }
    }

    /// Waits for spans and gathers what comes within a second. Returns them, of
    /// how many requests they are, and whether there will be no more.
    fn collect(&self) -> (Vec<SpanData>, u64, bool) {
        let mut spans = Vec::new();
        let mut requests = 0;
        let begun = self.clock.now();
        while spans.len() < BATCH {
            let left = SEND_EVERY.saturating_sub(self.clock.now().since(begun));
            match self.records.recv_timeout(left) {
                Ok(record) => {
                    requests += 1;
                    self.spans(&record, &mut spans);
                }
                Err(RecvTimeoutError::Timeout) => {
                    return (spans, requests, self.shutdown.is_cancelled());
                }
                Err(RecvTimeoutError::Disconnected) => return (spans, requests, true),
            }
        }
        (spans, requests, false)
    }

    fn spans(&self, record: &Record, spans: &mut Vec<SpanData>) {
        let (now, wall) = (self.clock.now(), jiff::Timestamp::now());
        let moment = span::Moments::new(now, wall);
        spans.push(span::server(record, &moment));
        spans.extend(span::clients(record, &moment));
    }
}

/// Sends a batch, for a bounded time.
async fn send(
    exporter: &opentelemetry_otlp::SpanExporter,
    batch: Vec<SpanData>,
) -> Result<(), String> {
    match tokio::time::timeout(SEND_TIMEOUT, exporter.export(batch)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
