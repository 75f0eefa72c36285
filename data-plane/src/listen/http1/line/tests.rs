use std::future::poll_fn;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::listen::transport::Transport;
use crate::message::Piece;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::sink::Sink;
use crate::worker::WorkerShared;

const LIMITS: Limits = Limits {
    bytes: 1_000,
    fields: 10,
};

/// A line, what its connection is doing, and its client.
async fn line() -> (SharedLine, Rc<Watch>, TcpStream) {
    let config = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let (triggers, _) = mpsc::channel(1);
    let clock = Clock::start();
    let shared = WorkerShared::new(1, config, clock, triggers, Arc::new(Sink::closed()));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(socket.local_addr().unwrap()).await;
    let (stream, _) = socket.accept().await.unwrap();
    let watch = Rc::new(Watch::new(clock));
    let io = ClientIo::new(Transport::Plain(stream), Rc::clone(&watch));
    let line = Line::new(Worker::alone(&Arc::new(shared)), LIMITS, io);
    (Rc::new(RefCell::new(line)), watch, client.unwrap())
}

async fn head(line: &SharedLine, watch: &Watch) -> Request {
    let head = poll_fn(|cx| line.borrow_mut().poll_head(watch, cx)).await;
    head.unwrap().unwrap()
}

async fn is_pending(mut poll: impl FnMut(&mut Context<'_>) -> bool) -> bool {
    poll_fn(|cx| Poll::Ready(poll(cx))).await
}

#[tokio::test]
async fn a_silent_connection_holds_no_memory() {
    let (line, watch, mut client) = line().await;
    let waits = is_pending(|cx| line.borrow_mut().poll_head(&watch, cx).is_pending()).await;
    assert!(waits);
    assert_eq!(line.borrow().ahead.capacity(), 0);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let request = head(&line, &watch).await;
    assert_eq!(request.length, BodyLength::None);
    assert_eq!(line.borrow().ahead.capacity(), 0);
    let there = is_pending(|cx| line.borrow_mut().poll_gone(cx).is_pending()).await;
    assert!(there);
    assert_eq!(line.borrow().ahead.capacity(), 0);
    line.borrow()
        .worker
        .buffers
        .give_fields(request.head.fields);
    assert_eq!(line.borrow().worker.buffers.kept(), 1);
}

#[tokio::test]
async fn what_comes_ahead_is_bounded() {
    let (line, watch, mut client) = line().await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    head(&line, &watch).await;
    let flood = vec![b'x'; 1_000_000];
    let sent = tokio::spawn(async move {
        // Never ends while nobody reads, but for the end of the connection.
        let _ = client.write_all(&flood).await;
    });
    poll_fn(|cx| {
        let mut line = line.borrow_mut();
        assert!(line.poll_gone(cx).is_pending());
        if line.ahead.len() < LIMITS.bytes {
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
    assert!(line.borrow().ahead.len() <= LIMITS.bytes + BUFFER);
    drop(line.borrow_mut().hang_up());
    sent.await.unwrap();
}

#[tokio::test]
async fn small_pieces_of_a_body_do_not_hold_buffers() {
    let (line, watch, mut client) = line().await;
    let post = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab";
    client.write_all(post).await.unwrap();
    head(&line, &watch).await;
    let ClientBody::Http1(mut body) = Line::body(&line) else {
        panic!("there is a body");
    };
    assert_eq!(body.length(), Some(3));
    let piece = poll_fn(|cx| body.poll_piece(cx)).await.unwrap().unwrap();
    assert!(matches!(piece, Piece::Data(data) if data == "ab"));
    assert_eq!(line.borrow().ahead.capacity(), 0);
    client.write_all(b"cGET").await.unwrap();
    let piece = poll_fn(|cx| body.poll_piece(cx)).await.unwrap().unwrap();
    assert!(matches!(piece, Piece::Data(data) if data == "c"));
    assert!(body.is_end());
    assert_eq!(line.borrow().ahead, b"GET");
}

#[tokio::test]
async fn a_body_ends_with_its_connection_for_whoever_still_reads_it() {
    let (line, watch, mut client) = line().await;
    let post = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n";
    client.write_all(post).await.unwrap();
    head(&line, &watch).await;
    let ClientBody::Http1(mut body) = Line::body(&line) else {
        panic!("there is a body");
    };
    let reading = tokio::task::LocalSet::new();
    let read = reading.spawn_local(async move { poll_fn(|cx| body.poll_piece(cx)).await });
    reading
        .run_until(async {
            tokio::task::yield_now().await;
            let io = line.borrow_mut().hang_up();
            assert!(matches!(read.await.unwrap(), Some(Err(_))));
            drop(io);
        })
        .await;
}
