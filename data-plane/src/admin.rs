//! The admin port: readiness for orchestrators, metrics for Prometheus, state for
//! people, and a few commands. Everybody may read; who may change something,
//! [`guard`] decides.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use evenkeel_shared::names::ListenerName;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::guard::Guard;
use crate::clock::Clock;
use crate::runtime::snapshot::Snapshot;
use crate::tick::Tick;
use crate::tls::secrets::Secrets;
use crate::xds::applier::{Command, Handle};
use crate::xds::view::Status;

mod certificates;
mod dump;
pub mod guard;

/// What is served, and how it is asked for.
const PAGES: [(&str, &str); 14] = [
    (
        "GET /ready",
        "200 if requests can be served, else 503 and why",
    ),
    ("GET /livez", "200 as long as the control thread runs"),
    ("GET /healthz", "the same as /ready"),
    ("GET /metrics", "metrics for Prometheus"),
    ("GET /stats/prometheus", "the same as /metrics"),
    (
        "GET /config_dump",
        "the configuration, what is refused and what is held",
    ),
    ("GET /clusters", "clusters and their hosts; ?format=json"),
    (
        "GET /listeners",
        "listeners and their addresses; ?format=json",
    ),
    (
        "GET /certs",
        "certificates and until when they are valid; ?format=json",
    ),
    ("GET /server_info", "who this is"),
    (
        "POST /drain_listeners",
        "stop being ready, and end all listeners after the delay of a drain",
    ),
    ("POST /quitquitquit", "stop, after the requests have ended"),
    ("POST /removals/confirm", "apply a push that is held back"),
    ("GET /", "this page"),
];

/// Most listeners that a reason names; the rest is counted.
const MOST_NAMED: usize = 5;

/// Addresses that listeners are bound to, as far as known.
pub type Addresses = Arc<Mutex<BTreeMap<ListenerName, SocketAddr>>>;

/// What the pages show and the commands act on.
#[derive(Debug)]
pub struct Admin {
    /// Node id.
    pub node: String,
    /// Node cluster.
    pub cluster: String,
    /// Id of the process.
    pub instance: String,
    /// Threads that carry requests.
    pub workers: usize,
    /// What is in force.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// The configuration side.
    pub status: Arc<Status>,
    /// What listeners are bound to.
    pub addresses: Addresses,
    /// Certificates and keys.
    pub secrets: Arc<Secrets>,
    /// Takes commands about the configuration.
    pub applier: Handle,
    /// Who may change something.
    pub guard: Guard,
    /// All metrics.
    pub metrics: Registry,
    /// Now.
    pub clock: Clock,
    /// Whether the proxy is being drained.
    pub draining: CancellationToken,
    /// Asks the process to stop.
    pub quit: CancellationToken,
}

/// Serves the pages until `ended`.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    ended: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(admin))
        .with_graceful_shutdown(ended)
        .await
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/ready", get(ready))
        .route("/healthz", get(ready))
        .route("/livez", get(livez))
        .route("/metrics", get(metrics))
        .route("/stats/prometheus", get(metrics))
        .route("/config_dump", get(config_dump))
        .route("/clusters", get(clusters))
        .route("/listeners", get(listeners))
        .route("/certs", get(certs))
        .route("/server_info", get(server_info))
        .route("/drain_listeners", post(drain_listeners))
        .route("/quitquitquit", post(quit))
        .route("/removals/confirm", post(confirm_removals))
        .fallback(unknown_page)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&admin), guard::check))
        .with_state(admin)
}

type Shared = State<Arc<Admin>>;

async fn index() -> String {
    let mut text = String::from("Evenkeel proxy\n\n");
    for (page, purpose) in PAGES {
        text.push_str(page);
        text.extend(std::iter::repeat_n(
            ' ',
            26_usize.saturating_sub(page.len()),
        ));
        text.push_str(purpose);
        text.push('\n');
    }
    text
}

async fn ready(State(admin): Shared) -> Response {
    let answer = if admin.draining.is_cancelled() {
        Err("draining".to_owned())
    } else if !admin.status.is_configured() {
        Err(unconfigured(&admin))
    } else {
        let config = admin.status.config.load();
        Ok(match &config.mass_removal {
            Some(held) => format!("ready, but a push is {}\n", held.reason),
            None => "ready\n".to_owned(),
        })
    };
    match answer {
        Ok(text) => text.into_response(),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        )
            .into_response(),
    }
}

/// Why there is no first good configuration yet.
fn unconfigured(admin: &Admin) -> String {
    let config = admin.status.config.load();
    if !config.unkept.is_empty() {
        return lacking_secrets(admin, &config.unkept);
    }
    if let Some(waiting) = config.waiting.first() {
        return format!("{waiting} waits for what it refers to");
    }
    if let Some((key, rejected)) = config.rejected.first_key_value() {
        let fault = rejected.faults.first().map(ToString::to_string);
        return format!("{key} is refused: {}", fault.unwrap_or_default());
    }
    match &admin.status.line.lock().last_error {
        Some(error) => format!("no configuration yet: {error}"),
        None => "no configuration yet".to_owned(),
    }
}

/// Why what an earlier run saved is not enough.
fn lacking_secrets(admin: &Admin, listeners: &[ListenerName]) -> String {
    let named = listeners.iter().take(MOST_NAMED);
    let mut named: Vec<String> = named.map(|name| format!("{:?}", name.as_str())).collect();
    let rest = listeners.len() - named.len();
    if rest > 0 {
        named.push(format!("and {rest} more"));
    }
    let named = named.join(", ");
    let reason = "the control plane has yet to send secrets, which are not kept on disk; until \
                  then these listeners are closed";
    match &admin.status.line.lock().last_error {
        Some(error) => format!("{reason}: {named} ({error})"),
        None => format!("{reason}: {named}"),
    }
}

async fn livez() -> &'static str {
    "live\n"
}

async fn metrics(State(admin): Shared) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.metrics) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn config_dump(State(admin): Shared) -> Response {
    json(&dump::config(&admin))
}

async fn clusters(State(admin): Shared, request: Request) -> Response {
    let now = admin.clock.now();
    let snapshot = admin.current.load_full();
    let clusters = dump::clusters(&snapshot, &admin.status.names.load(), now);
    match format_of(&request) {
        Ok(Format::Json) => json(&clusters),
        Ok(Format::Text) => dump::clusters_text(clusters).into_response(),
        Err(refused) => refused,
    }
}

async fn listeners(State(admin): Shared, request: Request) -> Response {
    let addresses = admin.addresses.lock().clone();
    match format_of(&request) {
        Ok(Format::Json) => json(&addresses),
        Ok(Format::Text) => {
            let lines = addresses.iter();
            let lines: Vec<String> = lines
                .map(|(name, address)| format!("{name} {address}\n"))
                .collect();
            lines.concat().into_response()
        }
        Err(refused) => refused,
    }
}

async fn certs(State(admin): Shared, request: Request) -> Response {
    let shown = admin.secrets.shown();
    match format_of(&request) {
        Ok(Format::Json) => json(&certificates::all(&shown)),
        Ok(Format::Text) => certificates::text(&shown).into_response(),
        Err(refused) => refused,
    }
}

async fn server_info(State(admin): Shared) -> Response {
    let line = admin.status.line.lock().clone();
    json(&serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "node": admin.node,
        "cluster": admin.cluster,
        "instance": admin.instance,
        "workers": admin.workers,
        "uptime_seconds": admin.clock.now().since(Tick::default()).as_secs(),
        "state": if admin.draining.is_cancelled() { "DRAINING" } else { "LIVE" },
        "control_plane": line.endpoint,
        "control_plane_error": line.last_error,
    }))
}

async fn drain_listeners(State(admin): Shared) -> &'static str {
    admin.draining.cancel();
    admin.applier.tell(Command::Shut);
    "draining: listeners end after the delay\n"
}

async fn quit(State(admin): Shared) -> &'static str {
    admin.quit.cancel();
    "stopping\n"
}

async fn confirm_removals(State(admin): Shared) -> Response {
    match admin.applier.confirm().await {
        Some(reason) => format!("applied, {reason}\n").into_response(),
        None => (StatusCode::CONFLICT, "nothing is held back\n").into_response(),
    }
}

async fn unknown_page(request: Request) -> Response {
    let text = format!("no such page: {}; see /\n", request.uri().path());
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let path = request.uri().path();
    let allowed = PAGES.iter().find_map(|(page, _)| {
        let (method, known) = page.split_once(' ')?;
        (known == path).then_some(method)
    });
    let allowed = allowed.unwrap_or("GET");
    let text = format!("{path} takes {allowed}, not {}\n", request.method());
    let headers = [(header::ALLOW, allowed)];
    (StatusCode::METHOD_NOT_ALLOWED, headers, text).into_response()
}

/// How a page is written.
enum Format {
    Text,
    Json,
}

/// What the query asks for.
#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn format_of(request: &Request) -> Result<Format, Response> {
    match request.uri().query() {
        None | Some("" | "format=text") => Ok(Format::Text),
        Some("format=json") => Ok(Format::Json),
        Some(other) => {
            let text = format!("invalid query {other:?}: must be format=json or format=text\n");
            Err((StatusCode::BAD_REQUEST, text).into_response())
        }
    }
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
