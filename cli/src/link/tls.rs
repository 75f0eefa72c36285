//! TLS to a server: who it must be, who we are, and why it did not work in words
//! for people.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_shared::ir::TlsVersion;
use evenkeel_shared::tls::{self, ClientSettings, NameRules, Pair, ServerRules, Trust};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::transport::Uri;

use super::{CONNECT_TIMEOUT, host};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::private_file;

/// Port of an address that names none.
const HTTPS_PORT: u16 = 443;
/// Largest PEM file that is read, in bytes.
const MAX_PEM: usize = 4 << 20;
/// Where systems keep the authorities that they trust.
const SYSTEM_TRUST: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Opens connections to one server.
#[derive(Clone)]
pub(super) struct Connector {
    connector: TlsConnector,
    expected: Arc<Expected>,
}

/// Who the server must be.
#[derive(Debug)]
struct Expected {
    /// Where it is.
    host: String,
    port: u16,
    /// The name in its certificate.
    name: String,
    server_name: ServerName<'static>,
    /// Whose authorities: a file, or the system's.
    trust: Option<PathBuf>,
}

impl Connector {
    /// Prepares connections.
    ///
    /// # Errors
    /// Certificates that cannot be read; a name that is none.
    pub(super) fn new(uri: &Uri, credentials: &Credentials) -> Result<Self, Failure> {
        let name = credentials.server_name.as_deref();
        let name = name.unwrap_or_else(|| host(uri)).to_owned();
        let server_name = ServerName::try_from(name.clone()).map_err(|_| {
            Failure::Usage(format!("`{name}` is neither a host name nor an IP address"))
        })?;
        let certificate = credentials.pair()?.map(|(cert, key)| pair(cert, key));
        let settings = ClientSettings {
            server: Some(ServerRules {
                trust: trust(credentials.ca.as_deref())?,
                names: NameRules::host(&name),
            }),
            certificate: certificate.transpose()?,
            lowest: TlsVersion::Tls12,
            alpn: vec![tls::ALPN_HTTP2.to_vec()],
            names_server: true,
        };
        let config = settings
            .build()
            .map_err(|fault| Failure::Failed(fault.to_string()))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            expected: Arc::new(Expected {
                host: host(uri).to_owned(),
                port: uri.port_u16().unwrap_or(HTTPS_PORT),
                name,
                server_name,
                trust: credentials.ca.clone(),
            }),
        })
    }

    async fn connect(self) -> Result<TokioIo<TlsStream<TcpStream>>, Refusal> {
        let expected = &self.expected;
        let stream = TcpStream::connect((expected.host.as_str(), expected.port)).await?;
        stream.set_nodelay(true)?;
        let name = expected.server_name.clone();
        let stream = self
            .connector
            .connect(name, stream)
            .await
            .map_err(|error| expected.refusal(error))?;
        if stream.get_ref().1.alpn_protocol() == Some(tls::ALPN_HTTP2) {
            Ok(TokioIo::new(stream))
        } else {
            Err(Refusal::Tls(
                "the server does not offer HTTP/2 there; is it the address of gRPC?".to_owned(),
            ))
        }
    }
}

fn pem(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let read = private_file::read(path, MAX_PEM);
    read.map(|bytes| bytes.expose().to_vec())
        .map_err(|failure| Failure::Failed(format!("{flag}: {failure}")))
}

fn pair(cert: &Path, key: &Path) -> Result<Pair, Failure> {
    let chain = pem("--cert", cert)?;
    let secret = private_file::read(key, MAX_PEM)
        .map_err(|failure| Failure::Failed(format!("--key: {failure}")))?;
    Pair::read(&chain, secret.expose()).map_err(|fault| {
        let (cert, key) = (cert.display(), key.display());
        Failure::Failed(format!("--cert {cert} with --key {key}: {fault}"))
    })
}

/// The authorities in a file, else those of the system.
fn trust(ca: Option<&Path>) -> Result<Trust, Failure> {
    if let Some(path) = ca {
        let read = Trust::read(&pem("--ca", path)?, None);
        return read.map_err(|fault| Failure::Failed(format!("--ca {}: {fault}", path.display())));
    }
    let own = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_TRUST.iter().map(PathBuf::from);
    let mut places = own.into_iter().chain(usual);
    let path = places.find(|path| path.is_file()).ok_or_else(|| {
        Failure::Failed(
            "the system has no list of trusted authorities: give that of the server with --ca"
                .to_owned(),
        )
    })?;
    Trust::read(&pem("the system's authorities", &path)?, None).map_err(|fault| {
        let path = path.display();
        Failure::Failed(format!(
            "the system's authorities in {path}: {fault}; give that of the server with --ca"
        ))
    })
}

type Connecting =
    Pin<Box<dyn Future<Output = Result<TokioIo<TlsStream<TcpStream>>, Refusal>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = Refusal;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = self.clone().connect();
        Box::pin(async {
            tokio::time::timeout(CONNECT_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The network.
    Network(io::Error),
    /// One side does not take the other.
    Tls(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::Tls(reason) => f.write_str(reason),
        }
    }
}

impl StdError for Refusal {}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

/// Why one side does not take the other, if that is the cause of an error.
pub(super) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(Refusal::Tls(reason)) = error.downcast_ref() {
            return Some(reason.clone());
        }
        cause = error.source();
    }
    None
}

impl Expected {
    fn refusal(&self, error: io::Error) -> Refusal {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(error) => Refusal::Tls(self.words(error)),
            None => Refusal::Network(error),
        }
    }

    fn words(&self, error: &Error) -> String {
        match (tls::refusal(error), error) {
            ("unknown_issuer", _) => match &self.trust {
                Some(path) => format!(
                    "the server's certificate is not signed by the authority in {}: give the right \
                     one with --ca",
                    path.display()
                ),
                None => "the server's certificate is signed by an authority that this system does \
                         not know: give the authority's certificate with --ca"
                    .to_owned(),
            },
            ("expired", error) => format!("the server's certificate has expired{}", ended(error)),
            ("not_valid_yet", _) => {
                "the server's certificate is not valid yet; is this machine's clock right?"
                    .to_owned()
            }
            ("wrong_name", error) => format!(
                "the server's certificate is not for `{}`, but for {}; use such a name in the \
                 address, or give it with --server-name",
                self.name,
                names(error)
            ),
            ("not_tls", _) => {
                "the server does not speak TLS there; if that is right, write http://".to_owned()
            }
            ("no_common_protocol", _) => {
                "the server does not offer HTTP/2 there; is it the address of gRPC?".to_owned()
            }
            (_, Error::InvalidCertificate(reason)) => {
                format!("the server's certificate cannot be accepted: {reason}")
            }
            (_, error) => {
                let said = error.to_string();
                in_words(&said).unwrap_or_else(|| format!("no TLS with the server: {said}"))
            }
        }
    }
}

/// `: it was valid until …`, if that is known.
fn ended(error: &Error) -> String {
    let Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) = error
    else {
        return String::new();
    };
    let seconds = i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX);
    let until = Timestamp::from_second(seconds).map(|until| until.to_string());
    until.map_or_else(
        |_| String::new(),
        |until| format!(": it was valid until {until}"),
    )
}

/// The names in a certificate of another name.
fn names(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented, ..
        }) if !presented.is_empty() => presented.join(", "),
        _ => "no name at all".to_owned(),
    }
}

/// What the server said when it refused our certificate, or its absence, after
/// the handshake was over for us; `None` if that is not what was said.
pub(crate) fn in_words(said: &str) -> Option<String> {
    let (_, alert) = said.split_once("received fatal alert: ")?;
    let alert: String = alert
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let words = match alert.as_str() {
        "CertificateRequired" => {
            "the server asks for a client certificate: give one with --cert and --key".to_owned()
        }
        "UnknownCA" => "the server does not know the authority that signed our certificate \
                        (--cert)"
            .to_owned(),
        "CertificateExpired" => "our certificate (--cert) has expired".to_owned(),
        "CertificateRevoked" => "our certificate (--cert) is revoked".to_owned(),
        "BadCertificate" | "CertificateUnknown" | "AccessDenied" | "UnsupportedCertificate" => {
            "the server does not accept our certificate (--cert)".to_owned()
        }
        "ProtocolVersion" => "the server offers neither TLS 1.2 nor TLS 1.3".to_owned(),
        "NoApplicationProtocol" => {
            "the server does not offer HTTP/2 there; is it the address of gRPC?".to_owned()
        }
        _ => format!("the server ended the handshake: {alert}"),
    };
    Some(words)
}
