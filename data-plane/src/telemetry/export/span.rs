//! A record as spans, named after OpenTelemetry's semantic conventions for
//! HTTP. Pure.

use std::time::SystemTime;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::outcome::Outcome;
use crate::telemetry::access_log::{failure_label, reason_label};
use crate::telemetry::record::{Attempt, Record};
use crate::tick::Tick;

/// Name of the instrumentation.
const SCOPE: &str = "evenkeel";

/// Turns ticks into the time of day.
pub(super) struct Moments {
    now: Tick,
    wall: jiff::Timestamp,
}

impl Moments {
    /// At `now` the clock on the wall shows `wall`.
    pub(super) fn new(now: Tick, wall: jiff::Timestamp) -> Self {
        Self { now, wall }
    }

    fn at(&self, tick: Tick) -> SystemTime {
        let ago = self.now.since(tick);
        let wall = SystemTime::from(self.wall);
        wall.checked_sub(ago).unwrap_or(wall)
    }
}

/// The span of the request.
pub(super) fn server(record: &Record, moments: &Moments) -> SpanData {
    let route = record.route.as_ref().map(|route| route.spec.name.as_str());
    let name = route.map_or_else(
        || record.method.clone(),
        |route| format!("{} {route}", record.method),
    );
    let (path, query) = match record.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (record.target.as_str(), None),
    };
    let mut attributes = vec![
        KeyValue::new(semconv::HTTP_REQUEST_METHOD, record.method.clone()),
        KeyValue::new(semconv::URL_PATH, path.to_owned()),
        KeyValue::new(semconv::SERVER_ADDRESS, record.authority.clone()),
        KeyValue::new(semconv::CLIENT_ADDRESS, record.client.to_string()),
        KeyValue::new(semconv::NETWORK_PEER_ADDRESS, record.peer.ip().to_string()),
        KeyValue::new(semconv::NETWORK_PEER_PORT, i64::from(record.peer.port())),
        KeyValue::new(semconv::NETWORK_PROTOCOL_VERSION, version(record.protocol)),
        KeyValue::new("evenkeel.listener", record.listener.as_ref().to_owned()),
        KeyValue::new("evenkeel.request_id", record.request_id.clone()),
    ];
    let optional = [
        (semconv::URL_QUERY, query),
        (semconv::USER_AGENT_ORIGINAL, record.user_agent.as_deref()),
        (semconv::HTTP_ROUTE, route),
        ("evenkeel.cluster", record.cluster.as_deref()),
        ("evenkeel.reason", record.reason.map(reason_label)),
    ];
    attributes.extend(
        optional
            .into_iter()
            .filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned()))),
    );
    attributes.extend(security(record));
    if record.status != 0 {
        let status = i64::from(record.status);
        attributes.push(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, status));
    }
    let failed = record.status >= 500 || record.status == 0;
    let error = record.reason.map_or_else(
        || record.status.to_string(),
        |reason| reason_label(reason).to_owned(),
    );
    finish(
        Draft {
            record,
            span_id: record.trace.span_id,
            parent: record.trace.parent_id,
            kind: SpanKind::Server,
            name,
            from: moments.at(record.started),
            to: moments.at(record.started.plus(record.took)),
        },
        attributes,
        failed.then_some(error),
    )
}

/// How the client is connected, and who it is.
fn security(record: &Record) -> impl Iterator<Item = KeyValue> {
    let scheme = record.tls_version.map_or("http", |_| "https");
    let version = record.tls_version.and_then(|of| of.strip_prefix("TLSv"));
    [
        (semconv::URL_SCHEME, Some(scheme)),
        ("tls.protocol.version", version),
        (
            "evenkeel.client_identity",
            record.client_identity.as_deref(),
        ),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned())))
}

/// The spans of the attempts.
pub(super) fn clients<'a>(
    record: &'a Record,
    moments: &'a Moments,
) -> impl Iterator<Item = SpanData> + 'a {
    (0_i64..)
        .zip(&record.attempts)
        .map(move |(resends, attempt)| client(record, moments, attempt, resends))
}

fn client(record: &Record, moments: &Moments, attempt: &Attempt, resends: i64) -> SpanData {
    let mut attributes = vec![
        KeyValue::new(semconv::HTTP_REQUEST_METHOD, record.method.clone()),
        KeyValue::new(semconv::SERVER_ADDRESS, attempt.address.ip().to_string()),
        KeyValue::new(semconv::SERVER_PORT, i64::from(attempt.address.port())),
    ];
    if resends > 0 {
        attributes.push(KeyValue::new(semconv::HTTP_REQUEST_RESEND_COUNT, resends));
    }
    if let Some(cluster) = &record.cluster {
        attributes.push(KeyValue::new(
            "evenkeel.cluster",
            cluster.as_ref().to_owned(),
        ));
    }
    let mut error = failure_label(attempt.outcome).map(str::to_owned);
    if let Some(Outcome::Response { status, .. }) = attempt.outcome {
        let code = i64::from(status);
        attributes.push(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, code));
        error = (status >= 400).then(|| status.to_string());
    }
    finish(
        Draft {
            record,
            span_id: attempt.span_id,
            parent: record.trace.span_id,
            kind: SpanKind::Client,
            name: record.method.clone(),
            from: moments.at(attempt.started),
            to: moments.at(attempt.started.plus(attempt.took)),
        },
        attributes,
        error,
    )
}

/// What differs between the two kinds of spans.
struct Draft<'a> {
    record: &'a Record,
    span_id: u64,
    parent: u64,
    kind: SpanKind,
    name: String,
    from: SystemTime,
    to: SystemTime,
}

fn finish(draft: Draft<'_>, mut attributes: Vec<KeyValue>, error: Option<String>) -> SpanData {
    let trace = &draft.record.trace;
    let state = trace.state.as_deref().unwrap_or_default();
    let status = match &error {
        Some(_) => Status::error(""),
        None => Status::Unset,
    };
    attributes.extend(error.map(|error| KeyValue::new(semconv::ERROR_TYPE, error)));
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace.trace_id),
            SpanId::from(draft.span_id),
            TraceFlags::SAMPLED,
            false,
            state.parse::<TraceState>().unwrap_or_default(),
        ),
        parent_span_id: SpanId::from(draft.parent),
        parent_span_is_remote: draft.kind == SpanKind::Server && draft.parent != 0,
        span_kind: draft.kind,
        name: draft.name.into(),
        start_time: draft.from,
        end_time: draft.to,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

/// `1.1` of `HTTP/1.1`.
fn version(protocol: &'static str) -> &'static str {
    protocol.split_once('/').map_or(
        protocol,
        |(_, version)| {
            if version == "2.0" { "2" } else { version }
        },
    )
}
