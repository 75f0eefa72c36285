//! A proxy made of Pingora, as its documentation shows one, to measure against:
//! round robin, two retries if an endpoint cannot be reached, forwarding headers
//! and a request id. Its settings are a JSON file, the last argument.

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::http::RequestHeader;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use serde::Deserialize;
use uuid::Uuid;

/// Connections to endpoints that are kept.
const POOL: usize = 2_048;

/// More attempts for a request.
const RETRIES: u8 = 2;

/// Where to listen, and where to send to.
#[derive(Deserialize)]
struct Settings {
    http: SocketAddr,
    http2: SocketAddr,
    tls: SocketAddr,
    grpc: SocketAddr,
    many: SocketAddr,
    usual_endpoints: Vec<SocketAddr>,
    many_endpoints: Vec<SocketAddr>,
    grpc_endpoints: Vec<SocketAddr>,
    certificate: String,
    key: String,
}

struct Forward {
    endpoints: LoadBalancer<RoundRobin>,
    http2: bool,
    scheme: &'static str,
}

#[async_trait]
impl ProxyHttp for Forward {
    /// Attempts that have failed.
    type CTX = u8;

    fn new_ctx(&self) -> u8 {
        0
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut u8) -> Result<Box<HttpPeer>> {
        let endpoint = self.endpoints.select(b"", 256);
        let endpoint = endpoint.ok_or_else(|| Error::new_str("no endpoint"))?;
        let mut peer = HttpPeer::new(endpoint, false, String::new());
        peer.options.connection_timeout = Some(Duration::from_secs(1));
        peer.options.read_timeout = Some(Duration::from_secs(15));
        peer.options.idle_timeout = Some(Duration::from_secs(60));
        if self.http2 {
            peer.options.set_http_version(2, 2);
            peer.options.max_h2_streams = 100;
        }
        Ok(Box::new(peer))
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        failed: &mut u8,
        mut error: Box<Error>,
    ) -> Box<Error> {
        *failed += 1;
        error.set_retry(*failed <= RETRIES);
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _: &mut u8,
    ) -> Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet());
        if let Some(client) = client {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        request.insert_header("X-Forwarded-Proto", self.scheme)?;
        request.insert_header("X-Request-Id", Uuid::new_v4().to_string())
    }
}

fn service(
    conf: &std::sync::Arc<ServerConf>,
    endpoints: &[SocketAddr],
    http2: bool,
    scheme: &'static str,
) -> std::io::Result<Service<HttpProxy<Forward>>> {
    let forward = Forward {
        endpoints: LoadBalancer::try_from_iter(endpoints)?,
        http2,
        scheme,
    };
    Ok(http_proxy_service(conf, forward))
}

fn with_http2(service: &mut Service<HttpProxy<Forward>>) {
    if let Some(proxy) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        proxy.server_options = Some(options);
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os()
        .nth(1)
        .ok_or("give a file with settings")?;
    let settings: Settings = serde_json::from_reader(File::open(file)?)?;
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: POOL,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let conf = server.configuration.clone();

    let mut http = service(&conf, &settings.usual_endpoints, false, "http")?;
    http.add_tcp(&settings.http.to_string());
    let mut http2 = service(&conf, &settings.usual_endpoints, false, "http")?;
    with_http2(&mut http2);
    http2.add_tcp(&settings.http2.to_string());
    let mut tls = service(&conf, &settings.usual_endpoints, false, "https")?;
    let shown = TlsSettings::intermediate(&settings.certificate, &settings.key)?;
    tls.add_tls_with_settings(&settings.tls.to_string(), None, shown);
    let mut grpc = service(&conf, &settings.grpc_endpoints, true, "http")?;
    with_http2(&mut grpc);
    grpc.add_tcp(&settings.grpc.to_string());
    let mut many = service(&conf, &settings.many_endpoints, false, "http")?;
    many.add_tcp(&settings.many.to_string());
    for service in [http, http2, tls, grpc, many] {
        server.add_service(service);
    }
    server.run_forever()
}
