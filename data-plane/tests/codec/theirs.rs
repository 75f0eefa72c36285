//! Reads a connection with hyper: the oracle.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_data_plane::message::Method;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::ours::LIMITS;
use crate::reading::{End, Message, Pairs, Reading, sorted};

/// hyper does not take less.
const BUFFER: usize = 8192;

/// Longer than anything takes that comes at all.
const FOREVER: Duration = Duration::from_secs(5);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// Requests of a connection, as a server gets them.
pub(crate) fn requests(bytes: &[u8]) -> Reading {
    runtime().block_on(async {
        let (mut client, server) = duplex(bytes.len() + 1_048_576);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let messages = Rc::new(RefCell::new(Vec::new()));
        let broken = Rc::new(RefCell::new(false));
        let service = service_fn(|request: Request<Incoming>| {
            let (messages, broken) = (Rc::clone(&messages), Rc::clone(&broken));
            async move {
                match request_message(request).await {
                    Some(message) => messages.borrow_mut().push(message),
                    None => *broken.borrow_mut() = true,
                }
                // Not a success, which would end the protocol for CONNECT.
                let mut response = Response::new(Empty::<Bytes>::new());
                *response.status_mut() = http::StatusCode::NOT_FOUND;
                Ok::<_, Infallible>(response)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .auto_date_header(false)
            .max_headers(LIMITS.fields)
            .max_header_size(LIMITS.bytes)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(server), service);
        let failed = connection.await.is_err() || *broken.borrow();
        let messages = messages.borrow().clone();
        Reading {
            messages,
            end: if failed { End::Cut } else { End::Clean },
        }
    })
}

async fn request_message(request: Request<Incoming>) -> Option<Message> {
    let (parts, body) = request.into_parts();
    let (body, trailers) = collected(body).await?;
    Some(Message {
        subject: parts.method.to_string(),
        target: parts.uri.to_string(),
        minor: u8::from(parts.version == Version::HTTP_11),
        fields: pairs(&parts.headers),
        body,
        trailers,
    })
}

async fn collected(body: Incoming) -> Option<(Vec<u8>, Pairs)> {
    let collected = body.collect().await.ok()?;
    let trailers = collected.trailers().map(pairs).unwrap_or_default();
    Some((collected.to_bytes().to_vec(), trailers))
}

fn pairs(fields: &HeaderMap) -> Pairs {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    sorted(fields.iter().map(pair).collect())
}

/// The one response of these bytes and the end of the connection, as a client gets
/// it.
pub(crate) fn response(method: Method, bytes: &[u8]) -> Reading {
    runtime().block_on(async {
        let message = exchange(method, bytes, true).await.0;
        let end = if message.is_some() {
            End::Clean
        } else {
            End::Cut
        };
        Reading {
            messages: message.into_iter().collect(),
            end,
        }
    })
}

/// Whether the connection can be used again after the one response of these bytes.
pub(crate) fn is_kept_alive(method: Method, bytes: &[u8]) -> bool {
    runtime().block_on(async { exchange(method, bytes, false).await.1 })
}

async fn exchange(method: Method, bytes: &[u8], closes: bool) -> (Option<Message>, bool) {
    let (client, server) = duplex(bytes.len() + 65_536);
    let handshake = hyper::client::conn::http1::Builder::new()
        .max_headers(LIMITS.fields)
        .max_header_size(LIMITS.bytes)
        .max_buf_size(BUFFER)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    let name = match method {
        Method::Head => "HEAD",
        _ => "GET",
    };
    let request = Request::builder().method(name).uri("/");
    let request = request.body(Empty::new()).unwrap();
    let asked = async {
        let response = sender.send_request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let (body, trailers) = collected(body).await?;
        let message = Message {
            subject: parts.status.as_str().to_owned(),
            target: String::new(),
            minor: u8::from(parts.version == Version::HTTP_11),
            fields: pairs(&parts.headers),
            body,
            trailers,
        };
        let kept = !closes && sender.ready().await.is_ok();
        Some((message, kept))
    };
    tokio::select! {
        biased;
        answered = async { tokio::time::timeout(FOREVER, asked).await.ok().flatten() } => {
            answered.map_or((None, false), |(message, kept)| (Some(message), kept))
        }
        () = drive(connection) => unreachable!("it goes on for ever"),
        () = answer(server, bytes, closes) => unreachable!("it goes on for ever"),
    }
}

async fn drive<T: std::future::Future>(connection: T) {
    connection.await;
    std::future::pending::<()>().await;
}

/// Answers the request, and stays.
async fn answer(mut server: DuplexStream, bytes: &[u8], closes: bool) {
    let mut request = [0; 1024];
    let _ = server.read(&mut request).await;
    let _ = server.write_all(bytes).await;
    if closes {
        let _ = server.shutdown().await;
    }
    std::future::pending::<()>().await;
}
