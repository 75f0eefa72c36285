//! `evenkeel demo traces`: takes spans as a collector does (OTLP over gRPC) and
//! shows them as Jaeger does, as far as the demo needs it. For machines that
//! have no Jaeger; what it keeps is in memory and bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use http::{StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use parking_lot::Mutex;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::ring::Ring;
use super::pages::{self, Page};
use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

mod jaeger;
mod ring;

/// The viewer; it brings everything along.
const VIEWER: &str = include_str!("traces/viewer.html");
/// Streams that one connection may have open.
const MAX_STREAMS: u32 = 32;
/// Traces of an answer if none are asked for, and the most.
const LIMIT: (usize, usize) = (20, 1500);

/// Arguments of `demo traces`.
#[derive(Debug, Args)]
#[command(after_help = "\
The newest 10,000 traces are kept, in at most 64 MiB. GET /api/services,
/api/traces?service=NAME&limit=N and /api/traces/ID answer as Jaeger does.

Examples:
  evenkeel demo traces
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 evenkeel proxy")]
pub(crate) struct TracesArgs {
    /// Address for spans, OTLP over gRPC.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317")]
    otlp: SocketAddr,
    /// Address for people.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:16686")]
    listen: SocketAddr,
}

/// Runs `demo traces` until it is interrupted.
pub(crate) async fn run(args: &TracesArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let otlp = pages::listen(args.otlp).await?;
    let people = pages::listen(args.listen).await?;
    terminal.note(format_args!(
        "spans to http://{}, traces on http://{}",
        otlp.local_addr()?,
        people.local_addr()?
    ));
    let receiver = Receiver::default();
    let ring = Arc::clone(&receiver.ring);
    let stop = CancellationToken::new();
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(TraceServiceServer::new(receiver))
        .serve_with_incoming_shutdown(TcpListenerStream::new(otlp), stop.cancelled());
    tokio::select! {
        ended = server => ended.map_err(|error| Failure::Failed(error.to_string()))?,
        () = pages::serve(people, move |uri| answer(&ring, uri)) => {}
        () = super::stage::interrupted() => {}
    }
    Ok(Verdict::Good)
}

/// Takes spans.
#[derive(Debug, Default)]
struct Receiver {
    ring: Arc<Mutex<Ring>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let rejected = self.ring.lock().take(request.into_inner());
        let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: "a span needs ids of 16 and 8 bytes, and a trace has at most 256 spans"
                .to_owned(),
        });
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success,
        }))
    }
}

/// The page of a path.
fn answer(ring: &Mutex<Ring>, uri: &Uri) -> Page {
    let path = uri.path();
    if let Some(id) = path.strip_prefix("/api/traces/") {
        let found = u128::from_str_radix(id, 16)
            .ok()
            .and_then(|id| ring.lock().trace(id).map(jaeger::trace));
        return match found {
            Some(trace) => pages::json(StatusCode::OK, &jaeger::answer(&[trace])),
            None => refused(StatusCode::NOT_FOUND, "trace not found"),
        };
    }
    match path {
        "/api/services" => {
            let services = ring.lock().services();
            let services: Vec<_> = services.into_iter().map(Into::into).collect();
            pages::json(StatusCode::OK, &jaeger::answer(&services))
        }
        "/api/traces" => traces(ring, uri),
        "/healthz" => {
            let held = ring.lock().held();
            pages::json(StatusCode::OK, &held)
        }
        _ if path.starts_with("/api/") => refused(StatusCode::NOT_FOUND, "no such page"),
        _ => pages::html(VIEWER),
    }
}

fn traces(ring: &Mutex<Ring>, uri: &Uri) -> Page {
    let query = query(uri);
    let Some(service) = query.get("service").filter(|name| !name.is_empty()) else {
        return refused(StatusCode::BAD_REQUEST, "parameter 'service' is required");
    };
    let limit = match query.get("limit").map(|limit| limit.parse::<usize>()) {
        None => LIMIT.0,
        Some(Ok(limit @ 1..)) if limit <= LIMIT.1 => limit,
        Some(_) => {
            return refused(
                StatusCode::BAD_REQUEST,
                "parameter 'limit' must be a number from 1 to 1500",
            );
        }
    };
    let ring = ring.lock();
    let found: Vec<_> = ring
        .newest(service)
        .take(limit)
        .map(jaeger::trace)
        .collect();
    pages::json(StatusCode::OK, &jaeger::answer(&found))
}

fn refused(status: StatusCode, why: &str) -> Page {
    pages::json(status, &jaeger::refusal(status.as_u16(), why))
}

/// The parameters of a query; the last one of a name wins.
fn query(uri: &Uri) -> BTreeMap<String, String> {
    let query = uri.query().unwrap_or_default();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// Text of a query without its escapes; a broken escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(*high).zip(digit(*low));
                value.and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::ring::testing::spans;
    use super::*;

    async fn asked(ring: &Mutex<Ring>, path: &str) -> (u16, Value) {
        let page = answer(ring, &path.parse().unwrap());
        let status = page.status().as_u16();
        let body = page.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_trace_is_found_by_its_service_and_by_its_id() {
        let receiver = Receiver::default();
        let request = Request::new(spans("evenkeel proxy", 0xabc, 2));
        let taken = receiver.export(request).await.unwrap().into_inner();
        assert_eq!(taken.partial_success, None);
        let ring = &receiver.ring;
        let (_, services) = asked(ring, "/api/services").await;
        assert_eq!(services["data"][0], "evenkeel proxy");
        let (_, found) = asked(ring, "/api/traces?service=evenkeel%20proxy&limit=1").await;
        let id = "00000000000000000000000000000abc";
        assert_eq!(found["data"][0]["traceID"], id);
        let (status, one) = asked(ring, &format!("/api/traces/{id}")).await;
        assert_eq!((status, &one["data"][0]), (200, &found["data"][0]));
        let (_, none) = asked(ring, "/api/traces?service=other").await;
        assert_eq!(none["data"].as_array().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let ring = Mutex::default();
        for (path, status) in [
            ("/api/traces", 400),
            ("/api/traces?service=a&limit=0", 400),
            ("/api/traces?service=a&limit=x", 400),
            ("/api/traces/00ff", 404),
            ("/api/traces/nothing", 404),
            ("/api/other", 404),
        ] {
            let (answered, body) = asked(&ring, path).await;
            assert_eq!(answered, status, "{path}");
            assert_eq!(body["errors"][0]["code"], status, "{path}");
        }
    }

    #[tokio::test]
    async fn spans_without_ids_are_refused_and_counted() {
        let receiver = Receiver::default();
        let mut request = spans("a", 1, 2);
        for span in &mut request.resource_spans[0].scope_spans[0].spans {
            span.trace_id.clear();
        }
        let taken = receiver.export(Request::new(request)).await.unwrap();
        let rejected = taken.into_inner().partial_success.unwrap();
        assert_eq!(rejected.rejected_spans, 2);
    }

    #[test]
    fn escapes_are_read() {
        assert_eq!(decoded("a%20b+c"), "a b c");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz"), "%zz");
    }
}
