//! The newest traces. The oldest ones make room, by number and by size.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

/// Traces that are kept.
const MAX_TRACES: usize = 10_000;
/// Spans of one trace.
const MAX_SPANS: usize = 256;
/// Size of all spans as they were sent, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Who made a span.
#[derive(Debug, PartialEq)]
pub(super) struct Process {
    /// Name of the service.
    pub(super) service: String,
    /// Everything known of it.
    pub(super) attributes: Vec<KeyValue>,
}

/// A span, and who made it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) span: Span,
    pub(super) process: Arc<Process>,
}

/// The spans of one trace, as they came.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) id: u128,
    pub(super) spans: Vec<Made>,
    bytes: usize,
}

/// The newest traces.
#[derive(Debug, Default)]
pub(super) struct Ring {
    traces: BTreeMap<u128, Trace>,
    /// Ids, the oldest first.
    order: VecDeque<u128>,
    bytes: usize,
    rejected: i64,
    forgotten: u64,
}

impl Ring {
    /// Takes the spans of a request; answers how many are of no use.
    pub(super) fn take(&mut self, request: ExportTraceServiceRequest) -> i64 {
        let mut rejected = 0;
        for group in request.resource_spans {
            let process = Arc::new(process(group.resource));
            for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                if !self.keep(span, &process) {
                    rejected += 1;
                }
            }
        }
        self.rejected = self.rejected.saturating_add(rejected);
        rejected
    }

    fn keep(&mut self, span: Span, process: &Arc<Process>) -> bool {
        let Ok(id) = <[u8; 16]>::try_from(span.trace_id.as_slice()) else {
            return false;
        };
        let id = u128::from_be_bytes(id);
        if id == 0 || span.span_id.len() != 8 {
            return false;
        }
        let trace = self.traces.entry(id).or_default();
        if trace.spans.is_empty() {
            trace.id = id;
            self.order.push_back(id);
        }
        if trace.spans.len() >= MAX_SPANS {
            return false;
        }
        let bytes = span.encoded_len();
        trace.bytes += bytes;
        self.bytes += bytes;
        trace.spans.push(Made {
            span,
            process: Arc::clone(process),
        });
        while self.order.len() > MAX_TRACES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(gone) = self.traces.remove(&oldest) {
                self.bytes -= gone.bytes;
                self.forgotten += 1;
            }
        }
        true
    }

    /// One trace.
    pub(super) fn trace(&self, id: u128) -> Option<&Trace> {
        self.traces.get(&id)
    }

    /// The traces in which a service has a part, the newest first.
    pub(super) fn newest<'r>(&'r self, service: &'r str) -> impl Iterator<Item = &'r Trace> {
        let newest = self.order.iter().rev();
        newest
            .filter_map(|id| self.traces.get(id))
            .filter(move |trace| {
                let mut spans = trace.spans.iter();
                spans.any(|made| made.process.service == service)
            })
    }

    /// The names of all services.
    pub(super) fn services(&self) -> BTreeSet<String> {
        let spans = self.traces.values().flat_map(|trace| &trace.spans);
        spans.map(|made| made.process.service.clone()).collect()
    }

    /// How much is held, and what was not.
    pub(super) fn held(&self) -> Value {
        json!({
            "traces": self.traces.len(),
            "bytes": self.bytes,
            "rejectedSpans": self.rejected,
            "forgottenTraces": self.forgotten,
        })
    }
}

fn process(resource: Option<Resource>) -> Process {
    let attributes = resource.unwrap_or_default().attributes;
    let named = attributes.iter().find(|one| one.key == "service.name");
    let named = named.and_then(|one| one.value.clone()?.value);
    let service = match named {
        Some(Any::StringValue(name)) => name,
        _ => "unknown_service".to_owned(),
    };
    Process {
        service,
        attributes,
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Spans as a proxy sends them.

    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

    use super::*;

    /// An attribute.
    pub(crate) fn attribute(key: &str, value: Any) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    /// A chain of so many spans of a trace.
    pub(crate) fn spans(service: &str, trace: u128, count: u64) -> ExportTraceServiceRequest {
        let span = |number: u64| Span {
            trace_id: trace.to_be_bytes().to_vec(),
            span_id: number.to_be_bytes().to_vec(),
            parent_span_id: match number {
                1 => Vec::new(),
                _ => (number - 1).to_be_bytes().to_vec(),
            },
            name: format!("step {number}"),
            kind: 2,
            start_time_unix_nano: number * 1_000,
            end_time_unix_nano: number * 1_000 + 5_000,
            attributes: vec![attribute("http.route", Any::StringValue("/".to_owned()))],
            ..Span::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![attribute(
                        "service.name",
                        Any::StringValue(service.to_owned()),
                    )],
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    spans: (1..=count).map(span).collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::spans;
    use super::*;

    #[test]
    fn the_oldest_traces_make_room() {
        let mut ring = Ring::default();
        for id in 1..=u128::try_from(MAX_TRACES).unwrap() + 5 {
            ring.take(spans("a", id, 1));
        }
        assert_eq!(ring.traces.len(), MAX_TRACES);
        assert!(ring.trace(5).is_none() && ring.trace(6).is_some());
        assert_eq!(ring.held()["forgottenTraces"], 5);
        let sum: usize = ring.traces.values().map(|trace| trace.bytes).sum();
        assert_eq!(sum, ring.bytes);
        let newest = ring.newest("a").next().unwrap().id;
        assert_eq!(newest, u128::try_from(MAX_TRACES).unwrap() + 5);
    }

    #[test]
    fn a_trace_without_an_end_is_cut() {
        let mut ring = Ring::default();
        let most = u64::try_from(MAX_SPANS).unwrap();
        assert_eq!(ring.take(spans("a", 1, most + 3)), 3);
        assert_eq!(ring.trace(1).unwrap().spans.len(), MAX_SPANS);
    }

    #[test]
    fn large_spans_cost_their_size() {
        let mut ring = Ring::default();
        for id in 1..=5 {
            let mut request = spans("a", id, 1);
            request.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(MAX_BYTES / 4);
            ring.take(request);
        }
        assert!(ring.bytes <= MAX_BYTES);
        assert_eq!(ring.traces.len(), 3);
    }
}
