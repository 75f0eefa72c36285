//! Opens connections to control planes. Certificates, keys and authorities are
//! read anew for each, so that they can be exchanged while the proxy runs.

use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_shared::ir::TlsVersion;
use evenkeel_shared::tls::{
    ALPN_HTTP2, ClientSettings, Identity, NameRules, Pair, ServerRules, Trust, refusal,
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint, Uri};

use super::task::describe;
use crate::tls::read_file;

/// Time to open a connection, and again for its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is tried, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// So long before the certificate of a connection ends, another one is looked
/// for, in seconds.
const RENEW_BEFORE: i64 = 60;
/// How often it is looked for then, and how often it is looked whether it is
/// time to.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Where the control planes are, and how to know them.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    /// The control planes, the first being the one that is wanted.
    pub control_planes: Vec<Uri>,
    /// Who signs their certificates: a file. Needed for `https`.
    pub authorities: Option<PathBuf>,
    /// What is shown to them: files of the chain and of the key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that their certificates must carry; `None` is the host of the
    /// URL.
    pub name: Option<String>,
}

/// A connection to a control plane.
#[derive(Debug)]
pub struct Line {
    /// Carries calls.
    pub channel: Channel,
    /// What was shown there.
    pub shown: Option<Identity>,
}

/// What a handshake needs.
struct Papers {
    settings: ClientConfig,
    shown: Option<Identity>,
}

impl Dialer {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection, in words.
    pub async fn connect(&self, uri: &Uri) -> Result<Line, String> {
        if uri.scheme_str() == Some("https") {
            return self.connect_secure(uri).await;
        }
        let channel = endpoint(uri.clone()).connect().await;
        let channel = channel.map_err(|error| describe(&error))?;
        Ok(Line {
            channel,
            shown: None,
        })
    }

    async fn connect_secure(&self, uri: &Uri) -> Result<Line, String> {
        let host = host(uri);
        let name = self.name.as_deref().unwrap_or(host);
        let papers = self.papers(name).await?;
        let server_name = ServerName::try_from(name.to_owned());
        let server_name =
            server_name.map_err(|_| format!("{name:?} is not a host name or an address"))?;

        let port = uri.port_u16().unwrap_or(443);
        let tcp = in_time(TcpStream::connect((host, port))).await;
        let tcp = tcp.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
        // It only costs time if it fails.
        let _ = tcp.set_nodelay(true);
        let connector = TlsConnector::from(Arc::new(papers.settings));
        let secured = in_time(connector.connect(server_name, tcp)).await;
        let secured = secured.map_err(|error| self.unsecured(&error, name))?;

        // The scheme of the target only makes the connection, which is there; that
        // of the origin is what the calls say.
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let plain = format!("http://{authority}").parse::<Uri>();
        let target = plain.unwrap_or_else(|_| uri.clone());
        let channel = endpoint(target)
            .origin(uri.clone())
            .connect_with_connector(Once(Some(TokioIo::new(secured))))
            .await
            .map_err(|error| describe(&error))?;
        Ok(Line {
            channel,
            shown: papers.shown,
        })
    }

    /// Reads all that a handshake needs.
    async fn papers(&self, name: &str) -> Result<Papers, String> {
        let (dialer, name) = (self.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || dialer.read_papers(&name));
        read.await.map_err(|error| error.to_string())?
    }

    fn read_papers(&self, name: &str) -> Result<Papers, String> {
        let authorities = self.authorities.as_ref();
        let authorities = authorities.ok_or("there is no --control-plane-ca")?;
        let pem = read_file(authorities);
        let pem = pem.map_err(|error| format!("{}: {error}", authorities.display()))?;
        let trust = Trust::read(pem.expose(), None);
        let trust = trust.map_err(|fault| format!("{}: {fault}", authorities.display()))?;
        let certificate = self.read_own()?;
        let shown = certificate.as_ref().map(|pair| pair.identity.clone());
        let settings = ClientSettings {
            server: Some(ServerRules {
                trust,
                names: NameRules::host(name),
            }),
            certificate,
            lowest: TlsVersion::Tls12,
            alpn: vec![ALPN_HTTP2.to_vec()],
            names_server: true,
        };
        let settings = settings.build().map_err(|fault| fault.to_string())?;
        Ok(Papers { settings, shown })
    }

    /// Reads what is shown to control planes, if anything.
    fn read_own(&self) -> Result<Option<Pair>, String> {
        let Some((chain, key)) = &self.certificate else {
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            read_file(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let pair = Pair::read(read(chain)?.expose(), read(key)?.expose());
        let pair = pair.map_err(|fault| format!("{}: {fault}", chain.display()))?;
        Ok(Some(pair))
    }

    /// Waits until it is better to connect again: the certificate that was shown
    /// ends within a minute, and there is another one.
    pub async fn renewed(&self, shown: Option<&Identity>) {
        let Some(shown) = shown else {
            return std::future::pending().await;
        };
        loop {
            let (wait, due) = next_look(shown, jiff::Timestamp::now().as_second());
            tokio::time::sleep(wait).await;
            if !due {
                continue;
            }
            let dialer = self.clone();
            let read = tokio::task::spawn_blocking(move || dialer.read_own());
            if let Ok(Ok(Some(pair))) = read.await
                && pair.identity.fingerprint != shown.fingerprint
            {
                return;
            }
        }
    }

    /// Why a handshake failed.
    fn unsecured(&self, error: &io::Error, name: &str) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let Some(fault) = inner else {
            return format!("no TLS with the control plane: {error}");
        };
        let why = match refusal(fault) {
            "expired" => "the control plane's certificate has expired".to_owned(),
            "not_valid_yet" => "the control plane's certificate is not valid yet".to_owned(),
            "unknown_issuer" => {
                let authorities = self.authorities.as_deref().unwrap_or_else(|| "".as_ref());
                let file = authorities.display();
                format!("the control plane's certificate is not signed by an authority in {file}")
            }
            "wrong_name" => {
                format!("the control plane's certificate does not carry the name {name:?}")
            }
            "alert" => "the control plane refuses the connection".to_owned(),
            "not_tls" => "the control plane does not speak TLS: is its address http://?".to_owned(),
            _ => "no TLS with the control plane".to_owned(),
        };
        format!("{why}: {fault}")
    }
}

/// How long to wait, and whether to look for another certificate then. `now` is
/// in seconds since 1970.
fn next_look(shown: &Identity, now: i64) -> (Duration, bool) {
    let left = shown.not_after.saturating_sub(now) - RENEW_BEFORE;
    let (soonest, latest) = LOOK_EVERY;
    let wait = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    (wait.clamp(soonest, latest), left <= 0)
}

/// How to speak with a control plane.
fn endpoint(uri: Uri) -> Endpoint {
    Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .keep_alive_while_idle(true)
        .http2_adaptive_window(true)
}

/// The host of a URL; an IPv6 address without its brackets.
pub(crate) fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inside.unwrap_or(host)
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = host(uri);
    let address = host.parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timed = tokio::time::timeout(CONNECT_TIMEOUT, work).await;
    timed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Hands over the one connection that there is. If it breaks, so do the calls.
struct Once(Option<TokioIo<TlsStream<TcpStream>>>);

impl Service<Uri> for Once {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        ready(self.0.take().ok_or_else(gone))
    }
}

#[cfg(test)]
mod tests;
