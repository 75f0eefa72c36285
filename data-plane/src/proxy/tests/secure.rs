//! Certificates, and clients that speak TLS.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_shared::ir::{AltName, StringMatch, TlsVersion};
use evenkeel_shared::tls::{
    ALPN_HTTP1, ALPN_HTTP2, ClientRules, ClientSettings, NameRules, Pair, ServerRules,
    ServerSettings, Trust,
};
use rcgen::{CertificateParams, SanType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{LONG, Peer, Plan, Proxy, soon};
use crate::telemetry::handshakes::{REASONS, VERSIONS};
use crate::tls::{FrontTls, sample};

/// A client behind its handshake.
pub(super) type Client = Peer<TlsStream<TcpStream>>;

/// A private authority.
pub(super) struct Authority(sample::Authority);

impl Authority {
    pub(super) fn new() -> Self {
        Self(sample::Authority::new())
    }

    pub(super) fn trust(&self) -> Trust {
        self.0.trust()
    }

    pub(super) fn pair(&self, dns: &[&str], uris: &[&str]) -> Pair {
        let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let uris = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        self.0.signed(&params).read()
    }

    /// Carries a URI, and is valid for so long from now on.
    pub(super) fn pair_for(&self, uri: &str, time: Duration) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        sample::last(&mut params, time);
        self.0.signed(&params).read()
    }

    /// Shows these certificates, and asks clients for nothing.
    pub(super) fn server(&self, names: &[&str]) -> ServerSettings {
        ServerSettings {
            certificates: names.iter().map(|name| self.pair(&[name], &[])).collect(),
            clients: None,
            lowest: TlsVersion::Tls12,
            alpn: vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()],
        }
    }

    /// Clients need a name of `spiffe://shop/`.
    pub(super) fn asking(&self, required: bool) -> ServerSettings {
        let names = [AltName::Uri(StringMatch::Prefix("spiffe://shop/".into()))];
        let mut settings = self.server(&["shop.test"]);
        settings.clients = Some(ClientRules {
            trust: self.trust(),
            required,
            names: NameRules::build(&names).unwrap(),
        });
        settings
    }

    /// Asks for `shop.test`, and shows a certificate if there is one.
    pub(super) fn client(&self, alpn: &[&[u8]], certificate: Option<Pair>) -> ClientConfig {
        let settings = ClientSettings {
            server: Some(ServerRules {
                trust: self.trust(),
                names: NameRules::build(&[]).unwrap(),
            }),
            certificate,
            lowest: TlsVersion::Tls12,
            alpn: alpn.iter().map(|name| name.to_vec()).collect(),
            names_server: true,
        };
        settings.build().unwrap()
    }

    /// Speaks HTTP/1.1.
    pub(super) fn plain_client(&self) -> ClientConfig {
        self.client(&[ALPN_HTTP1], None)
    }
}

impl Plan {
    /// Puts TLS in front.
    pub(super) fn secured(mut self, settings: ServerSettings) -> Self {
        self.tls = Some(front(Ok(settings.build().unwrap()), Some(LONG)));
        self
    }
}

pub(super) fn front(
    settings: Result<ServerConfig, &str>,
    limit: Option<Duration>,
) -> Arc<FrontTls> {
    let ready = settings.map(Arc::new).map_err(Into::into);
    Arc::new(FrontTls::new(ready, limit))
}

/// Shakes hands over a connection.
pub(super) async fn shake(
    stream: TcpStream,
    config: impl Into<Arc<ClientConfig>>,
    name: &str,
) -> std::io::Result<Client> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(config.into());
    Ok(Peer::over(soon(connector.connect(name, stream)).await?))
}

impl Proxy {
    pub(super) async fn secure_client(&self, config: impl Into<Arc<ClientConfig>>) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        shake(stream, config, "shop.test").await.unwrap()
    }

    /// Handshakes that failed for a reason.
    pub(super) fn refused(&self, reason: &str) -> u64 {
        let place = REASONS.iter().position(|name| *name == reason).unwrap();
        let failed = |of: &crate::runtime::snapshot::ListenerCounts| {
            of.handshakes.failed[place].load(Ordering::Relaxed)
        };
        self.front.counts.sum(failed)
    }

    /// Handshakes that succeeded: in full, and resumed.
    pub(super) fn shaken(&self, version: &str) -> (u64, u64) {
        let place = VERSIONS.iter().position(|name| *name == version).unwrap();
        let count = |kind: usize| {
            self.front
                .counts
                .sum(|of| of.handshakes.complete[place][kind].load(Ordering::Relaxed))
        };
        (count(0), count(1))
    }
}
