//! HTTP/2 with prior knowledge: every request gets an empty-handed gRPC answer.
//! That serves a unary call, and is a valid answer of a collector of traces.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// A message of 16 bytes: not compressed, its length, a field (number 15) that
/// other schemas skip.
const MESSAGE: &[u8] = b"\0\0\0\0\x10\x7a\x0eabcdefghijklmn";

/// Streams open at once on one connection.
const STREAMS: u32 = 1_000;

/// Window of a connection and of a stream: large enough never to wait.
const WINDOW: u32 = 1 << 24;

/// Serves on a thread of its own for the rest of the process.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    std::thread::Builder::new()
        .name("http2".to_owned())
        .spawn(move || LocalSet::new().block_on(&runtime, accept(listener)))
        .context("thread")?;
    Ok(address)
}

async fn accept(listener: std::net::TcpListener) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that fails is the client's loss, which the client counts.
        tokio::task::spawn_local(async move { drop(serve(stream).await) });
    }
}

async fn serve(stream: TcpStream) -> Result<(), h2::Error> {
    let mut connection = server::Builder::new()
        .max_concurrent_streams(STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::task::spawn_local(async move { drop(answer(request, respond).await) });
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        body.flow_control().release_capacity(piece?.len())?;
    }
    let mut head = Response::new(());
    head.headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut stream: SendStream<Bytes> = respond.send_response(head, false)?;
    stream.send_data(Bytes::from_static(MESSAGE), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}
