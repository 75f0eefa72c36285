//! A few pages over HTTP, for those who look at a part of the demo.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Connections held at once; one more waits for a free place.
const MAX_CONNECTIONS: usize = 64;
/// Time for the head of a request, and between two of them.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// Wait after an accept that failed, which passes when descriptors are free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// What is answered.
pub(super) type Page = Response<Full<Bytes>>;

/// Takes an address.
///
/// # Errors
/// It cannot be had.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {address}: {error}")))
}

/// Answers with `page` until it is dropped.
pub(super) async fn serve<P>(listener: TcpListener, page: P)
where
    P: Fn(&Uri) -> Page + Send + Sync + 'static,
{
    let page = Arc::new(page);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let page = Arc::clone(&page);
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = page(request.uri());
                async move { Ok::<_, Infallible>(answer) }
            });
            // A reader that went away is not our business.
            drop(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_WITHIN)
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

/// A JSON value.
pub(super) fn json(status: StatusCode, value: &Value) -> Page {
    page(status, "application/json", format!("{value}\n"))
}

/// An HTML page that brings everything along.
pub(super) fn html(text: &'static str) -> Page {
    let mut response = page(StatusCode::OK, "text/html; charset=utf-8", text);
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'",
        ),
    );
    response
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Page {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
