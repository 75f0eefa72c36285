//! gRPC over HTTP/2, with as little between the socket and the message as there
//! can be: a thousand clients share a processor with what they measure.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;
use prost::Message;
use tokio::net::TcpSocket;

/// Windows of a connection and of its streams: large enough never to wait.
const WINDOW: u32 = 1 << 24;

/// In front of each message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    requests: SendRequest<Bytes>,
    authority: String,
}

/// A call that is open on both sides.
#[derive(Debug)]
pub(super) struct Call {
    out: SendStream<Bytes>,
    answer: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
    read: BytesMut,
}

impl Channel {
    /// Connects from an address.
    ///
    /// # Errors
    /// If nobody listens, or it does not speak HTTP/2.
    pub(super) async fn open(from: IpAddr, to: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake::<_, Bytes>(stream)
            .await?;
        // How it ends is seen by its calls.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Self {
            requests,
            authority: to.to_string(),
        })
    }

    /// Begins a call.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(super) async fn call(&self, path: &str) -> anyhow::Result<Call> {
        let request = Request::post(format!("http://{}{path}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut ready = self.requests.clone().ready().await?;
        let (answer, out) = ready.send_request(request, false)?;
        Ok(Call {
            out,
            answer: Some(answer),
            body: None,
            read: BytesMut::new(),
        })
    }

    /// Asks once, and takes one answer.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn ask<A: Message + Default>(
        &self,
        path: &str,
        question: &impl Message,
    ) -> anyhow::Result<A> {
        let mut call = self.call(path).await?;
        call.send(question, true)?;
        call.next()
            .await?
            .with_context(|| format!("{path}: no answer"))
    }
}

impl Call {
    /// Sends a message; the last one if `end`.
    ///
    /// # Errors
    /// If the call is over.
    pub(super) fn send(&mut self, message: &impl Message, end: bool) -> anyhow::Result<()> {
        let length = message.encoded_len();
        let mut bytes = BytesMut::with_capacity(HEAD + length);
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(length)?);
        message.encode(&mut bytes)?;
        Ok(self.out.send_data(bytes.freeze(), end)?)
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// If the call fails.
    pub(super) async fn next<A: Message + Default>(&mut self) -> anyhow::Result<Option<A>> {
        if let Some(answer) = self.answer.take() {
            let (head, body) = answer.await?.into_parts();
            let status = head.headers.get("grpc-status");
            let failed = status.is_some_and(|status| status != "0");
            ensure!(!failed, "refused: {:?}", head.headers.get("grpc-message"));
            self.body = Some(body);
        }
        let body = self.body.as_mut().context("no answer")?;
        loop {
            if let Some(message) = whole(&mut self.read)? {
                return Ok(Some(A::decode(message)?));
            }
            let Some(piece) = body.data().await else {
                let trailers = body.trailers().await?.unwrap_or_default();
                let status = trailers.get("grpc-status");
                let failed = status.is_some_and(|status| status != "0");
                ensure!(!failed, "ended: {:?}", trailers.get("grpc-message"));
                return Ok(None);
            };
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            self.read.extend_from_slice(&piece);
        }
    }
}

/// Takes the first message out of what was read, if all of it is there.
fn whole(read: &mut BytesMut) -> anyhow::Result<Option<Bytes>> {
    let Some((compressed, mut length)) = read.get(..HEAD).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    ensure!(*compressed == 0, "a compressed message");
    let length = usize::try_from(length.get_u32())?;
    if read.len() < HEAD + length {
        return Ok(None);
    }
    read.advance(HEAD);
    Ok(Some(read.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_of_what_was_read() {
        let mut read = BytesMut::from(&b"\0\0\0\0\x02ab\0\0\0\0\x01"[..]);
        assert_eq!(whole(&mut read).unwrap().unwrap(), &b"ab"[..]);
        assert_eq!(whole(&mut read).unwrap(), None);
        read.extend_from_slice(b"c");
        assert_eq!(whole(&mut read).unwrap().unwrap(), &b"c"[..]);
        assert_eq!(whole(&mut read).unwrap(), None);
        read.extend_from_slice(b"\x01\0\0\0\0");
        assert!(whole(&mut read).is_err());
    }
}
