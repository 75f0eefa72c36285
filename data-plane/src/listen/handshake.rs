//! TLS with a client, from its first byte until HTTP may begin.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::tls::{Identity, refusal};
use http::HeaderValue;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::filter::forwarded;
use crate::telemetry::handshakes::Handshakes;
use crate::tls::FrontTls;

/// First byte of whoever begins a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The fatal alert `internal_error`, before anything was agreed on.
const INTERNAL_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// After an alert, what still comes is read and thrown away for this long:
/// closing at once would reset the connection, and the reset may overtake the
/// alert.
const LINGER: Duration = Duration::from_millis(500);

/// Most bytes read meanwhile.
const LINGER_BYTES: u64 = 64 * 1024;

/// What a handshake told of a client.
#[derive(Debug)]
pub(crate) struct Secured {
    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) version: &'static str,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
    /// Whose certificate the client showed, if it did.
    pub(crate) client: Option<ClientIdentity>,
}

/// Who a client is by its certificate, which was verified. Prepared once for all
/// requests of its connection.
#[derive(Debug)]
pub(crate) struct ClientIdentity {
    /// For people.
    pub(crate) label: Arc<str>,
    /// `X-Forwarded-Client-Cert`.
    pub(crate) header: HeaderValue,
}

/// Why there is no connection.
struct Failure {
    /// `None` is not worth counting.
    reason: Option<&'static str>,
    /// To be closed so that the alert on it arrives.
    alerted: Option<TcpStream>,
}

impl Failure {
    fn because(reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            alerted: None,
        }
    }
}

/// Shakes hands with a client, within a limit. `None` if that failed, which is
/// counted.
pub(super) async fn shake(
    tls: &FrontTls,
    stream: TcpStream,
    (limit, counts): (Option<Duration>, &Handshakes),
) -> Option<(Box<TlsStream<TcpStream>>, Secured)> {
    let shaken = super::opening::within(limit, begin(tls, stream)).await;
    let failure = match shaken.unwrap_or_else(|| Err(Failure::because("timeout"))) {
        Ok((stream, secured)) => {
            let kind = stream.get_ref().1.handshake_kind();
            counts.succeed(secured.version, kind == Some(HandshakeKind::Resumed));
            return Some((stream, secured));
        }
        Err(failure) => failure,
    };
    if let Some(reason) = failure.reason {
        counts.fail(reason);
    }
    if let Some(stream) = failure.alerted {
        // Best effort: the client may be gone.
        let _ = tokio::time::timeout(LINGER, linger(stream)).await;
    }
    None
}

async fn begin(
    tls: &FrontTls,
    mut stream: TcpStream,
) -> Result<(Box<TlsStream<TcpStream>>, Secured), Failure> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) if first == [HANDSHAKE] => {}
        Ok(1..) => return Err(Failure::because("not_tls")),
        // It only looked whether the port is open.
        Ok(0) | Err(_) => {
            return Err(Failure {
                reason: None,
                alerted: None,
            });
        }
    }
    let settings = match tls.settings() {
        Ok(settings) => settings,
        Err(reason) => {
            tracing::debug!(%reason, "no handshake is possible");
            let alerted = stream.write_all(INTERNAL_ERROR).await.is_ok();
            return Err(Failure {
                reason: Some("no_settings"),
                alerted: alerted.then_some(stream),
            });
        }
    };
    let accepting = TlsAcceptor::from(settings).accept(stream).into_fallible();
    let stream = accepting
        .await
        .map_err(|(error, stream)| failure(&error, stream))?;
    let secured = secured(stream.get_ref().1)?;
    Ok((Box::new(stream), secured))
}

/// What an error of the handshake means.
fn failure(error: &io::Error, stream: TcpStream) -> Failure {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(of_tls) = of_tls else {
        return Failure::because("gone");
    };
    let reason = refusal(of_tls);
    tracing::debug!(%error, reason, "handshake failed");
    Failure {
        reason: Some(reason),
        alerted: Some(stream),
    }
}

/// What the handshake told.
fn secured(session: &ServerConnection) -> Result<Secured, Failure> {
    let shown = session.peer_certificates().and_then(<[_]>::first);
    let bad = || Failure::because("bad_certificate");
    let client = match shown.map(Identity::read) {
        Some(identity) => {
            let identity = identity.map_err(|_| bad())?;
            // Nobody looks at the certificate again when a session is resumed.
            if identity.not_after < jiff::Timestamp::now().as_second() {
                return Err(Failure::because("expired"));
            }
            Some(known(&identity).ok_or_else(bad)?)
        }
        None => None,
    };
    Ok(Secured {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        http2: session.alpn_protocol() == Some(evenkeel_shared::tls::ALPN_HTTP2),
        client,
    })
}

fn known(identity: &Identity) -> Option<ClientIdentity> {
    let header = forwarded::x_forwarded_client_cert(identity);
    Some(ClientIdentity {
        label: identity.label().into(),
        header: HeaderValue::try_from(header).ok()?,
    })
}

/// Waits until the client has closed too.
async fn linger(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(LINGER_BYTES);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}
