//! Traces in the JSON of Jaeger's query service.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Map, Value, json};

use super::ring::{Made, Process, Trace};

/// An answer with data.
pub(super) fn answer(data: &[Value]) -> Value {
    json!({ "total": data.len(), "data": data, "limit": 0, "offset": 0, "errors": null })
}

/// An answer without.
pub(super) fn refusal(code: u16, why: &str) -> Value {
    let errors = [json!({ "code": code, "msg": why })];
    json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors })
}

/// One trace.
pub(super) fn trace(trace: &Trace) -> Value {
    let id = format!("{:032x}", trace.id);
    let mut known: Vec<&Arc<Process>> = Vec::new();
    let mut spans = Vec::new();
    for made in &trace.spans {
        let same = known.iter().position(|one| **one == made.process);
        let index = same.unwrap_or_else(|| {
            known.push(&made.process);
            known.len() - 1
        });
        spans.push(span(made, &id, index));
    }
    let processes = known.iter().enumerate().map(|(index, process)| {
        let rest = process.attributes.iter();
        let rest = rest.filter(|one| one.key != "service.name").map(tag);
        let process = json!({
            "serviceName": process.service,
            "tags": rest.collect::<Vec<_>>(),
        });
        (key(index), process)
    });
    let processes: Map<String, Value> = processes.collect();
    json!({ "traceID": id, "spans": spans, "processes": processes, "warnings": null })
}

fn key(process: usize) -> String {
    format!("p{}", process + 1)
}

fn span(made: &Made, trace: &str, process: usize) -> Value {
    let span = &made.span;
    let mut references = Vec::new();
    if !span.parent_span_id.is_empty() {
        references.push(json!({
            "refType": "CHILD_OF",
            "traceID": trace,
            "spanID": hex(&span.parent_span_id),
        }));
    }
    let length = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    let logs = span.events.iter().map(|event| {
        let name = json!({ "key": "event", "type": "string", "value": event.name });
        let fields = std::iter::once(name).chain(event.attributes.iter().map(tag));
        json!({
            "timestamp": event.time_unix_nano / 1_000,
            "fields": fields.collect::<Vec<_>>(),
        })
    });
    json!({
        "traceID": trace,
        "spanID": hex(&span.span_id),
        "operationName": span.name,
        "references": references,
        "startTime": span.start_time_unix_nano / 1_000,
        "duration": length / 1_000,
        "tags": tags(span),
        "logs": logs.collect::<Vec<_>>(),
        "processID": key(process),
        "warnings": null,
    })
}

fn tags(span: &Span) -> Vec<Value> {
    let mut tags: Vec<Value> = span.attributes.iter().map(tag).collect();
    let kind = match span.kind() {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    };
    let text = |key: &str, value: &str| json!({ "key": key, "type": "string", "value": value });
    tags.extend(kind.map(|kind| text("span.kind", kind)));
    if let Some(status) = &span.status {
        match status.code() {
            StatusCode::Unset => {}
            StatusCode::Ok => tags.push(text("otel.status_code", "OK")),
            StatusCode::Error => {
                tags.push(text("otel.status_code", "ERROR"));
                tags.push(json!({ "key": "error", "type": "bool", "value": true }));
            }
        }
        if !status.message.is_empty() {
            tags.push(text("otel.status_description", &status.message));
        }
    }
    tags
}

fn tag(attribute: &KeyValue) -> Value {
    let (kind, value) = match attribute.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Any::BoolValue(value)) => ("bool", json!(value)),
        Some(Any::IntValue(value)) => ("int64", json!(value)),
        Some(Any::DoubleValue(value)) => ("float64", json!(value)),
        Some(Any::StringValue(value)) => ("string", json!(value)),
        Some(other) => ("string", json!(plain(other).to_string())),
        None => ("string", json!("")),
    };
    json!({ "key": attribute.key, "type": kind, "value": value })
}

/// A value that has no type of its own in Jaeger.
fn plain(value: &Any) -> Value {
    let inner = |any: &AnyValue| any.value.as_ref().map_or(Value::Null, plain);
    match value {
        Any::BoolValue(value) => json!(value),
        Any::IntValue(value) => json!(value),
        Any::DoubleValue(value) => json!(value),
        Any::StringValue(value) => json!(value),
        Any::BytesValue(value) => json!(hex(value)),
        Any::ArrayValue(list) => list.values.iter().map(inner).collect(),
        Any::KvlistValue(list) => {
            let pairs = list.values.iter();
            let pairs = pairs.map(|one| {
                let value = one.value.as_ref().map_or(Value::Null, inner);
                (one.key.clone(), value)
            });
            Value::Object(pairs.collect())
        }
        Any::StringValueStrindex(_) => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::ring::Ring;
    use super::super::ring::testing::{attribute, spans};
    use super::*;

    #[test]
    fn spans_point_to_their_parents_and_times_are_in_microseconds() {
        let mut ring = Ring::default();
        let mut request = spans("proxy", 7, 2);
        let second = &mut request.resource_spans[0].scope_spans[0].spans[1];
        second
            .attributes
            .push(attribute("retries", Any::IntValue(2)));
        second.status = Some(opentelemetry_proto::tonic::trace::v1::Status {
            code: 2,
            message: "reset".to_owned(),
        });
        ring.take(request);
        let told = trace(ring.trace(7).unwrap());
        let (first, second) = (&told["spans"][0], &told["spans"][1]);
        assert_eq!(first["references"], json!([]));
        assert_eq!(second["references"][0]["spanID"], first["spanID"]);
        assert_eq!(
            (&second["startTime"], &second["duration"]),
            (&json!(2), &json!(5))
        );
        let has = |key: &str, value: Value| {
            let tags = second["tags"].as_array().unwrap();
            tags.iter()
                .any(|tag| tag["key"] == key && tag["value"] == value)
        };
        assert!(has("retries", json!(2)) && has("error", json!(true)));
        assert!(has("span.kind", json!("server")));
        let process = second["processID"].as_str().unwrap();
        assert_eq!(told["processes"][process]["serviceName"], "proxy");
        assert_eq!(told["processes"].as_object().unwrap().len(), 1);
    }
}
