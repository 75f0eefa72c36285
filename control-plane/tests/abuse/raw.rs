//! HTTP/2 by hand, to say what no client library would.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::task::JoinHandle;

use crate::plane::Duplex;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATH: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// The client's side of a connection.
pub(crate) struct Raw {
    write: WriteHalf<Box<dyn Duplex>>,
    reading: Option<JoinHandle<()>>,
    pongs: Option<tokio::sync::mpsc::Receiver<Vec<u8>>>,
}

impl Raw {
    /// One that reads whatever comes and does not care.
    pub(crate) async fn careless(stream: Box<dyn Duplex>) -> io::Result<Self> {
        let (mut read, write) = split(stream);
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while matches!(read.read(&mut buffer).await, Ok(1..)) {}
        });
        let raw = Self {
            write,
            reading: Some(reading),
            pongs: None,
        };
        raw.begin(None).await
    }

    /// One that never reads.
    pub(crate) async fn deaf(stream: Box<dyn Duplex>) -> io::Result<Self> {
        let (read, write) = split(stream);
        let reading = tokio::spawn(async move {
            let _held = read;
            std::future::pending::<()>().await;
        });
        let raw = Self {
            write,
            reading: Some(reading),
            pongs: None,
        };
        raw.begin(None).await
    }

    /// One that answers pings, and makes so much room on each stream.
    pub(crate) async fn polite(stream: Box<dyn Duplex>, window: u32) -> io::Result<Self> {
        let (read, write) = split(stream);
        let (sender, pongs) = tokio::sync::mpsc::channel(16);
        let reading = tokio::spawn(answer(read, sender));
        let raw = Self {
            write,
            reading: Some(reading),
            pongs: Some(pongs),
        };
        raw.begin(Some(window)).await
    }

    async fn begin(mut self, window: Option<u32>) -> io::Result<Self> {
        self.write.write_all(PREFACE).await?;
        let mut settings = Vec::new();
        if let Some(window) = window {
            settings.extend(4_u16.to_be_bytes());
            settings.extend(window.to_be_bytes());
        }
        self.frame(SETTINGS, 0, 0, &settings).await?;
        self.write.flush().await?;
        Ok(self)
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) -> io::Result<()> {
        self.write
            .write_all(&frame(kind, flags, stream, body))
            .await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await?;
        self.write.flush().await
    }

    /// Opens a stream of configuration.
    pub(crate) async fn ask(&mut self, stream: u32) -> io::Result<()> {
        self.frame(HEADERS, END_HEADERS, stream, &headers(&[]))
            .await?;
        self.write.flush().await
    }

    /// Opens a stream and takes it back, again and again.
    pub(crate) async fn ask_and_reset(&mut self, first: u32, times: u32) -> io::Result<()> {
        let mut bytes = Vec::new();
        for number in 0..times {
            let stream = first + 2 * number;
            bytes.extend(frame(HEADERS, END_HEADERS, stream, &headers(&[])));
            bytes.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
        }
        self.write(&bytes).await
    }

    /// Opens a stream with so many bytes of headers beside the usual ones.
    pub(crate) async fn ask_with(&mut self, stream: u32, bytes: usize) -> io::Result<()> {
        let value = "x".repeat(1000);
        let names: Vec<String> = (0..bytes / 1000).map(|n| format!("x-{n}")).collect();
        let extra: Vec<(&str, &str)> = names
            .iter()
            .map(|name| (name.as_str(), value.as_str()))
            .collect();
        let block = headers(&extra);
        let mut parts = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            self.frame(kind, flags, stream, part).await?;
            kind = CONTINUATION;
        }
        self.write.flush().await
    }

    /// Sends a message on a stream.
    pub(crate) async fn message(&mut self, stream: u32, message: &[u8]) -> io::Result<()> {
        let size = u32::try_from(message.len()).unwrap();
        let mut body = vec![0];
        body.extend(size.to_be_bytes());
        body.extend(message);
        for part in body.chunks(16_000) {
            self.frame(DATA, 0, stream, part).await?;
        }
        self.write.flush().await
    }

    /// Asks for so many answers.
    pub(crate) async fn pings(&mut self, times: usize) -> io::Result<()> {
        let ping = frame(PING, 0, 0, &[7; 8]);
        self.write(&ping.repeat(times)).await
    }

    /// Goes on as promised until the connection is closed.
    pub(crate) async fn closed(&mut self) {
        if let Some(mut pongs) = self.pongs.take() {
            while let Some(pong) = pongs.recv().await {
                if self.write(&pong).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.abort();
        }
    }
}

/// Reads frames, and what has to be answered for the connection to seem alive.
async fn answer(mut read: ReadHalf<Box<dyn Duplex>>, answers: tokio::sync::mpsc::Sender<Vec<u8>>) {
    loop {
        let mut head = [0; 9];
        if read.read_exact(&mut head).await.is_err() {
            return;
        }
        let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut body = vec![0; size];
        if read.read_exact(&mut body).await.is_err() {
            return;
        }
        let answer = match (head[3], head[4] & ACK) {
            (PING, 0) => frame(PING, ACK, 0, &body),
            (SETTINGS, 0) => frame(SETTINGS, ACK, 0, &[]),
            _ => continue,
        };
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut frame = size[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}

/// A block of headers without compression (RFC 7541, section 6.2.2).
fn headers(extra: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", "plane.test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in usual.iter().chain(extra) {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length of seven bits and more (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// Writes bytes one by one, slowly.
pub(crate) async fn drip(mut stream: Box<dyn Duplex>) -> io::Result<()> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &headers(&[])));
    bytes.extend(frame(DATA, 0, 1, &[0; 16_000]));
    for byte in bytes {
        stream.write_all(&[byte]).await?;
        stream.flush().await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
