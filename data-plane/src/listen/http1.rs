//! A connection that speaks HTTP/1.1: one request after the other, each read,
//! answered by the proxy, and its answer written.
//!
//! One task for each connection. While a connection is idle, it holds no buffer.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::watch;

use crate::http1::request::Request;
use crate::http1::{Limits, Refused};
use crate::listen::accept::Phase;
use crate::listen::connection::Conn;
use crate::listen::ending::{REQUEST_TIMEOUT, close, count_answer, reset};
use crate::listen::http1::answer::{Answering, Failed};
use crate::listen::http1::framing::Asked;
use crate::listen::http1::line::{Line, SharedLine};
use crate::listen::io::ClientIo;
use crate::listen::watch::{Alarm, Expiry};
use crate::proxy::tunnel::Tunnel;
use crate::proxy::{self, Answer};

mod answer;
pub(crate) mod body;
mod framing;
mod line;
mod refusal;
mod sending;

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// Nobody has anything more to say; the client may still be sending.
    Done { more_may_come: bool },
    /// The client went away.
    Gone,
    /// What it sent last must not be believed.
    Refused(Refused),
    /// An answer broke off.
    Broken,
    /// It has become a tunnel.
    Switched,
    /// The client took too long.
    Expired(Expiry),
    /// The time of the drain is over.
    Cut,
}

/// Serves a connection to its end.
pub(super) fn serve(
    conn: Rc<Conn>,
    io: ClientIo,
    mut alarm: Alarm,
    mut phase: watch::Receiver<Phase>,
) -> impl Future<Output = ()> {
    let limits = limits(&conn);
    let line = Line::new(Rc::clone(&conn.worker), limits, io);
    let line = Rc::new(RefCell::new(line));
    async move {
        let end = drive(&conn, &line, (&mut alarm, &mut phase)).await;
        let hung_up = line.borrow_mut().hang_up();
        // It holds the connection, so it must not stay there.
        let tunnel = conn.tunnel.take();
        if let Some((io, ahead)) = hung_up {
            // In a box, so that connections that go on need no room for it.
            Box::pin(finish(&conn, (io, ahead), (end, tunnel), phase)).await;
        }
    }
}

fn limits(conn: &Conn) -> Limits {
    let limits = &conn.listener.spec.limits;
    Limits {
        bytes: usize::try_from(limits.header_bytes).unwrap_or(usize::MAX),
        fields: usize::try_from(limits.headers).unwrap_or(usize::MAX),
    }
}

/// Serves requests while the client, the listener and the clock allow it.
async fn drive(
    conn: &Rc<Conn>,
    line: &SharedLine,
    (alarm, phase): (&mut Alarm, &mut watch::Receiver<Phase>),
) -> End {
    let mut requests = pin!(requests(conn, line));
    let mut look = phase.clone();
    loop {
        let mut changed = pin!(phase.changed());
        // Whether the listener knows whom to wake: always the task of this
        // connection.
        let mut registered = false;
        let ended = poll_fn(|cx| {
            if let Poll::Ready(end) = requests.as_mut().poll(cx) {
                return Poll::Ready(Some(end));
            }
            if let Poll::Ready(expiry) = alarm.poll(&conn.watch, cx) {
                return Poll::Ready(Some(End::Expired(expiry)));
            }
            if registered && matches!(look.has_changed(), Ok(false)) {
                return Poll::Pending;
            }
            registered = true;
            changed.as_mut().poll(cx).map(|_| None)
        });
        if let Some(end) = ended.await {
            return end;
        }
        let now = *look.borrow_and_update();
        if look.has_changed().is_err() || now == Phase::Cut {
            return End::Cut;
        }
        conn.watch.enter(now);
    }
}

/// One request after the other.
async fn requests(conn: &Rc<Conn>, line: &SharedLine) -> End {
    loop {
        let read = poll_fn(|cx| {
            let mut line = line.borrow_mut();
            let read = line.poll_head(&conn.watch, cx);
            if read.is_pending() && line.is_silent() && conn.watch.may_close() {
                return Poll::Ready(Ok(None));
            }
            read
        });
        let ended = match read.await {
            Ok(Some(request)) => exchange(conn, line, request).await,
            Ok(None) => Some(End::Done {
                more_may_come: false,
            }),
            Err(refused) => Some(End::Refused(refused)),
        };
        if let Some(end) = ended {
            return end;
        }
    }
}

/// Has a request answered. `None` if another may follow.
async fn exchange(conn: &Rc<Conn>, line: &SharedLine, request: Request) -> Option<End> {
    let asked = Asked {
        method: request.head.method,
        version: request.head.version,
        keep_alive: request.keep_alive,
    };
    let body = Line::body(line);
    let handled = proxy::handle(Rc::clone(conn), request.head, body);
    let Some(answer) = unless_gone(line, handled).await else {
        return Some(End::Gone);
    };
    let switches = answer.status == 101;
    let leaving = conn.watch.is_leaving();
    let mut answering = Answering::begin(line, asked, answer, leaving);
    let sent = poll_fn(|cx| {
        if let Poll::Ready(sent) = answering.poll(line, cx) {
            return Poll::Ready(sent);
        }
        let gone = line.borrow_mut().poll_gone(cx);
        gone.map(|()| Err(Failed::Client))
    });
    let sent = sent.await;
    let is_last = answering.is_last;
    answering.finish();
    match sent {
        Err(Failed::Client) => Some(End::Gone),
        Err(Failed::Cut) => Some(End::Broken),
        Ok(()) if switches => Some(End::Switched),
        Ok(()) => {
            let mut line = line.borrow_mut();
            let complete = line.settle();
            let more_may_come = !complete || !line.is_silent();
            (is_last || !complete).then_some(End::Done { more_may_come })
        }
    }
}

/// The answer; `None` if the client goes away before. The request is then given
/// up.
async fn unless_gone(
    line: &SharedLine,
    mut handled: impl Future<Output = Answer> + Unpin,
) -> Option<Answer> {
    poll_fn(|cx| {
        if let Poll::Ready(answer) = pin!(&mut handled).poll(cx) {
            return Poll::Ready(Some(answer));
        }
        line.borrow_mut().poll_gone(cx).map(|()| None)
    })
    .await
}

/// Does with the connection what its end demands.
async fn finish(
    conn: &Conn,
    (mut io, ahead): (ClientIo, Bytes),
    (end, tunnel): (End, Option<Tunnel>),
    phase: watch::Receiver<Phase>,
) {
    match end {
        End::Done { more_may_come } => close(io, more_may_come).await,
        End::Switched => {
            if let Some(tunnel) = tunnel {
                io.put_back(ahead);
                tunnel.run(io, phase).await;
            }
        }
        End::Refused(refused) => {
            tracing::debug!(listener = %conn.listener.spec.name, %refused, "request refused");
            count_answer(conn, refused.status);
            io.offer(&refusal::answer(&refused)).await;
            close(io, true).await;
        }
        End::Expired(Expiry::Header) => {
            count_answer(conn, 408);
            io.offer(REQUEST_TIMEOUT).await;
            close(io, true).await;
        }
        End::Broken if conn.watch.is_reset() => reset(&io),
        End::Broken | End::Gone | End::Expired(Expiry::Idle) => close(io, false).await,
        End::Expired(Expiry::Stalled) | End::Cut => reset(&io),
    }
}
