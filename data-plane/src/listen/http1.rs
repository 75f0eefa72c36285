//! A connection that speaks HTTP/1.1.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::listen::accept::Phase;
use crate::listen::connection::Conn;
use crate::listen::convert::{self, HyperAnswer};
use crate::listen::io::ClientIo;
use crate::listen::watch::{Alarm, Expiry};

/// Smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8_192;

/// What a client that did not complete a header in time is told.
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    connection: close\r\ncontent-length: 0\r\nx-evenkeel-reason: header-timeout\r\n\r\n";

/// After an answer that came before the end of the request, the rest is read
/// and thrown away for this long: closing at once would reset the connection,
/// and the reset may overtake the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes read meanwhile.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

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
    let mut io = parts.io.into_inner();
    match end {
        End::Done(Ok(())) => match conn.tunnel.take() {
            Some(tunnel) => {
                io.expect_anything();
                io.put_back(parts.read_buf);
                tunnel.run(io, phase).await;
            }
            None => close(io, false).await,
        },
        End::Done(Err(error)) => {
            count_refusal(&conn, &error);
            if conn.watch.is_reset() {
                reset(&io);
            } else {
                close(io, error.is_parse()).await;
            }
        }
        End::Expired(Expiry::Header) => {
            count_answer(&conn);
            io.offer(REQUEST_TIMEOUT).await;
            close(io, false).await;
        }
        End::Expired(Expiry::Idle) => close(io, false).await,
        End::Expired(Expiry::Stalled) | End::Cut => reset(&io),
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
        count_answer(conn);
    }
}

fn count_answer(conn: &Conn) {
    let counts = conn.listener.counts.of(conn.worker.index);
    counts.answers[4].fetch_add(1, Ordering::Relaxed);
}

/// Closes in order: what was sent arrives. `malformed` is what was read last.
async fn close(mut io: ClientIo, malformed: bool) {
    let more_may_come = malformed || io.is_within_request();
    let until = Instant::now() + LINGER;
    // With TLS the client must take what is left, and the word of the end.
    let closed = tokio::time::timeout_at(until, io.shutdown()).await;
    if !matches!(closed, Ok(Ok(()))) || !more_may_come {
        return;
    }
    let mut buffer = vec![0; SMALLEST_BUFFER];
    let mut left = LINGER_BYTES;
    while let Ok(Ok(read)) = tokio::time::timeout_at(until, io.read(&mut buffer)).await {
        if read == 0 || read > left {
            return;
        }
        left -= read;
    }
}

/// Closes so that the client sees a broken connection.
fn reset(io: &ClientIo) {
    // If even this does not work, the close that follows will do.
    let _ = socket2::SockRef::from(io.socket()).set_linger(Some(Duration::ZERO));
}
