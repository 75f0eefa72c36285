//! A connection that speaks HTTP/2 with prior knowledge.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::listen::accept::Phase;
use crate::listen::connection::Conn;
use crate::listen::convert;
use crate::listen::io::ClientIo;
use crate::listen::stall::StreamExec;
use crate::listen::watch::Alarm;

/// How often a client that has gone quiet is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that a client may reset before they were looked at
/// (CVE-2023-44487); one more ends the connection.
const RESET_BEFORE_ACCEPT: usize = 20;
/// Streams that a client may make us reset (CVE-2025-8671); one more ends the
/// connection.
const RESET_BY_US: usize = 256;
/// Window of one stream and of the connection, in bytes: what a client can make
/// us hold.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of answers held for one stream while its client does not read.
const SEND_BUFFER: usize = 128 * 1024;

/// How long a client may take to see that its idle connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a connection came to its end.
enum End {
    /// The protocol is done, or broke.
    Done(hyper::Result<()>),
    /// The client took too long.
    Expired,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    conn: Rc<Conn>,
    io: ClientIo,
    mut alarm: Alarm,
    mut phase: watch::Receiver<Phase>,
) {
    let shared = Rc::clone(&conn);
    let service = service_fn(move |request| Box::pin(convert::handle(Rc::clone(&shared), request)));
    let mut http = pin!(builder(&conn).serve_connection(TokioIo::new(io), service));
    let mut told = false;
    loop {
        let driven = poll_fn(|cx| {
            if !told && conn.watch.may_go_away() {
                told = true;
                http.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                return Poll::Ready(End::Done(result));
            }
            alarm.poll(&conn.watch, cx).map(|_| End::Expired)
        });
        let end = tokio::select! {
            biased;
            end = driven => end,
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_err() || now == Phase::Cut {
                    return;
                }
                conn.watch.enter(now);
                continue;
            }
        };
        match end {
            End::Done(Ok(())) => {}
            End::Done(Err(error)) => {
                tracing::debug!(listener = %conn.listener.spec.name, %error, "connection ended");
            }
            End::Expired => {
                http.as_mut().graceful_shutdown();
                // A client that does not even take this is cut.
                let _ = tokio::time::timeout(GOODBYE, http).await;
            }
        }
        return;
    }
}

fn builder(conn: &Rc<Conn>) -> http2::Builder<StreamExec> {
    let limits = &conn.listener.spec.limits;
    let idle = conn.listener.spec.timeouts.stream_idle;
    let mut builder = http2::Builder::new(StreamExec::new(Rc::clone(&conn.worker), idle));
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(limits.header_bytes)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_pending_accept_reset_streams(RESET_BEFORE_ACCEPT)
        .max_local_error_reset_streams(RESET_BY_US)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}
