//! Asks one host whether it is well, on a connection of its own that is closed
//! when the answer has come.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel_shared::ir;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::health::active::Failure;
use crate::upstream::cluster::Cluster;
use crate::upstream::proxy_header;

/// How a host knows a check from a request.
const AGENT: &str = "evenkeel-health-check";
/// Method of the health service of gRPC.
const GRPC_PATH: &str = "/grpc.health.v1.Health/Check";
/// Most bytes of an answer of that service.
const GRPC_BYTES: usize = 4 * 1024;
/// Its status of a service that serves.
const SERVING: i32 = 1;

/// The question of the health service, `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    service: String,
}

/// Its answer, `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A connection, with or without TLS.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Asks a host of a cluster with health checks, in the time that they have.
///
/// # Errors
/// Why the host does not count as well.
pub(crate) async fn probe(cluster: &Cluster, address: SocketAddr) -> Result<(), Failure> {
    let Some(check) = &cluster.spec.health_check else {
        return Ok(());
    };
    let asked = timeout(check.timeout, ask(cluster, &check.probe, address)).await;
    asked.unwrap_or(Err(Failure::Timeout))
}

async fn ask(cluster: &Cluster, probe: &ir::Probe, address: SocketAddr) -> Result<(), Failure> {
    let io = connect(cluster, address).await?;
    match probe {
        ir::Probe::Tcp => Ok(()),
        ir::Probe::Http {
            protocol,
            host,
            path,
            expected,
        } => {
            let target = Target::new(cluster, host.as_deref(), address, path);
            let response = match protocol {
                ir::UpstreamProtocol::Http1 => over_http1(io, target.get(false)?).await?,
                ir::UpstreamProtocol::Http2 => over_http2(io, target.get(true)?).await?.0,
            };
            let status = response.status().as_u16();
            let well = expected
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&status));
            well.then_some(()).ok_or(Failure::Status(status))
        }
        ir::Probe::Grpc { service, authority } => {
            let target = Target::new(cluster, authority.as_deref(), address, GRPC_PATH);
            let (response, _driver) = over_http2(io, target.question(service)?).await?;
            grpc_answer(response).await
        }
    }
}

/// Opens a connection as requests have it, but on behalf of this proxy.
async fn connect(cluster: &Cluster, address: SocketAddr) -> Result<Box<dyn Io>, Failure> {
    let opened = TcpStream::connect(address).await;
    let mut stream = opened.map_err(|_| Failure::Connect)?;
    if let Some(version) = cluster.spec.proxy_protocol {
        let written = stream.write_all(&proxy_header::own(version)).await;
        written.map_err(|_| Failure::Connect)?;
    }
    let Some(tls) = &cluster.tls else {
        return Ok(Box::new(stream));
    };
    let settings = tls.settings().map_err(|_| Failure::Tls)?;
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::from(address.ip()),
    };
    // On the heap: handshakes are large and rare.
    let shaking = Box::pin(TlsConnector::from(settings).connect(name, stream));
    let stream = shaking.await.map_err(|_| Failure::Tls)?;
    Ok(Box::new(stream))
}

/// What is asked for.
#[derive(Debug)]
struct Target<'a> {
    scheme: &'static str,
    authority: String,
    path: &'a str,
}

impl<'a> Target<'a> {
    /// The host is the name of the cluster unless another is given, and the
    /// address if that name cannot be one.
    fn new(cluster: &Cluster, host: Option<&str>, address: SocketAddr, path: &'a str) -> Self {
        let host = host.unwrap_or(cluster.spec.name.as_str());
        let valid = host.parse::<http::uri::Authority>().is_ok();
        Self {
            scheme: cluster.tls.as_ref().map_or("http", |_| "https"),
            authority: if valid {
                host.to_owned()
            } else {
                address.to_string()
            },
            path,
        }
    }

    fn whole(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }

    /// A request without a body; `absolute` is the form of HTTP/2.
    fn get(&self, absolute: bool) -> Result<Request<Empty<Bytes>>, Failure> {
        let request = if absolute {
            Request::get(self.whole())
        } else {
            Request::get(self.path).header(HOST, &self.authority)
        };
        let request = request.header(USER_AGENT, AGENT).body(Empty::new());
        request.map_err(|_| Failure::Protocol)
    }

    /// A call of the health service.
    fn question(&self, service: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let question = Question {
            service: service.to_owned(),
        };
        let message = question.encode_to_vec();
        let length = u32::try_from(message.len()).map_err(|_| Failure::Protocol)?;
        let mut frame = vec![0];
        frame.extend(length.to_be_bytes());
        frame.extend(message);
        let request = Request::post(self.whole())
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .header(USER_AGENT, AGENT)
            .body(Full::new(Bytes::from(frame)));
        request.map_err(|_| Failure::Protocol)
    }
}

/// Drives a connection for as long as it is kept.
type Driver = JoinSet<()>;

async fn over_http1(
    io: Box<dyn Io>,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let shaken = http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = shaken.map_err(|_| Failure::Protocol)?;
    let mut driver = Driver::new();
    driver.spawn(async move {
        // What went wrong shows in the answer.
        let _ = connection.await;
    });
    let answered = sender.send_request(request).await;
    answered.map_err(|_| Failure::Protocol)
}

async fn over_http2<B>(
    io: Box<dyn Io>,
    request: Request<B>,
) -> Result<(Response<Incoming>, Driver), Failure>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await;
    let (mut sender, connection) = shaken.map_err(|_| Failure::Protocol)?;
    let mut driver = Driver::new();
    driver.spawn(async move {
        // What went wrong shows in the answer.
        let _ = connection.await;
    });
    let answered = sender.send_request(request).await;
    let response = answered.map_err(|_| Failure::Protocol)?;
    Ok((response, driver))
}

/// What the health service says. A call that fails is a no as well: the host
/// does not know the service.
async fn grpc_answer(response: Response<Incoming>) -> Result<(), Failure> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(Failure::Status(status));
    }
    let failed = |fields: &http::HeaderMap| {
        let code = fields.get("grpc-status");
        code.is_some_and(|code| code != "0")
    };
    if failed(response.headers()) {
        return Err(Failure::NotServing);
    }
    let collected = Limited::new(response.into_body(), GRPC_BYTES)
        .collect()
        .await;
    let collected = collected.map_err(|_| Failure::Protocol)?;
    if collected.trailers().is_some_and(failed) {
        return Err(Failure::NotServing);
    }
    let bytes = collected.to_bytes();
    let message = bytes.get(5..).ok_or(Failure::Protocol)?;
    let answer = Answer::decode(message).map_err(|_| Failure::Protocol)?;
    (answer.status == SERVING)
        .then_some(())
        .ok_or(Failure::NotServing)
}
