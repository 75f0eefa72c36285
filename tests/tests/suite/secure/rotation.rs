//! Certificates of every leg are exchanged again and again under load.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use evenkeel_tests::backend::Backend;
use evenkeel_tests::client::Load;
use evenkeel_tests::config;
use evenkeel_tests::pki::{Authority, Issued, Subject};
use evenkeel_tests::process::{Proxy, eventually};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::{Secure, control_plane_certificate, file_secret, text, trust_secret};
use crate::SOON;

/// A new certificate is there within a second; the rest is for a busy machine.
const ROTATION: Duration = Duration::from_secs(3);

/// How many rotations; a longer run is asked for with `EVENKEEL_ROTATIONS`.
fn rotations() -> u32 {
    std::env::var("EVENKEEL_ROTATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12)
}

fn shop(authority: &Authority) -> Issued {
    let subject = Subject {
        hosts: &["shop.test"],
        ..Subject::default()
    };
    authority.issue(subject).unwrap()
}

fn inside(authority: &Authority) -> Issued {
    let subject = Subject {
        hosts: &["backend.test"],
        ..Subject::default()
    };
    authority.issue(subject).unwrap()
}

fn own(authority: &Authority) -> Issued {
    let subject = Subject {
        uris: &["spiffe://test/proxy/p1"],
        ..Subject::default()
    };
    authority.issue(subject).unwrap()
}

/// The certificate that a listener shows now.
async fn shown(listener: SocketAddr, authority: &Authority) -> anyhow::Result<Vec<u8>> {
    let connector = tokio_rustls::TlsConnector::from(authority.client("shop.test", None)?);
    let stream = TcpStream::connect(listener).await?;
    let stream = connector
        .connect(ServerName::try_from("shop.test")?, stream)
        .await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain
        .first()
        .map(|first| first.to_vec())
        .unwrap_or_default())
}

/// TLS from the client to the endpoint, with certificates in files.
fn configuration(directory: &Path, listener: SocketAddr, backend: SocketAddr) -> String {
    let files = |name: &str| {
        let file = |end: &str| directory.join(format!("{name}.{end}"));
        (file("crt"), file("key"))
    };
    [
        file_secret("shop", &files("shop")),
        file_secret("own", &files("own")),
        format!(
            "kind: Secret\nname: ca\nspec:\n  trust:\n    certificates: {{file: {}}}\n---\n",
            text(&directory.join("ca.crt"))
        ),
        format!(
            "kind: Listener\nname: edge-p1\nspec:\n  address: \"{listener}\"\n  \
             tls: {{certificates: [shop]}}\n---\n"
        ),
        config::route("shop", &["p1"], "shop.test", "shop"),
        format!(
            "kind: Cluster\nname: shop\nspec:\n  endpoints:\n    static:\n    \
             - {{address: \"{backend}\"}}\n  connection: {{maxRequests: 5}}\n  \
             tls: {{serverName: backend.test, trust: ca, certificate: own}}\n---\n"
        ),
    ]
    .concat()
}

/// A proxy between TLS and TLS, under a control plane with TLS.
struct Stage {
    secure: Secure,
    proxy: Proxy,
    backend: Backend,
    yaml: String,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let secure = Secure::start().await?;
        let authority = &secure.authority;
        shop(authority).write(secure.path(), "shop")?;
        own(authority).write(secure.path(), "own")?;
        let served = authority.server(&inside(authority), true)?;
        let backend = Backend::start_secure("a", served).await?;
        secure.proxy_certificate("p1", &[])?;
        let proxy = secure.proxy("p1", "p1", &[]).await?;
        let yaml = configuration(secure.path(), proxy.listener, backend.address);
        secure.control_plane.apply(&yaml, &["--wait"]).await?;
        eventually(SOON, || shown(proxy.listener, &secure.authority)).await?;
        Ok(Self {
            secure,
            proxy,
            backend,
            yaml,
        })
    }

    fn load(&self, fresh: bool) -> Load {
        Load {
            targets: vec![self.proxy.listener],
            clients: 4,
            post_every: 3,
            tls: self.secure.authority.client("shop.test", None).ok(),
            fresh,
            ..Load::default()
        }
    }

    /// Exchanges the certificates of every leg; new connections have the new
    /// ones soon.
    async fn rotate(&self) -> anyhow::Result<()> {
        let authority = &self.secure.authority;
        let directory = self.secure.path();
        let next = shop(authority);
        next.write(directory, "shop")?;
        own(authority).write(directory, "own")?;
        let served = authority.server(&inside(authority), true)?;
        self.backend.renew(served);
        self.secure.proxy_certificate("p1", &[])?;
        control_plane_certificate(authority)?.write(directory, "cp")?;
        let wanted = pem_to_der(&next.certificate);
        eventually(ROTATION, || async {
            let now = shown(self.proxy.listener, authority).await?;
            anyhow::ensure!(now == wanted, "still the old certificate");
            Ok(())
        })
        .await
    }

    /// Has the stream shake hands again, with the new certificates.
    async fn reconnect(&mut self, round: u32) -> anyhow::Result<()> {
        self.secure.control_plane.restart().await?;
        connected(&self.secure).await;
        let requests = format!("maxRequests: {}", 5 + round);
        let yaml = self.yaml.replace("maxRequests: 5", &requests);
        let applied = self.secure.control_plane.apply(&yaml, &["--wait"]).await;
        applied.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_all_certificates_rotate() {
    let mut stage = Stage::set().await.unwrap();
    let (fresh, kept) = (stage.load(true).start(None), stage.load(false).start(None));
    for round in 1..=rotations() {
        stage.rotate().await.unwrap();
        if round % 4 == 0 {
            stage.reconnect(round).await.unwrap();
        }
    }
    let (fresh, kept) = (fresh.stop().await.unwrap(), kept.stop().await.unwrap());
    let inside = stage.backend.books.connections();
    println!(
        "{} rotations: {} requests on {} fresh connections, {} on {} kept ones; {inside} to the endpoint",
        rotations(),
        fresh.gets + fresh.posts,
        fresh.connects,
        kept.gets + kept.posts,
        kept.connects,
    );
    assert_eq!(fresh.failed(), 0, "{:?}", fresh.failures);
    assert_eq!(kept.failed(), 0, "{:?}", kept.failures);
    assert_eq!(kept.connects, 4, "every client kept its connection");
    assert!(
        inside > u64::from(rotations()),
        "the endpoint saw handshakes"
    );
}

/// Waits until the proxy is back at the control plane.
async fn connected(secure: &Secure) {
    eventually(SOON, || async {
        let status = secure.control_plane.cli(&["status", "-o", "json"]).await?;
        let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
        let proxy = &status["proxies"][0];
        anyhow::ensure!(proxy["connected"] == true, "not yet: {status}");
        Ok(())
    })
    .await
    .unwrap();
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pair_is_refused_with_its_reason_and_the_old_one_stays() {
    let secure = Secure::start().await.unwrap();
    secure.proxy_certificate("p1", &[]).unwrap();
    let proxy = secure.proxy("p1", "p1", &[]).await.unwrap();
    let backend = Backend::start("a", evenkeel_tests::backend::Mode::Serve)
        .await
        .unwrap();
    let first = shop(&secure.authority);
    let files = first.write(secure.path(), "shop").unwrap();
    let yaml = [
        file_secret("shop", &files),
        trust_secret("ca", &secure.authority),
        format!(
            "kind: Listener\nname: edge-p1\nspec:\n  address: \"{}\"\n  \
             tls: {{certificates: [shop]}}\n---\n",
            proxy.listener
        ),
        config::route("shop", &["p1"], "shop.test", "shop"),
        config::cluster("shop", &[(backend.address, 1)]),
    ]
    .concat();
    secure
        .control_plane
        .apply(&yaml, &["--wait"])
        .await
        .unwrap();
    let wanted = pem_to_der(&first.certificate);
    eventually(SOON, || async {
        let now = shown(proxy.listener, &secure.authority).await?;
        anyhow::ensure!(now == wanted, "another certificate");
        Ok(())
    })
    .await
    .unwrap();

    let other = shop(&secure.authority);
    std::fs::write(&files.1, &other.key).unwrap();
    eventually(SOON, || async {
        let status = secure.control_plane.cli(&["status", "-o", "json"]).await?;
        let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
        let problems = status["proxies"][0]["report"]["problems"].to_string();
        anyhow::ensure!(problems.contains("not that of the certificate"), "{status}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(
        shown(proxy.listener, &secure.authority).await.unwrap(),
        wanted
    );
}
