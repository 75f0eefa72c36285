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
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

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
    server: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(name: &str, mode: Mode) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(crate::process::free_address()?).await?;
        let address = listener.local_addr()?;
        let books = Arc::new(Books::default());
        let (sender, receiver) = watch::channel(mode);
        let server = spawn(listener, name.to_owned(), receiver, Arc::clone(&books));
        Ok(Self {
            address,
            books,
            mode: sender,
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
        self.server = Some(spawn(
            listener,
            name.to_owned(),
            self.mode.subscribe(),
            Arc::clone(&self.books),
        ));
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.crash();
    }
}

fn spawn(
    listener: TcpListener,
    name: String,
    mode: watch::Receiver<Mode>,
    books: Arc<Books>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            books
                .connections
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            connections.spawn(serve(
                stream,
                name.clone(),
                mode.clone(),
                Arc::clone(&books),
            ));
            while connections.try_join_next().is_some() {}
        }
    })
}

async fn serve(
    mut stream: TcpStream,
    name: String,
    mode: watch::Receiver<Mode>,
    books: Arc<Books>,
) {
    let now = *mode.borrow();
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
    let service =
        service_fn(move |request| answer(request, name.clone(), mode.clone(), Arc::clone(&books)));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let (Err(_), Ok(handle)) = (served, handle) {
        let _ = handle.set_linger(Some(Duration::ZERO));
    }
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

async fn answer(
    request: Request<Incoming>,
    name: String,
    mode: watch::Receiver<Mode>,
    books: Arc<Books>,
) -> Result<Response<Full<Bytes>>, ResetNow> {
    let id = request
        .headers()
        .get(TEST_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let body = request.into_body().collect().await;
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
