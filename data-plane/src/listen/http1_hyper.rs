//! A connection that speaks HTTP/1.1, read and written by the hyper library.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use crate::listen::accept::Phase;
use crate::listen::connection::Conn;
use crate::listen::convert::{self, HyperAnswer};
use crate::listen::ending::{REQUEST_TIMEOUT, close, count_answer, reset};
use crate::listen::io::ClientIo;
use crate::listen::watch::{Alarm, Expiry};

/// Smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8_192;

/// How a connection came to its end.
enum End {
    /// The protocol is done, or broke.
    Done(hyper::Result<()>),
    /// The client took too long.
    Expired(Expiry),
    /// The time of the drain is over.
    Cut,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    conn: Rc<Conn>,
    mut io: ClientIo,
    mut alarm: Alarm,
    mut phase: watch::Receiver<Phase>,
) {
    let shared = Rc::clone(&conn);
    let service = service_fn(move |request| Box::pin(answer(Rc::clone(&shared), request)));
    io.expect_requests();
    let mut http = builder(&conn).serve_connection(TokioIo::new(io), service);
    let mut told = false;
    let end = loop {
        let driven = poll_fn(|cx| {
            if let Poll::Ready(result) = http.poll_without_shutdown(cx) {
                return Poll::Ready(End::Done(result));
            }
            if !told && conn.watch.may_close() {
                told = true;
                Pin::new(&mut http).graceful_shutdown();
                if let Poll::Ready(result) = http.poll_without_shutdown(cx) {
                    return Poll::Ready(End::Done(result));
                }
            }
            alarm.poll(&conn.watch, cx).map(End::Expired)
        });
        tokio::select! {
            biased;
            end = driven => break end,
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_err() || now == Phase::Cut {
                    break End::Cut;
                }
                conn.watch.enter(now);
            }
        }
    };
    let parts = http.into_parts();
    finish(&conn, (parts.io.into_inner(), parts.read_buf), end, phase).await;
}

/// Does with the connection what its end demands.
async fn finish(
    conn: &Conn,
    (mut io, ahead): (ClientIo, Bytes),
    end: End,
    phase: watch::Receiver<Phase>,
) {
    let tunnel = conn.tunnel.take();
    let within = io.is_within_request();
    match (end, tunnel) {
        (End::Done(Ok(())), Some(tunnel)) => {
            io.expect_anything();
            io.put_back(ahead);
            tunnel.run(io, phase).await;
        }
        (End::Done(Ok(())), None) | (End::Expired(Expiry::Idle), _) => close(io, within).await,
        (End::Done(Err(error)), _) => {
            count_refusal(conn, &error);
            if conn.watch.is_reset() {
                reset(&io);
            } else {
                close(io, error.is_parse() || within).await;
            }
        }
        (End::Expired(Expiry::Header), _) => {
            count_answer(conn, 408);
            io.offer(REQUEST_TIMEOUT).await;
            close(io, within).await;
        }
        (End::Expired(Expiry::Stalled) | End::Cut, _) => reset(&io),
    }
}

/// Answers a request, and says so if no other can follow: closing without a word
/// would meet the client's next one half-way.
async fn answer(
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<HyperAnswer>, Infallible> {
    let watch = Rc::clone(&conn.watch);
    let mut answer = convert::handle(conn, request).await?;
    if watch.is_leaving() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    Ok(answer)
}

fn builder(conn: &Conn) -> http1::Builder {
    let limits = &conn.listener.spec.limits;
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    let headers = usize::try_from(limits.headers).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        // The origin's date is passed on, not replaced.
        .auto_date_header(false)
        // Would hold answers back, without a bound, while the client has sent
        // part of another request.
        .pipeline_flush(false)
        .half_close(false)
        // Cheaper by ourselves, and hyper's would end idle connections too.
        .header_read_timeout(None)
        .max_headers(headers)
        .max_header_size(header_bytes)
        .max_buf_size(header_bytes.max(SMALLEST_BUFFER));
    builder
}

/// hyper answers what is not HTTP by itself; that counts as an answer as well.
fn count_refusal(conn: &Conn, error: &hyper::Error) {
    tracing::debug!(listener = %conn.listener.spec.name, %error, "connection ended");
    if error.is_parse() && !conn.watch.busy() {
        count_answer(conn, 400);
    }
}
