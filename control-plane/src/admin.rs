//! The admin port: whether the process lives and is ready, and what it counts.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::metrics::Metrics;

pub mod metrics;

/// The media type of what Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone)]
struct Admin {
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

/// The pages. They are served only after the stored configuration is loaded,
/// so the process is ready until it shuts down.
pub fn router(metrics: Arc<Metrics>, shutdown: CancellationToken) -> Router {
    let admin = Admin { metrics, shutdown };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> Response {
    if admin.shutdown.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response()
    } else {
        "ok\n".into_response()
    }
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    match admin.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
