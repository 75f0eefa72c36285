//! An HTTP/1.1 backend that fails to order and counts what it executed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Names a request in the backend's books.
pub const TEST_ID: &str = "x-test-id";

/// How a backend behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Answers 200.
    Serve,
    /// Answers with this status without executing anything.
    Status(u16),
    /// Resets every connection as soon as it is accepted.
    ResetOnAccept,
    /// Reads a request, then resets the connection.
    ResetAfterRequest,
    /// Accepts and never answers.
    Mute,
}

/// What a backend did, shared with the test.
#[derive(Debug, Default)]
pub struct Books {
    executed: parking_lot::Mutex<HashMap<String, u32>>,
    connections: std::sync::atomic::AtomicU64,
}

impl Books {
    /// How often each request id was executed.
    pub fn executions(&self) -> HashMap<String, u32> {
        self.executed.lock().clone()
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.executed.lock().clear();
    }

    fn note(&self, id: &str) {
        *self.executed.lock().entry(id.to_owned()).or_default() += 1;
    }
}

/// A running backend; it ends when dropped.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it did.
    pub books: Arc<Books>,
    mode: watch::Sender<Mode>,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
    server: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(name: &str, mode: Mode) -> anyhow::Result<Self> {
        Self::start_with(name, mode, None).await
    }

    /// Starts one that speaks TLS.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start_secure(name: &str, tls: Arc<ServerConfig>) -> anyhow::Result<Self> {
        Self::start_with(name, Mode::Serve, Some(tls)).await
    }

    /// Exchanges the TLS settings of one that speaks TLS, for new connections.
    pub fn renew(&self, tls: Arc<ServerConfig>) {
        self.tls.send_replace(Some(tls));
    }

    async fn start_with(
        name: &str,
        mode: Mode,
        tls: Option<Arc<ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(crate::process::free_address()?).await?;
        let address = listener.local_addr()?;
        let books = Arc::new(Books::default());
        let (sender, receiver) = watch::channel(mode);
        let (tls, secured) = watch::channel(tls);
        let part = Part {
            name: name.to_owned(),
            mode: receiver,
            tls: secured,
            books: Arc::clone(&books),
        };
        let server = spawn(listener, part);
        Ok(Self {
            address,
            books,
            mode: sender,
            tls,
            server: Some(server),
        })
    }

    /// Changes its behaviour for what comes next.
    pub fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Closes the port and every connection: from now on connects are refused.
    pub fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }

    /// Listens again on the same port after a crash.
    ///
    /// # Errors
    /// If the port is taken meanwhile.
    pub fn revive(&mut self, name: &str) -> anyhow::Result<()> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address).context("the port was taken")?;
        let listener = socket.listen(1024)?;
        let part = Part {
            name: name.to_owned(),
            mode: self.mode.subscribe(),
            tls: self.tls.subscribe(),
            books: Arc::clone(&self.books),
        };
        self.server = Some(spawn(listener, part));
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.crash();
    }
}

/// What every connection of a backend knows.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    mode: watch::Receiver<Mode>,
    tls: watch::Receiver<Option<Arc<ServerConfig>>>,
    books: Arc<Books>,
}

fn spawn(listener: TcpListener, part: Part) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let count = &part.books.connections;
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            connections.spawn(serve(stream, part.clone()));
            while connections.try_join_next().is_some() {}
        }
    })
}

async fn serve(mut stream: TcpStream, part: Part) {
    let now = *part.mode.borrow();
    match now {
        Mode::ResetOnAccept => return reset(&stream),
        Mode::Mute => {
            let mut sink = [0; 1024];
            while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
            return;
        }
        Mode::Serve | Mode::Status(_) | Mode::ResetAfterRequest => {}
    }
    // A second handle, so that the socket can be reset after hyper dropped its own.
    let handle = SockRef::from(&stream).try_clone();
    let tls = part.tls.borrow().clone();
    let served = match tls {
        None => speak(stream, part).await,
        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
            Ok(stream) => speak(stream, part).await,
            // The other side did not like the certificate, or has none.
            Err(_) => return,
        },
    };
    if let (Err(_), Ok(handle)) = (served, handle) {
        let _ = handle.set_linger(Some(Duration::ZERO));
    }
}

async fn speak<I>(io: I, part: Part) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request| answer(request, part.clone()));
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .await
}

/// Closing with a linger time of zero sends RST instead of FIN.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[derive(Debug)]
struct ResetNow;

impl std::fmt::Display for ResetNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset to order")
    }
}

impl std::error::Error for ResetNow {}

async fn answer(request: Request<Incoming>, part: Part) -> Result<Response<Full<Bytes>>, ResetNow> {
    let id = request
        .headers()
        .get(TEST_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let body = request.into_body().collect().await;
    let Part {
        name, mode, books, ..
    } = part;
    let now = *mode.borrow();
    let status = match now {
        Mode::Status(status) => status,
        Mode::ResetAfterRequest | Mode::ResetOnAccept => {
            note(&books, id.as_deref());
            return Err(ResetNow);
        }
        Mode::Mute => {
            std::future::pending::<Infallible>().await;
            503
        }
        Mode::Serve => 200,
    };
    if status == 200 {
        note(&books, id.as_deref());
    }
    let size = body.map_or(0, |body| body.to_bytes().len());
    let mut response = Response::new(Full::from(format!("{name} {size}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if let Ok(name) = name.parse() {
        response.headers_mut().insert("x-backend", name);
    }
    Ok(response)
}

fn note(books: &Books, id: Option<&str>) {
    if let Some(id) = id {
        books.note(id);
    }
}
