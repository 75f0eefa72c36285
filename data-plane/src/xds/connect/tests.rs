use std::path::Path;

use evenkeel_shared::tls::{ClientRules, ServerSettings};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::sample::{Authority, Pem, write};

/// A directory with an authority and a certificate for this proxy.
struct Bench {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        std::fs::write(directory.path().join("ca.pem"), &authority.pem).unwrap();
        Self {
            directory,
            authority,
        }
    }

    fn dialer(&self) -> Dialer {
        let path: &Path = self.directory.path();
        Dialer {
            control_planes: Vec::new(),
            authorities: Some(path.join("ca.pem")),
            certificate: None,
            name: None,
        }
    }

    /// One that shows a certificate.
    fn dialer_with(&self, pair: &Pem) -> Dialer {
        Dialer {
            certificate: Some(write(self.directory.path(), pair)),
            ..self.dialer()
        }
    }

    /// The settings of a control plane that asks for certificates of the
    /// authority.
    fn server(&self, shown: &Pem, asks: bool) -> Arc<ServerConfig> {
        let pair = shown.read();
        let trust = self.authority.trust();
        let settings = ServerSettings {
            certificates: vec![pair],
            clients: asks.then(|| ClientRules {
                trust,
                required: true,
                names: NameRules::build(&[]).unwrap(),
            }),
            lowest: TlsVersion::Tls12,
            alpn: vec![ALPN_HTTP2.to_vec()],
        };
        Arc::new(settings.build().unwrap())
    }
}

/// Accepts connections, shakes hands, and says no more.
async fn listen(settings: Arc<ServerConfig>) -> Uri {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(settings);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    return;
                };
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    format!("https://127.0.0.1:{port}").parse().unwrap()
}

async fn refusal_of(dialer: &Dialer, uri: &Uri) -> String {
    dialer.connect(uri).await.unwrap_err()
}

#[tokio::test]
async fn a_control_plane_of_the_authority_with_the_right_name_is_taken() {
    let bench = Bench::new();
    let shown = bench.authority.pair("127.0.0.1");
    let uri = listen(bench.server(&shown, false)).await;
    let line = bench.dialer().connect(&uri).await.unwrap();
    assert!(line.shown.is_none());
    let named = bench.authority.pair("control-plane.internal");
    let uri = listen(bench.server(&named, false)).await;
    let dialer = Dialer {
        name: Some("control-plane.internal".to_owned()),
        ..bench.dialer()
    };
    dialer.connect(&uri).await.unwrap();
}

#[tokio::test]
async fn each_refusal_says_what_is_wrong() {
    let bench = Bench::new();
    let dialer = bench.dialer();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let away = format!("https://127.0.0.1:{port}").parse().unwrap();
    let other = Authority::new().pair("127.0.0.1");
    let named = bench.authority.pair("else.test");
    let old = bench.authority.pair_until("127.0.0.1", 2001);
    for (uri, part) in [
        (away, "Connection refused"),
        (
            listen(bench.server(&other, false)).await,
            "is not signed by an authority in ",
        ),
        (
            listen(bench.server(&named, false)).await,
            "does not carry the name \"127.0.0.1\"",
        ),
        (listen(bench.server(&old, false)).await, "has expired"),
    ] {
        let text = refusal_of(&dialer, &uri).await;
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_port_without_tls_is_told_as_such() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = socket.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
    });
    let uri = format!("https://127.0.0.1:{port}").parse().unwrap();
    let text = refusal_of(&Bench::new().dialer(), &uri).await;
    assert!(text.contains("does not speak TLS"), "{text}");
}

#[tokio::test]
async fn files_are_read_anew_for_each_connection() {
    let bench = Bench::new();
    let shown = bench.authority.pair("127.0.0.1");
    let uri = listen(bench.server(&shown, true)).await;
    let first = bench.authority.pair("edge-1");
    let dialer = bench.dialer_with(&first);
    let name = |line: Line| line.shown.unwrap().dns[0].clone();
    assert_eq!(name(dialer.connect(&uri).await.unwrap()), "edge-1");
    write(bench.directory.path(), &bench.authority.pair("edge-2"));
    assert_eq!(name(dialer.connect(&uri).await.unwrap()), "edge-2");
    let ca = bench.directory.path().join("ca.pem");
    std::fs::remove_file(&ca).unwrap();
    let text = refusal_of(&dialer, &uri).await;
    assert!(text.contains("ca.pem: No such file"), "{text}");
}

#[tokio::test]
async fn a_certificate_that_ends_is_exchanged_for_a_new_one_and_not_for_itself() {
    let bench = Bench::new();
    let ending = bench.authority.pair_for("edge-1", Duration::from_secs(50));
    let dialer = bench.dialer_with(&ending);
    let shown = dialer.read_own().unwrap().unwrap().identity;
    let renewed = dialer.renewed(Some(&shown));
    tokio::pin!(renewed);
    let a_look = Duration::from_millis(1_500);
    assert!(tokio::time::timeout(a_look, &mut renewed).await.is_err());
    write(bench.directory.path(), &bench.authority.pair("edge-1"));
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, renewed).await.unwrap();
}

#[test]
fn another_certificate_is_looked_for_in_the_last_minute_only() {
    let pem = Authority::new().pair("edge-1");
    let pair = pem.read();
    let shown = pair.identity;
    let looks = |left: i64| next_look(&shown, shown.not_after - left);
    assert_eq!(looks(86_400), (Duration::from_mins(1), false));
    assert_eq!(looks(90), (Duration::from_secs(30), false));
    assert_eq!(looks(60), (Duration::from_secs(1), true));
    assert_eq!(looks(-60), (Duration::from_secs(1), true));
}

#[test]
fn loopback_is_known_by_name_and_by_address() {
    for (url, expected) in [
        ("http://127.0.0.1:1", true),
        ("http://127.9.9.9", true),
        ("http://[::1]:1", true),
        ("http://localhost:1", true),
        ("http://localhost.example:1", false),
        ("http://10.0.0.1:1", false),
        ("http://[::]:1", false),
    ] {
        assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
    }
}
