//! Certificates of the ports, read from files and read again when those change,
//! so that a rotation needs no restart. Open connections go on with what they
//! began with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use evenkeel_shared::ir::TlsVersion;
use evenkeel_shared::tls::{
    ALPN_HTTP2, ClientRules, NameRules, Pair, ServerSettings, TlsFault, Trust,
};
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::admin::metrics::Metrics;
use crate::config::ControlPlaneArgs;

/// How often the files are looked at. A change counts when it is still the same
/// at the next look, so that nobody reads a file that is half written.
const LOOK: Duration = Duration::from_millis(250);

/// Where certificates, key and authorities are.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    clients: Option<PathBuf>,
}

/// What is in them.
struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    clients: Option<Vec<u8>>,
}

/// Tells one state of the files from another, without their contents.
type Digested = [u8; 32];

/// How each port shakes hands, now and after a change of the files.
#[derive(Debug)]
pub struct Keys {
    files: Files,
    seen: Digested,
    xds: watch::Sender<Arc<ServerConfig>>,
    api: watch::Sender<Arc<ServerConfig>>,
}

/// How one port shakes hands now.
pub type Handshake = watch::Receiver<Arc<ServerConfig>>;

impl Keys {
    /// Reads the files; `None` if none are given.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub async fn read(args: &ControlPlaneArgs) -> anyhow::Result<Option<Self>> {
        let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
            return Ok(None);
        };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            clients: args.client_ca.clone(),
        };
        let contents = files.read().await?;
        let (xds, api) = contents.configs(&files)?;
        Ok(Some(Self {
            files,
            seen: contents.digest(),
            xds: watch::Sender::new(xds),
            api: watch::Sender::new(api),
        }))
    }

    /// For the xDS port: with authorities, clients must show a certificate.
    pub fn xds(&self) -> Handshake {
        self.xds.subscribe()
    }

    /// For the API port: with authorities, clients may show a certificate.
    pub fn api(&self) -> Handshake {
        self.api.subscribe()
    }

    /// Follows the files. What cannot be used changes nothing and is logged,
    /// once.
    pub async fn follow(mut self, metrics: Arc<Metrics>, shutdown: CancellationToken) {
        let mut before = None;
        while shutdown
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            let contents = self.files.read().await;
            let digest = match &contents {
                Ok(contents) => contents.digest(),
                Err(error) => Sha256::digest(format!("{error:#}")).into(),
            };
            let stands_still = before.replace(digest) == Some(digest);
            if !stands_still || digest == self.seen {
                continue;
            }
            self.seen = digest;
            match contents.and_then(|contents| contents.configs(&self.files)) {
                Ok((xds, api)) => {
                    self.xds.send_replace(xds);
                    self.api.send_replace(api);
                    metrics.security.note_reload("success");
                    info!("certificates were read again");
                }
                Err(error) => {
                    metrics.security.note_reload("failure");
                    warn!(
                        error = format!("{error:#}"),
                        "the present certificates stay in force"
                    );
                }
            }
        }
    }
}

impl Files {
    async fn read(&self) -> anyhow::Result<Contents> {
        let read = async |flag: &str, path: &PathBuf| {
            let bytes = tokio::fs::read(path).await;
            bytes.with_context(|| format!("{flag} {}", path.display()))
        };
        Ok(Contents {
            certificate: read("--tls-cert", &self.certificate).await?,
            key: Zeroizing::new(read("--tls-key", &self.key).await?),
            clients: match &self.clients {
                Some(path) => Some(read("--client-ca", path).await?),
                None => None,
            },
        })
    }
}

impl Contents {
    fn digest(&self) -> Digested {
        let clients = self.clients.as_deref().unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [&self.certificate, &*self.key, clients] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// The settings of the xDS port and of the API port.
    fn configs(&self, files: &Files) -> anyhow::Result<(Arc<ServerConfig>, Arc<ServerConfig>)> {
        let pair = Pair::read(&self.certificate, &self.key);
        let pair = pair.with_context(|| {
            let (certificate, key) = (files.certificate.display(), files.key.display());
            format!("--tls-cert {certificate} with --tls-key {key}")
        })?;
        let trust = self.clients.as_deref().map(|pem| Trust::read(pem, None));
        let trust = trust.transpose().with_context(|| {
            let path = files.clients.as_deref().map(Path::display);
            path.map_or_else(String::new, |path| format!("--client-ca {path}"))
        })?;
        let port = |required| -> Result<_, TlsFault> {
            let clients = match trust.clone() {
                Some(trust) => Some(ClientRules {
                    trust,
                    required,
                    names: NameRules::build(&[])?,
                }),
                None => None,
            };
            let settings = ServerSettings {
                certificates: vec![pair.clone()],
                clients,
                lowest: TlsVersion::Tls12,
                alpn: vec![ALPN_HTTP2.to_vec()],
            };
            settings.build().map(Arc::new)
        };
        Ok((port(true)?, port(false)?))
    }
}
