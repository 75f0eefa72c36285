//! How a connection of HTTP/1.1 is ended.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::listen::connection::Conn;
use crate::listen::io::ClientIo;

/// What a client that did not complete a header in time is told.
pub(super) const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    connection: close\r\ncontent-length: 0\r\nx-evenkeel-reason: header-timeout\r\n\r\n";

/// After an answer that came before the end of the request, the rest is read
/// and thrown away for this long: closing at once would reset the connection,
/// and the reset may overtake the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes read meanwhile.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of them read at once.
const PIECE: usize = 8 * 1024;

/// Counts an answer to what never became a request.
pub(super) fn count_answer(conn: &Conn, status: u16) {
    let counts = conn.listener.counts.of(conn.worker.index);
    if let Some(answers) = counts.answers.get(usize::from(status / 100)) {
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Closes in order: what was sent arrives. `more_may_come` if the client may not
/// be done with what it sends.
pub(super) async fn close(mut io: ClientIo, more_may_come: bool) {
    let until = Instant::now() + LINGER;
    // With TLS the client must take what is left, and the word of the end.
    let closed = tokio::time::timeout_at(until, io.shutdown()).await;
    if !matches!(closed, Ok(Ok(()))) || !more_may_come {
        return;
    }
    let mut buffer = vec![0; PIECE];
    let mut left = LINGER_BYTES;
    while let Ok(Ok(read)) = tokio::time::timeout_at(until, io.read(&mut buffer)).await {
        if read == 0 || read > left {
            return;
        }
        left -= read;
    }
}

/// Closes so that the client sees a broken connection.
pub(super) fn reset(io: &ClientIo) {
    // If even this does not work, the close that follows will do.
    let _ = socket2::SockRef::from(io.socket()).set_linger(Some(Duration::ZERO));
}
