//! One connection of the load generator, with TLS or without.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::message::Reader;

/// The name that all certificates carry.
pub(crate) const SERVER_NAME: &str = "shop.example.com";

/// What a turn brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// More is to come.
    Waiting,
    /// The answer is there, and has a status of 2xx.
    Answered,
    /// The answer is there, and is none to be glad of.
    Refused,
}

/// A connection and the one request on it.
#[derive(Debug)]
pub(super) struct Connection {
    /// The socket, for the registry.
    pub(super) stream: TcpStream,
    tls: Option<ClientConnection>,
    reader: Reader,
    /// Bytes of the request that are sent; none if there is no request.
    sent: Option<usize>,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(SERVER_NAME)?;
        let tls = tls.map(|config| ClientConnection::new(Arc::clone(config), name));
        Ok(Self {
            stream,
            tls: tls.transpose()?,
            reader: Reader::default(),
            sent: None,
        })
    }

    /// Has a request to send from now on.
    pub(super) fn begin(&mut self) {
        self.sent = Some(0);
    }

    /// Whether its handshake was resumed.
    pub(super) fn is_resumed(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Sends and reads what can be.
    ///
    /// # Errors
    /// If the connection is of no use any more.
    pub(super) fn turn(&mut self, request: &[u8], buffer: &mut [u8]) -> anyhow::Result<Turn> {
        self.send(request)?;
        loop {
            let Some(read) = self.read(buffer)? else {
                // An answer from TLS to the server, such as the end of a handshake,
                // makes room for the request.
                self.send(request)?;
                return Ok(Turn::Waiting);
            };
            ensure!(read > 0, "the connection was closed");
            let input = buffer.get(..read).context("read more than there is room")?;
            let (took, is_over) = self.reader.feed(input)?;
            if is_over {
                ensure!(took == read, "bytes after the answer");
                self.sent = None;
                let line = self.reader.first_line();
                let is_good = line.starts_with(b"HTTP/1.1 2");
                return Ok(if is_good {
                    Turn::Answered
                } else {
                    Turn::Refused
                });
            }
        }
    }

    fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                if blocked(tls.write_tls(&mut self.stream))?.is_none() {
                    return Ok(());
                }
            }
            if tls.is_handshaking() {
                return Ok(());
            }
        }
        while let Some(sent) = self.sent.filter(|sent| *sent < request.len()) {
            let rest = request.get(sent..).unwrap_or_default();
            let wrote = match &mut self.tls {
                None => blocked(self.stream.write(rest))?,
                Some(tls) => {
                    let wrote = tls.writer().write(rest)?;
                    blocked(tls.write_tls(&mut self.stream))?.map(|_| wrote)
                }
            };
            let Some(wrote) = wrote else {
                return Ok(());
            };
            self.sent = Some(sent + wrote);
        }
        Ok(())
    }

    /// Plain bytes; nothing if there are none now.
    fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            return Ok(blocked(self.stream.read(buffer))?);
        };
        loop {
            if let Some(read) = blocked(tls.reader().read(buffer))? {
                return Ok(Some(read));
            }
            match blocked(tls.read_tls(&mut self.stream))? {
                None => return Ok(None),
                Some(0) => return Ok(Some(0)),
                Some(_) => {
                    tls.process_new_packets()?;
                }
            }
            while tls.wants_write() {
                if blocked(tls.write_tls(&mut self.stream))?.is_none() {
                    break;
                }
            }
        }
    }
}

/// Nothing if it would block.
fn blocked(result: std::io::Result<usize>) -> std::io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        // Not connected yet: the event tells when.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
        Err(error) => Err(error),
    }
}
