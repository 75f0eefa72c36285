//! A proxy with certificates: what it shows of them, what it reports, and what
//! it keeps.

use std::path::Path;

use evenkeel_shared::ir::{CertificateRef, RouteSource};
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use evenkeel_shared::proto::v1::report_request::Message;

use super::*;
use crate::tls::sample::{Authority, downstream, files, inline_pair, write};

/// Takes reports.
struct Fleet(mpsc::Sender<v1::ProxyReport>);

#[tonic::async_trait]
impl FleetService for Fleet {
    type ReportStream = ReceiverStream<Result<v1::ReportResponse, GrpcStatus>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, GrpcStatus> {
        let (responses, outbound) = mpsc::channel(1);
        let reports = self.0.clone();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            // The stream of answers ends with that of requests.
            let _responses = responses;
            while let Ok(Some(request)) = requests.message().await {
                if let Some(Message::Report(report)) = request.message {
                    let _ = reports.send(report).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

async fn fleet() -> (SocketAddr, mpsc::Receiver<v1::ProxyReport>) {
    let (reports, reported) = mpsc::channel(64);
    let (streams, _) = mpsc::channel(4);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(AggregatedDiscoveryServiceServer::new(Ads(streams)))
        .add_service(FleetServiceServer::new(Fleet(reports)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(socket)));
    (address, reported)
}

/// A listener without routes that shows a certificate.
fn encrypted(certificate: CertificateRef) -> Resource {
    let mut spec = listener("edge", 0);
    spec.routes = RouteSource::Inline(table("edge", &[]));
    spec.tls = Some(downstream(vec![certificate]));
    Resource::Listener(spec)
}

/// All files of a state directory, as one text.
fn everything_in(directory: &Path) -> String {
    let files = std::fs::read_dir(directory).unwrap();
    let contents = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    String::from_utf8_lossy(&contents.collect::<Vec<_>>().concat()).into_owned()
}

#[tokio::test]
async fn a_secret_is_shown_without_its_key_and_is_not_on_disk() {
    let state = tempfile::tempdir().unwrap();
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    let pair = Authority::new().pair_until("shop.test", 2098);
    let edge = encrypted(CertificateRef::Secret("web".into()));
    let web = Resource::Secret(inline_pair("web", &pair));
    stream
        .accepts(response(ResourceType::Listener, 1, &[edge], &[]))
        .await;
    assert_eq!(proxy.listener("edge"), None);
    stream
        .accepts(response(ResourceType::Secret, 1, &[web], &[]))
        .await;
    proxy.until("GET /ready", 200).await;
    let mut all = String::new();
    for (page, part) in [
        ("GET /certs", "secret \"web\" from inline"),
        ("GET /certs", "names=shop.test"),
        ("GET /certs", "not_after=2098-01-01T00:00:00Z"),
        ("GET /certs?format=json", "\"fingerprint\": \""),
        ("GET /config_dump", "[redacted]"),
        ("GET /config_dump", "\"fingerprint\": \""),
        (
            "GET /metrics",
            "evenkeel_certificate_expiry_seconds{secret=\"web\"} 4039372800",
        ),
        ("GET /metrics", "evenkeel_certificates_refused 0"),
    ] {
        let (_, text) = proxy.admin(page).await;
        assert!(text.contains(part), "{page}: {text}");
        all.push_str(&text);
    }
    drop((stream, streams));
    proxy.stop().await;
    all.push_str(&everything_in(state.path()));
    for line in pair.key.lines() {
        assert!(!all.contains(line), "{line}");
    }

    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let proxy = Proxy::start(nobody, state.path()).await;
    proxy.until("GET /ready", 200).await;
    assert!(proxy.listener("edge").is_some());
    let (_, text) = proxy.admin("GET /certs").await;
    assert!(text.contains("secret \"web\" is missing"), "{text}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_refused_by_name() {
    let state = tempfile::tempdir().unwrap();
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    let authority = Authority::new();
    let mut mixed = authority.pair("shop.test");
    mixed.key = authority.pair("else.test").key;
    let edge = encrypted(CertificateRef::Secret("web".into()));
    let web = Resource::Secret(inline_pair("web", &mixed));
    stream
        .accepts(response(ResourceType::Listener, 1, &[edge], &[]))
        .await;
    let answer = stream
        .push(response(ResourceType::Secret, 1, &[web], &[]))
        .await;
    assert_eq!(
        answer.error_detail.unwrap().message,
        "Secret/web: the private key is not that of the certificate"
    );
    proxy.stop().await;
}

#[tokio::test]
async fn problems_with_certificates_are_reported_and_taken_back() {
    let state = tempfile::tempdir().unwrap();
    let tls = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let soon = Duration::from_hours(24 * 3 + 1);
    let pair = authority.pair_for("shop.test", soon);
    let paths = write(tls.path(), &pair);

    // An earlier run has left a listener on disk.
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    let edge = encrypted(files(&paths));
    stream
        .accepts(response(ResourceType::Listener, 1, &[edge], &[]))
        .await;
    proxy.until("GET /ready", 200).await;
    proxy.stop().await;

    let (address, mut reported) = fleet().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut until = async |what: &str, found: fn(&[String]) -> bool| {
        let search = async {
            loop {
                let report: v1::ProxyReport = reported.recv().await.unwrap();
                if found(&report.problems) {
                    return report;
                }
            }
        };
        let report = tokio::time::timeout(PATIENCE, search).await;
        report.unwrap_or_else(|_| panic!("no report: {what}"))
    };
    until("ends soon", |problems| {
        problems.len() == 1 && problems[0].contains("in 3 days")
    })
    .await;
    std::fs::write(&paths.1, "no key").unwrap();
    until("bad key", |problems| {
        problems.len() == 2 && problems[0].contains("the one before stays in use")
    })
    .await;
    write(tls.path(), &authority.pair("shop.test"));
    let report = until("all well", <[String]>::is_empty).await;
    assert!(report.ready);
    proxy.stop().await;
}
