//! What a collector, a scraper and a reader of logs see of a retried request.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::client::Client;
use evenkeel_tests::collector::Collector;
use evenkeel_tests::config;
use evenkeel_tests::process::{ControlPlane, Proxy, eventually};
use http::Request;
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::SOON;

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const CALLER: u64 = 0x00f0_67aa_0ba9_02b7;

/// A proxy that traces and logs, over a bad and a good backend in turn.
struct Traced {
    collector: Collector,
    proxy: Proxy,
    good: SocketAddr,
    log: PathBuf,
    _backends: [Backend; 2],
    _control_plane: ControlPlane,
}

async fn traced(directory: &Path) -> anyhow::Result<Traced> {
    let collector = Collector::start().await?;
    let control_plane = ControlPlane::start(directory).await?;
    let endpoint = format!("http://{}", collector.address);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let proxy = Proxy::start_with("p1", control_plane.xds, directory, &environment).await?;
    let bad = Backend::start("bad", Mode::Status(503)).await?;
    let good = Backend::start("good", Mode::Serve).await?;
    let log = directory.join("access.log");
    let access_log = format!("\n  accessLog: {{path: \"{}\"}}\n---\nkind", log.display());
    let shop = [
        config::proxy_listener("p1", proxy.listener).replace("\n---\nkind", &access_log),
        config::route("shop", &["p1"], "shop.test", "shop"),
        config::cluster("shop", &[(bad.address, 1), (good.address, 1)])
            .replace("spec:\n", "spec:\n  loadBalancer: {roundRobin: {}}\n"),
    ];
    control_plane.apply(&shop.concat(), &["--wait"]).await?;
    Ok(Traced {
        collector,
        proxy,
        good: good.address,
        log,
        _backends: [bad, good],
        _control_plane: control_plane,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_request_is_one_trace_one_log_line_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let traced = traced(directory.path()).await.unwrap();
    // In turn over two hosts, one of two requests begins at the bad one.
    for _ in 0..2 {
        let request = Request::get("/cart?item=1")
            .header("traceparent", format!("00-{TRACE:032x}-{CALLER:016x}-01"))
            .body(Full::default())
            .unwrap();
        let mut client = Client::new(traced.proxy.listener, "shop.test");
        assert_eq!(client.send(request).await.unwrap().status, 200);
    }
    let attempts = judge_log(&traced).await;
    judge_spans(&traced, attempts).await;
    let metrics = traced.proxy.admin("/metrics").await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("evenkeel_requests_total"), "{metrics}");
    assert!(
        metrics.contains("evenkeel_cluster_retries_total"),
        "{metrics}"
    );
}

/// Every request is a span of the caller's trace, every attempt one below it.
async fn judge_spans(traced: &Traced, mut logged: Vec<usize>) {
    let expected = logged.len() + logged.iter().sum::<usize>();
    let spans = eventually(SOON, || async {
        let spans = traced.collector.spans();
        anyhow::ensure!(spans.len() >= expected, "{} spans", spans.len());
        Ok(spans)
    })
    .await
    .unwrap();
    let of_kind = |kind: SpanKind| -> Vec<&Span> {
        let kind = kind as i32;
        spans.iter().filter(|span| span.kind == kind).collect()
    };
    let servers = of_kind(SpanKind::Server);
    let attempts = of_kind(SpanKind::Client);
    assert_eq!(spans.len(), expected);
    assert!(
        spans
            .iter()
            .all(|span| span.trace_id == TRACE.to_be_bytes())
    );
    assert!(
        servers
            .iter()
            .all(|span| span.parent_span_id == CALLER.to_be_bytes())
    );
    let mut traced: Vec<usize> = servers
        .iter()
        .map(|server| {
            attempts
                .iter()
                .filter(|attempt| attempt.parent_span_id == server.span_id)
                .count()
        })
        .collect();
    traced.sort_unstable();
    logged.sort_unstable();
    assert_eq!(traced, logged);
}

/// The lines say what was attempted; how many attempts each request had.
async fn judge_log(traced: &Traced) -> Vec<usize> {
    let lines = eventually(SOON, || async {
        let text = std::fs::read_to_string(&traced.log)?;
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        anyhow::ensure!(lines.len() == 2, "{} of 2 lines", lines.len());
        Ok(lines)
    })
    .await
    .unwrap();
    let attempts = |line: &serde_json::Value| line["attempts"].as_array().map_or(0, Vec::len);
    let retried = lines.iter().find(|line| attempts(line) == 2).unwrap();
    assert_eq!(retried["status"], 200);
    assert_eq!(retried["attempts"][0]["status"], 503);
    assert_eq!(retried["attempts"][1]["upstream"], traced.good.to_string());
    lines.iter().map(attempts).collect()
}
