//! A proxy with certificates: what it shows of them, what it reports, and what
//! it keeps.

use std::path::Path;

use evenkeel_shared::ir::{CertificateRef, RouteSource, TlsVersion};
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use evenkeel_shared::proto::v1::report_request::Message;
use evenkeel_shared::tls::{ClientSettings, Identity};

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
    let (streams, mut conversations) = mpsc::channel(4);
    tokio::spawn(async move { while conversations.recv().await.is_some() {} });
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
    let why = proxy.until("GET /ready", 503).await;
    assert!(why.contains("listeners are closed: \"edge\""), "{why}");
    assert_eq!(proxy.listener("edge"), None);
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

/// The name in the certificate that a listener shows, or why the handshake
/// failed.
async fn name_shown(address: SocketAddr) -> Result<String, String> {
    let settings = ClientSettings {
        server: None,
        certificate: None,
        lowest: TlsVersion::Tls12,
        alpn: Vec::new(),
        names_server: true,
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(settings.build().unwrap()));
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = "shop.test".try_into().unwrap();
    let stream = connector.connect(name, tcp).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap();
    let identity = Identity::read(&chain[0]).unwrap();
    Ok(identity.dns[0].clone())
}

#[tokio::test]
async fn a_new_pair_is_shown_once_it_is_whole() {
    let state = tempfile::tempdir().unwrap();
    let tls = tempfile::tempdir().unwrap();
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    let authority = Authority::new();
    let paths = write(tls.path(), &authority.pair("old.test"));
    stream
        .accepts(response(
            ResourceType::Listener,
            1,
            &[encrypted(files(&paths))],
            &[],
        ))
        .await;
    proxy.until("GET /ready", 200).await;
    let edge = proxy.listener("edge").unwrap();
    assert_eq!(name_shown(edge).await.unwrap(), "old.test");

    let new = authority.pair("new.test");
    std::fs::write(&paths.0, &new.chain).unwrap();
    let noticed = async {
        let mut page = String::new();
        while !page.contains("the private key is not that of the certificate") {
            tokio::time::sleep(Duration::from_millis(10)).await;
            page = proxy.admin("GET /certs").await.1;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.unwrap();
    assert_eq!(name_shown(edge).await.unwrap(), "old.test");
    std::fs::write(&paths.1, &new.key).unwrap();
    let found = async {
        while name_shown(edge).await.unwrap() != "new.test" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
    proxy.stop().await;
}

#[tokio::test]
async fn a_proxy_alone_closes_what_needs_a_secret_and_serves_once_it_comes() {
    let state = tempfile::tempdir().unwrap();
    let (address, mut streams) = control_plane().await;
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    let web = inline_pair("web", &Authority::new().pair("shop.test"));
    let secrets = response(ResourceType::Secret, 1, &[Resource::Secret(web)], &[]);
    let edge = encrypted(CertificateRef::Secret("web".into()));
    let listeners = response(ResourceType::Listener, 1, &[edge], &[]);
    stream.accepts(listeners).await;
    stream.accepts(secrets.clone()).await;
    proxy.until("GET /ready", 200).await;
    let edge = proxy.listener("edge").unwrap();
    assert_eq!(name_shown(edge).await.unwrap(), "shop.test");
    proxy.stop().await;

    drop(stream);
    let proxy = Proxy::start(address, state.path()).await;
    let mut stream = streams.recv().await.unwrap();
    // That the listeners are what they were is not enough.
    let nothing_new = response(ResourceType::Listener, 1, &[], &[]);
    stream.accepts(nothing_new).await;
    let why = proxy.until("GET /ready", 503).await;
    assert!(why.contains("listeners are closed: \"edge\""), "{why}");
    assert_eq!(proxy.listener("edge"), None);
    stream.accepts(secrets).await;
    assert_eq!(proxy.admin("GET /ready").await.0, 200);
    let edge = proxy.listener("edge").unwrap();
    assert_eq!(name_shown(edge).await.unwrap(), "shop.test");

    // Once ready, it does not become unready for a secret that goes or is bad.
    let gone = response(ResourceType::Secret, 2, &[], &["web"]);
    stream.accepts(gone).await;
    assert_eq!(proxy.admin("GET /ready").await.0, 200);
    proxy.stop().await;
}
