//! HTTP/1.1 clients that keep their connection and remember what became of
//! every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use crate::backend::TEST_ID;

/// No test waits longer than this for one answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is opened when needed and kept while it lasts.
#[derive(Debug)]
pub struct Client {
    target: SocketAddr,
    host: String,
    tls: Option<Arc<ClientConfig>>,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Connections opened so far.
    pub connects: u64,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: http::HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Client {
    /// A client of one proxy that asks for `host`.
    pub fn new(target: SocketAddr, host: &str) -> Self {
        Self {
            target,
            host: host.to_owned(),
            tls: None,
            sender: None,
            connects: 0,
        }
    }

    /// The same over TLS.
    pub fn secure(target: SocketAddr, host: &str, tls: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..Self::new(target, host)
        }
    }

    /// Closes the connection, so that the next request opens another one.
    pub fn hang_up(&mut self) {
        self.sender = None;
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// If the connection fails, or the answer breaks off or takes longer than
    /// [`PATIENCE`].
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        if !request.headers().contains_key(http::header::HOST) {
            request
                .headers_mut()
                .insert(http::header::HOST, self.host.parse()?);
        }
        let result = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let answer = result
            .context("no answer in time")
            .and_then(|answer| answer);
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    /// GET of a path.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Request::get(path).body(Full::default())?).await
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await.context("the connection was closed")?;
        let response = sender.send_request(request).await.context("no response")?;
        let close = response
            .headers()
            .get(http::header::CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the body broke off")?;
        if !close {
            self.sender = Some(sender);
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    async fn connect(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.target).await.context("connect")?;
        stream.set_nodelay(true)?;
        self.connects += 1;
        match &self.tls {
            None => speak(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                let connector = TlsConnector::from(Arc::clone(tls));
                speak(connector.connect(name, stream).await.context("TLS")?).await
            }
        }
    }
}

async fn speak<I>(io: I) -> anyhow::Result<SendRequest<Full<Bytes>>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// What became of the requests of a load.
#[derive(Debug, Default)]
pub struct Tally {
    /// GETs sent.
    pub gets: u64,
    /// GETs answered with 200.
    pub gets_ok: u64,
    /// POSTs sent.
    pub posts: u64,
    /// POSTs answered with 200.
    pub posts_ok: u64,
    /// Connections opened.
    pub connects: u64,
    /// Ids of all POSTs, and whether each was answered with 200.
    pub posted: Vec<(String, bool)>,
    /// What went wrong, the first few in words.
    pub failures: Vec<String>,
}

impl Tally {
    /// Requests that were not answered with 200.
    pub fn failed(&self) -> u64 {
        (self.gets - self.gets_ok) + (self.posts - self.posts_ok)
    }

    fn add(&mut self, other: Self) {
        self.gets += other.gets;
        self.gets_ok += other.gets_ok;
        self.posts += other.posts;
        self.posts_ok += other.posts_ok;
        self.connects += other.connects;
        self.posted.extend(other.posted);
        self.failures.extend(other.failures);
        self.failures.truncate(20);
    }
}

/// A load to put on a proxy: clients that each wait for an answer before the
/// next request.
#[derive(Debug, Clone)]
pub struct Load {
    /// The proxies; client n uses the n-th, round and round.
    pub targets: Vec<SocketAddr>,
    /// `Host` of the requests.
    pub host: String,
    /// Path of the requests.
    pub path: String,
    /// Clients at once.
    pub clients: usize,
    /// Every n-th request is a POST; 0 for none.
    pub post_every: u64,
    /// Wait after each answer.
    pub pause: Duration,
    /// TLS, if the proxies want it.
    pub tls: Option<Arc<ClientConfig>>,
    /// Whether every request opens a connection of its own.
    pub fresh: bool,
}

impl Default for Load {
    /// Eight clients that GET `/` of `shop.test` in the clear, at nobody yet.
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            host: "shop.test".to_owned(),
            path: "/".to_owned(),
            clients: 8,
            post_every: 0,
            pause: Duration::from_millis(2),
            tls: None,
            fresh: false,
        }
    }
}

/// A load in progress.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Tally>>,
}

impl Load {
    /// Starts the clients; each stops by itself after `each` requests, if given.
    pub fn start(&self, each: Option<u64>) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..self.clients)
            .map(|index| {
                let target = self.targets[index % self.targets.len()];
                tokio::spawn(run_client(self.clone(), target, each, Arc::clone(&stop)))
            })
            .collect();
        Running { stop, clients }
    }
}

impl Running {
    /// Waits for clients that stop by themselves.
    ///
    /// # Errors
    /// If a client panicked.
    pub async fn join(self) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for client in self.clients {
            sum.add(client.await?);
        }
        Ok(sum)
    }

    /// Stops the clients after their present request.
    ///
    /// # Errors
    /// If a client panicked.
    pub async fn stop(self) -> anyhow::Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.join().await
    }
}

async fn run_client(
    load: Load,
    target: SocketAddr,
    each: Option<u64>,
    stop: Arc<AtomicBool>,
) -> Tally {
    let mut tally = Tally::default();
    let mut client = Client::new(target, &load.host);
    client.tls.clone_from(&load.tls);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) && each.is_none_or(|each| sent < each) {
        sent += 1;
        let post = load.post_every > 0 && sent % load.post_every == 0;
        if load.fresh {
            client.hang_up();
        }
        one_request(&load, &mut client, post, &mut tally).await;
        if !load.pause.is_zero() {
            tokio::time::sleep(load.pause).await;
        }
    }
    tally.connects = client.connects;
    tally
}

async fn one_request(load: &Load, client: &mut Client, post: bool, tally: &mut Tally) {
    let id = Uuid::new_v4().to_string();
    let method = if post { Method::POST } else { Method::GET };
    let body = if post {
        Full::from("order")
    } else {
        Full::default()
    };
    let request = Request::builder()
        .method(method)
        .uri(&load.path)
        .header(TEST_ID, &id)
        .body(body);
    let answer = match request {
        Ok(request) => client.send(request).await,
        Err(error) => Err(error.into()),
    };
    let ok = answer
        .as_ref()
        .is_ok_and(|answer| answer.status == StatusCode::OK);
    if post {
        tally.posts += 1;
        tally.posts_ok += u64::from(ok);
        tally.posted.push((id, ok));
    } else {
        tally.gets += 1;
        tally.gets_ok += u64::from(ok);
    }
    if !ok && tally.failures.len() < 20 {
        tally.failures.push(match answer {
            Ok(answer) => format!(
                "{} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body).trim()
            ),
            Err(error) => format!("{error:#}"),
        });
    }
}
