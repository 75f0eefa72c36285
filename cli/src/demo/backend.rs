//! One instance of a service of the shop: a small HTTP server that can be slow,
//! flaky, and crash.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::duration;
use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

/// Connections held at once; one more waits for a free place.
const MAX_CONNECTIONS: usize = 1024;
/// Ids of requests that are remembered; older ones are forgotten.
const MAX_IDS: usize = 100_000;
/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1 << 20;
/// Wait after an accept that failed, which passes when descriptors are free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How long requests that are under way may take when it is told to end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Arguments of `demo backend`.
#[derive(Debug, Args)]
#[command(after_help = "\
GET /healthz answers 200, GET /stats tells what was counted, GET
/executions/ID how often the POST of this id was executed. Everything else is
answered with the instance's name. POST is counted by its Idempotency-Key or
X-Request-Id.

Examples:
  evenkeel demo backend --listen 127.0.0.1:9001 --name cart-1 --fail-percent 10")]
pub(crate) struct BackendArgs {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    manner: Manner,
}

/// How an instance behaves.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manner {
    /// Name told in every answer.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Time before each answer.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(crate) slow: Duration,
    /// Share of the requests answered with 503, in percent, evenly spread.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) fail_percent: u64,
}

/// Runs `demo backend` until it is interrupted.
pub(crate) async fn run(args: &BackendArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr()?;
    terminal.note(format_args!("{} listens on {address}", args.manner.name));
    let instance = Backend::new(args.manner.clone());
    tokio::task::LocalSet::new()
        .run_until(instance.serve_until(listener, super::stage::interrupted()))
        .await;
    Ok(Verdict::Good)
}

/// An instance, and what it counted. One thread's own.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    manner: Manner,
    counts: Rc<RefCell<Counts>>,
}

/// What an instance counted.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    failed: u64,
    executions: BTreeMap<String, u64>,
    order: VecDeque<String>,
}

impl Counts {
    /// Counts a request; answers its number, from 0.
    fn request(&mut self) -> u64 {
        let number = self.requests;
        self.requests = self.requests.saturating_add(1);
        number
    }

    /// Counts the execution of a request that must happen once; answers how
    /// often it has happened now.
    fn execution(&mut self, id: &str) -> u64 {
        if !self.executions.contains_key(id) {
            if self.order.len() >= MAX_IDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.executions.remove(&oldest);
            }
            self.order.push_back(id.to_owned());
        }
        let count = self.executions.entry(id.to_owned()).or_default();
        *count += 1;
        *count
    }
}

impl Backend {
    /// An instance that has seen nothing.
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            counts: Rc::default(),
        }
    }

    /// Serves until it is dropped; then the port and all connections close at
    /// once, as in a crash. Must run in a `LocalSet`.
    pub(crate) async fn serve(&self, listener: TcpListener) {
        self.serve_until(listener, std::future::pending()).await;
    }

    /// Serves until `end`, and gives the last answers; drops as `serve` does.
    async fn serve_until(&self, listener: TcpListener, end: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let leaving = CancellationToken::new();
        let mut end = std::pin::pin!(end);
        loop {
            while connections.try_join_next().is_some() {}
            // Both may be dropped without loss.
            let accepted = tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut end => break,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            connections.spawn_local(self.clone().converse(stream, leaving.clone()));
        }
        drop(listener);
        leaving.cancel();
        let last = async { while connections.join_next().await.is_some() {} };
        drop(tokio::time::timeout(LAST_ANSWERS, last).await);
    }

    /// One connection, until the client ends it, or with the answer that is under
    /// way when `leaving`.
    async fn converse(self, stream: TcpStream, leaving: CancellationToken) {
        // Small answers at once, not when the kernel has gathered more.
        drop(stream.set_nodelay(true));
        let service = service_fn(move |request| {
            let instance = self.clone();
            async move { Ok::<_, Infallible>(instance.answer(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        // A client that went away is not our business.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = leaving.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        drop(connection.await);
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        match path {
            "/healthz" => return self.json(StatusCode::OK, &json!({ "name": self.manner.name })),
            "/stats" => return self.stats(),
            _ => {}
        }
        if let Some(id) = path.strip_prefix("/executions/") {
            let executions = self.counts.borrow().executions.get(id).copied();
            let body = json!({ "executions": executions.unwrap_or(0) });
            return self.json(StatusCode::OK, &body);
        }
        let (head, body) = request.into_parts();
        if Limited::new(body, MAX_BODY).collect().await.is_err() {
            return self.json(
                StatusCode::PAYLOAD_TOO_LARGE,
                &json!({ "error": "too large" }),
            );
        }
        let number = self.counts.borrow_mut().request();
        if !self.manner.slow.is_zero() {
            tokio::time::sleep(self.manner.slow).await;
        }
        if fails(number, self.manner.fail_percent) {
            self.counts.borrow_mut().failed += 1;
            let body = json!({ "name": self.manner.name, "error": "out of order" });
            return self.json(StatusCode::SERVICE_UNAVAILABLE, &body);
        }
        let mut body = json!({
            "name": self.manner.name,
            "method": head.method.as_str(),
            "path": head.uri.path(),
        });
        if head.method == Method::POST
            && let Some(id) = id(&head.headers)
        {
            body["executions"] = json!(self.counts.borrow_mut().execution(id));
        }
        self.json(StatusCode::OK, &body)
    }

    fn stats(&self) -> Response<Full<Bytes>> {
        let counts = self.counts.borrow();
        let twice = counts
            .executions
            .values()
            .filter(|count| **count > 1)
            .count();
        let body = json!({
            "name": self.manner.name,
            "requests": counts.requests,
            "failed": counts.failed,
            "executed": counts.executions.len(),
            "executedTwice": twice,
        });
        self.json(StatusCode::OK, &body)
    }

    fn json(&self, status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{body}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        if let Ok(name) = http::HeaderValue::from_str(&self.manner.name) {
            headers.insert("x-instance", name);
        }
        response
    }
}

/// Whether request `number` is one of the `percent` that fail; they are evenly
/// spread, so that chance never makes a run of them.
fn fails(number: u64, percent: u64) -> bool {
    (number % 100 * percent) % 100 + percent >= 100 && percent > 0
}

fn id(headers: &HeaderMap) -> Option<&str> {
    let value = headers
        .get("idempotency-key")
        .or_else(|| headers.get("x-request-id"))?;
    value.to_str().ok()
}

/// Takes a port of the loopback interface.
pub(crate) fn free_port() -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_as_many_as_asked_and_spread() {
        for percent in [0, 1, 10, 33, 50, 100] {
            let failed: Vec<u64> = (0..100).filter(|number| fails(*number, percent)).collect();
            assert_eq!(u64::try_from(failed.len()).unwrap(), percent, "{percent}");
        }
        let run = (0..1000)
            .collect::<Vec<_>>()
            .windows(2)
            .any(|pair| pair.iter().all(|number| fails(*number, 10)));
        assert!(!run);
    }

    #[tokio::test]
    async fn an_order_that_is_under_way_is_answered_before_the_end() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let instance = Backend::new(Manner {
            name: "till".to_owned(),
            slow: Duration::from_millis(100),
            fail_percent: 0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (interrupt, interrupted) = tokio::sync::oneshot::channel::<()>();
        let customer = async {
            let mut idle = TcpStream::connect(address).await.unwrap();
            let mut busy = TcpStream::connect(address).await.unwrap();
            let order = b"POST / HTTP/1.1\r\nhost: till\r\ncontent-length: 0\r\n\r\n";
            busy.write_all(order).await.unwrap();
            while instance.counts.borrow().requests == 0 {
                tokio::task::yield_now().await;
            }
            interrupt.send(()).unwrap();
            let mut answer = String::new();
            busy.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        };
        let service = instance.serve_until(listener, async {
            drop(interrupted.await);
        });
        tokio::task::LocalSet::new()
            .run_until(async { tokio::join!(service, customer) })
            .await;
    }

    #[test]
    fn executions_are_counted_by_id() {
        let mut counts = Counts::default();
        assert_eq!(counts.execution("a"), 1);
        assert_eq!(counts.execution("b"), 1);
        assert_eq!(counts.execution("a"), 2);
    }

    #[test]
    fn forgotten_ids_make_room() {
        let mut counts = Counts::default();
        for number in 0..=MAX_IDS {
            counts.execution(&number.to_string());
        }
        assert_eq!(counts.executions.len(), MAX_IDS);
        assert_eq!(counts.execution("0"), 1);
    }
}
