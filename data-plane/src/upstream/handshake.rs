//! TLS on a new connection to an endpoint: with the settings of the moment, and
//! with a name for everything that can go wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use evenkeel_shared::ir::UpstreamProtocol;
use evenkeel_shared::tls::{ALPN_HTTP1, ALPN_HTTP2, refusal};
use rustls::AlertDescription as Alert;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::outcome::TlsFailure;
use crate::telemetry::counters::Sharded;
use crate::tls::BackTls;
use crate::upstream::cluster::ClusterCounts;
use crate::upstream::secured::Secured;

/// Where failures of a cluster's connections are counted.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Of the cluster.
    pub(super) counts: Arc<Sharded<ClusterCounts>>,
    /// Who counts.
    pub(super) worker: usize,
}

impl Tally {
    /// Counts a connection on which TLS did not come about.
    pub(super) fn count(&self, failure: TlsFailure) {
        let counts = self.counts.of(self.worker);
        counts.tls_failures[failure.place()].fetch_add(1, Ordering::Relaxed);
    }
}

/// What a handshake needs.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// Settings of the cluster; read when the handshake begins.
    pub(super) tls: Arc<BackTls>,
    /// What is to be spoken under TLS.
    pub(super) protocol: UpstreamProtocol,
    /// Where a failure is counted.
    pub(super) tally: Tally,
}

impl Handshake {
    /// Shakes hands on a new connection, until `deadline`.
    ///
    /// # Errors
    /// Why not. It is counted and, with its details, logged.
    pub(super) async fn shake(
        self,
        stream: TcpStream,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<Secured, TlsFailure> {
        let shaken = timeout_at(deadline, self.connect(stream, address)).await;
        let failed = match shaken {
            Ok(Ok(stream)) => match self.check_protocol(&stream) {
                Ok(()) => return Ok(Secured::new(stream, self.tally)),
                Err(failure) => failure,
            },
            Ok(Err(failure)) => failure,
            Err(_) => TlsFailure::Timeout,
        };
        self.tally.count(failed);
        Err(failed)
    }

    async fn connect(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<TlsStream<TcpStream>, TlsFailure> {
        let settings = self.tls.settings().map_err(|reason| {
            tracing::debug!(%address, %reason, "no TLS settings for an endpoint");
            TlsFailure::NotReady
        })?;
        let name = match &self.tls.server_name {
            Some(name) => name.clone(),
            None => ServerName::from(address.ip()),
        };
        // On the heap: handshakes are large and rare.
        let connecting = Box::pin(TlsConnector::from(settings).connect(name, stream));
        connecting.await.map_err(|error| {
            tracing::debug!(%address, %error, "TLS handshake with an endpoint failed");
            failure_of(&error)
        })
    }

    /// Whether the endpoint agreed to speak what the cluster speaks. An endpoint
    /// that has no opinion speaks HTTP/1.1.
    fn check_protocol(&self, stream: &TlsStream<TcpStream>) -> Result<(), TlsFailure> {
        let agreed = stream.get_ref().1.alpn_protocol();
        let fits = match self.protocol {
            UpstreamProtocol::Http1 => agreed.is_none_or(|agreed| agreed == ALPN_HTTP1),
            UpstreamProtocol::Http2 => agreed == Some(ALPN_HTTP2),
        };
        fits.then_some(()).ok_or(TlsFailure::NoCommonProtocol)
    }
}

/// Why a handshake failed.
fn failure_of(error: &io::Error) -> TlsFailure {
    if let Some(refused) = refused_by_peer(error) {
        return refused;
    }
    match rustls_error(error) {
        Some(error) => TlsFailure::named(refusal(error)),
        // The connection broke.
        None => TlsFailure::Closed,
    }
}

/// What an endpoint said against a handshake in an alert, if that is what an
/// error is about.
pub(super) fn refused_by_peer(error: &io::Error) -> Option<TlsFailure> {
    let Some(rustls::Error::AlertReceived(alert)) = rustls_error(error) else {
        return None;
    };
    Some(match alert {
        Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::CertificateRequired => TlsFailure::CertificateRefused,
        Alert::ProtocolVersion => TlsFailure::Version,
        Alert::NoApplicationProtocol => TlsFailure::NoCommonProtocol,
        _ => TlsFailure::Alert,
    })
}

/// The error of TLS in an error of a socket.
fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
