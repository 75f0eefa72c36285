//! Serves what came in through the ports, until the process ends.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::warn;

use super::DRAIN;
use crate::door::Conn;

/// How often a silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long it has for an answer.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);

/// The most bytes of headers of a request.
const HEADERS: u32 = 16 << 10;

/// The largest frame, in bytes; the least that RFC 9113 allows.
const FRAME: u32 = 16 << 10;

/// What a client may send on a stream before it was read, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;

/// What a client may send on a connection before it was read, in bytes.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// How many streams that a client took back before they were looked at are
/// remembered; more end the connection (CVE-2023-44487).
const RESETS: usize = 20;

/// How many streams the server may have to take back because the client breaks
/// the protocol; more end the connection.
const ERRORS: usize = 128;

/// Serves a gRPC port. HTTP/2 is held to bounds that no client of ours comes
/// near, so that one client costs little however it behaves.
pub(super) async fn serve(
    routes: Routes,
    requests: u32,
    connections: ReceiverStream<io::Result<Conn>>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .max_concurrent_streams(requests)
        .http2_max_header_list_size(HEADERS)
        .max_frame_size(FRAME)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(ERRORS))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, shutdown.clone().cancelled_owned());
    end_in_time(server, &shutdown).await
}

pub(super) async fn serve_admin(
    pages: axum::Router,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let server =
        axum::serve(listener, pages).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    end_in_time(async { server.await }, &shutdown).await
}

/// Lets a server finish after the shutdown, but not for ever.
async fn end_in_time<E>(
    server: impl Future<Output = Result<(), E>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = late => {
            warn!("some connections did not end in time");
            Ok(())
        }
    }
}
