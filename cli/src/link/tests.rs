//! Verbs against a server with TLS and tokens, and against one that is not what
//! it should be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use evenkeel_shared::ir::TlsVersion;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::access_service_server::{AccessService, AccessServiceServer};
use evenkeel_shared::tls::{self, ClientRules, NameRules, Pair, ServerSettings, Trust};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status};

use crate::failure::{Failure, Verdict};
use crate::render::testing::{Captured, captured};
use crate::{Cli, Command, ask, pki};

const SECRET: &str = "ek_canary";

/// What the server was asked, and by whom.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note<T: std::fmt::Debug>(&self, request: &Request<T>) {
        let header = request.metadata().get("authorization");
        let token = header.map_or("nobody", |header| header.to_str().unwrap());
        let line = format!("{token}: {:?}", request.get_ref());
        self.0.lock().push(line);
    }

    fn last(&self) -> String {
        self.0.lock().last().cloned().unwrap_or_default()
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn token() -> v1::Token {
    v1::Token {
        id: "01J".to_owned(),
        name: "ci".to_owned(),
        grants: vec![crate::access::parse("write:Cluster/shop-*").unwrap()],
        created_by: "token/root".to_owned(),
        ..v1::Token::default()
    }
}

#[tonic::async_trait]
impl AccessService for Asked {
    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Answer<v1::WhoAmIResponse> {
        self.note(&request);
        if !request.metadata().contains_key("authorization") {
            return Err(Status::unauthenticated("no credentials"));
        }
        Ok(Response::new(v1::WhoAmIResponse {
            subject: "token/ci".to_owned(),
            method: "token".to_owned(),
            grants: token().grants,
            expires: None,
        }))
    }

    async fn can_i(&self, request: Request<v1::CanIRequest>) -> Answer<v1::CanIResponse> {
        self.note(&request);
        let id = request.into_inner().id.unwrap_or_default();
        Ok(Response::new(v1::CanIResponse {
            allowed: id.name == "shop-cart",
            reason: "token/ci has write:Cluster/shop-*".to_owned(),
        }))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Answer<v1::CreateTokenResponse> {
        self.note(&request);
        let request = request.into_inner();
        if request.name == "taken" {
            return Err(Status::already_exists("a token `taken` is there"));
        }
        let secret = if request.certificate.is_empty() {
            SECRET
        } else {
            ""
        };
        Ok(Response::new(v1::CreateTokenResponse {
            token: Some(v1::Token {
                certificate: request.certificate,
                ..token()
            }),
            secret: secret.to_owned(),
        }))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Answer<v1::ListTokensResponse> {
        self.note(&request);
        let revoked = v1::Token {
            name: "old".to_owned(),
            revoked: Some(prost_types::Timestamp::default()),
            ..token()
        };
        Ok(Response::new(v1::ListTokensResponse {
            tokens: vec![token(), revoked],
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Answer<v1::RevokeTokenResponse> {
        self.note(&request);
        if request.get_ref().token != "ci" {
            return Err(Status::permission_denied("token/ci is not admin"));
        }
        Ok(Response::new(v1::RevokeTokenResponse {
            token: Some(token()),
        }))
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Answer<v1::ListAuditResponse> {
        self.note(&request);
        let side = |key: &str| v1::Resource {
            name: "shop".to_owned(),
            spec: Some(v1::resource::Spec::Secret(v1::Secret {
                content: Some(v1::secret::Content::Certificate(v1::CertificatePair {
                    chain: None,
                    private_key: Some(v1::DataSource {
                        source: Some(v1::data_source::Source::Inline(key.to_owned())),
                    }),
                })),
            })),
        };
        let change = v1::Change {
            id: Some(crate::kind::id(v1::Kind::Secret, "shop")),
            action: v1::ChangeAction::Configured.into(),
            before: Some(side("canary-1")),
            after: Some(side("canary-2")),
        };
        Ok(Response::new(v1::ListAuditResponse {
            entries: vec![v1::AuditEntry {
                id: 7,
                subject: "token/ci".to_owned(),
                action: "apply".to_owned(),
                allowed: true,
                revision: 3,
                source: "10.0.0.5:4711".to_owned(),
                changes: vec![change],
                ..v1::AuditEntry::default()
            }],
        }))
    }
}

/// What a server does about TLS.
enum Door<'d> {
    Plain,
    /// With this certificate, for everybody.
    Tls(&'d str),
    /// With this certificate, for those with a certificate of the authority.
    Mutual(&'d str),
}

/// An authority in a directory, and a server.
struct Lab {
    files: tempfile::TempDir,
    asked: Asked,
    port: u16,
}

impl Lab {
    async fn start(door: Door<'_>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lab = Self {
            files: tempfile::tempdir().unwrap(),
            asked: Asked::default(),
            port: listener.local_addr().unwrap().port(),
        };
        lab.pki("init --dir DIR --lifetime 1d");
        lab.pki("issue control-plane cp --dir DIR");
        lab.pki("issue server other --dir DIR --dns other.test --ip 10.9.8.7");
        lab.pki("issue admin alice --dir DIR");
        std::fs::write(lab.path("token"), format!("{SECRET}\n")).unwrap();
        let acceptor = match door {
            Door::Plain => None,
            Door::Tls(name) => Some(lab.acceptor(name, None)),
            Door::Mutual(name) => {
                let rules = ClientRules {
                    trust: Trust::read(&lab.read("ca.crt"), None).unwrap(),
                    required: true,
                    names: NameRules::build(&[]).unwrap(),
                };
                Some(lab.acceptor(name, Some(rules)))
            }
        };
        serve(listener, acceptor, lab.asked.clone());
        lab
    }

    fn acceptor(&self, name: &str, clients: Option<ClientRules>) -> TlsAcceptor {
        let chain = self.read(&format!("{name}.crt"));
        let key = self.read(&format!("{name}.key"));
        let settings = ServerSettings {
            certificates: vec![Pair::read(&chain, &key).unwrap()],
            clients,
            lowest: TlsVersion::Tls12,
            alpn: vec![tls::ALPN_HTTP2.to_vec()],
        };
        TlsAcceptor::from(Arc::new(settings.build().unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join("pki").join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn words(&self, line: &str) -> Vec<String> {
        let directory = self.path("").display().to_string();
        let directory = directory.trim_end_matches('/');
        let port = self.port.to_string();
        std::iter::once("evenkeel")
            .chain(line.split(' '))
            .map(|word| word.replace("DIR", directory).replace("PORT", &port))
            .collect()
    }

    fn pki(&self, line: &str) {
        let words = self.words(&format!("pki {line}"));
        let Command::Pki(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("pki");
        };
        pki::run(&args, &mut captured().0).unwrap();
    }

    /// Runs a command line; `DIR` is the authority's directory, `PORT` the
    /// server's.
    async fn run(&self, line: &str) -> (Result<Verdict, Failure>, Captured) {
        let command = Cli::try_parse_from(self.words(line)).unwrap();
        let (mut terminal, memory) = captured();
        let command = command.into_command().unwrap();
        (ask(command, &mut terminal).await, memory)
    }

    async fn failure(&self, line: &str) -> Failure {
        self.run(line).await.0.unwrap_err()
    }

    async fn out(&self, line: &str) -> String {
        let (outcome, memory) = self.run(line).await;
        outcome.unwrap();
        memory.out()
    }
}

/// Serves until the runtime of the test ends.
fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, asked: Asked) {
    let Some(acceptor) = acceptor else {
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let router =
            tonic::transport::Server::builder().add_service(AccessServiceServer::new(asked));
        tokio::spawn(router.serve_with_incoming(incoming));
        return;
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, asked) = (acceptor.clone(), asked.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                // What tonic takes as a connection is a duplex that knows nobody.
                let (near, far) = tokio::io::duplex(65_536);
                let (mut stream, mut far) = (stream, far);
                let pump = tokio::io::copy_bidirectional(&mut stream, &mut far);
                let incoming = tokio_stream::once(Ok::<_, std::io::Error>(near));
                let router = tonic::transport::Server::builder()
                    .add_service(AccessServiceServer::new(asked));
                let serving = router.serve_with_incoming(incoming);
                let _ = futures_util::future::join(pump, serving).await;
            });
        }
    });
}

const SECURE: &str = "--server https://127.0.0.1:PORT --ca DIR/ca.crt";

#[tokio::test]
async fn a_token_goes_over_tls_to_the_server_with_the_right_certificate() {
    let lab = Lab::start(Door::Tls("cp")).await;
    let line = format!("{SECURE} auth whoami --token-file DIR/token");
    let shown = lab.out(&line).await;
    assert!(shown.contains("token/ci"), "{shown}");
    assert!(shown.contains("write:Cluster/shop-*"), "{shown}");
    assert!(
        lab.asked.last().starts_with("Bearer ek_canary: "),
        "{}",
        lab.asked.last()
    );
    let local = line.replace("127.0.0.1", "localhost");
    assert_eq!(lab.out(&local).await, shown);
    let nobody = lab.failure(&format!("{SECURE} auth whoami")).await;
    assert!(nobody.to_string().contains("--token-file"), "{nobody}");
}

#[tokio::test]
async fn a_server_that_is_not_the_right_one_is_refused_in_words() {
    let lab = Lab::start(Door::Tls("other")).await;
    let stranger = Lab::start(Door::Plain).await;
    std::fs::write(lab.path("stranger.crt"), stranger.read("ca.crt")).unwrap();
    for (line, said) in [
        (
            "--server https://127.0.0.1:PORT --ca DIR/stranger.crt",
            "not signed by the authority in",
        ),
        (SECURE, "but for other.test, 10.9.8.7;"),
        (
            "--server https://127.0.0.1:PORT --ca DIR/ca.crt --server-name third.test",
            "not for `third.test`",
        ),
    ] {
        let line = format!("{line} auth whoami --token-file DIR/token");
        let failure = lab.failure(&line).await;
        assert_eq!(failure.exit_code(), 5, "{failure}");
        assert!(failure.to_string().contains(said), "{failure}");
    }
    assert_eq!(lab.asked.last(), "", "the token stays here");
    let named = format!("{SECURE} --server-name other.test auth whoami --token-file DIR/token");
    lab.out(&named).await;
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with_it() {
    let lab = Lab::start(Door::Plain).await;
    let failure = lab.failure(&format!("{SECURE} auth whoami")).await;
    assert_eq!(failure.exit_code(), 5);
    assert!(failure.to_string().contains("write http://"), "{failure}");
    let here = "--server 127.0.0.1:PORT auth whoami --token-file DIR/token";
    assert!(lab.out(here).await.contains("token/ci"));
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_gets_ours_or_says_what_it_wants() {
    let lab = Lab::start(Door::Mutual("cp")).await;
    let whoami = format!("{SECURE} auth whoami --token-file DIR/token");
    let ours = format!("{whoami} --cert DIR/alice.crt --key DIR/alice.key");
    assert!(lab.out(&ours).await.contains("token/ci"));
    let failure = lab.failure(&whoami).await;
    assert_eq!(failure.exit_code(), 5);
    assert!(
        failure.to_string().contains("--cert and --key"),
        "{failure}"
    );
    let half = lab.failure(&format!("{whoami} --cert DIR/alice.crt")).await;
    assert_eq!(half.exit_code(), 2);
    let wrong = format!("{whoami} --cert DIR/alice.crt --key DIR/cp.key");
    let wrong = lab.failure(&wrong).await.to_string();
    assert!(wrong.contains("not that of the certificate"), "{wrong}");
}

#[tokio::test]
async fn nothing_secret_is_sent_in_the_clear_to_another_machine() {
    let lab = Lab::start(Door::Plain).await;
    for (line, said) in [
        (
            "--server http://10.255.255.1:1 get all --token-file DIR/token",
            "a token is not sent",
        ),
        (
            "--server 10.255.255.1:1 grpc list --token-file DIR/token",
            "write https://10.255.255.1:1",
        ),
        (
            "--server control.example.internal:1 status --ca DIR/ca.crt",
            "no effect without TLS",
        ),
    ] {
        let failure = lab.failure(line).await;
        assert_eq!(failure.exit_code(), 2, "{failure}");
        assert!(failure.to_string().contains(said), "{failure}");
    }
}

#[tokio::test]
async fn a_new_token_is_shown_once_and_alone_if_that_is_wanted() {
    let lab = Lab::start(Door::Plain).await;
    let server = "--server 127.0.0.1:PORT";
    let short = "token create ci --role write --kind cl --name shop-* --expires 30d";
    let (_, memory) = lab.run(&format!("{server} {short}")).await;
    assert!(memory.out().contains(&format!("token     {SECRET}\n")));
    assert!(memory.err().contains("only this once"), "{}", memory.err());
    assert!(lab.asked.last().contains("name: \"shop-*\""));
    assert!(lab.asked.last().contains("seconds: 2592000"));
    for quiet in ["-o name", "--quiet"] {
        let line = format!("{server} token create ci --grant read {quiet}");
        assert_eq!(lab.out(&line).await, format!("{SECRET}\n"));
    }
    let certificate = format!("{server} token create alice --role admin --certificate a.test");
    let (_, memory) = lab.run(&certificate).await;
    assert!(!memory.out().contains("token "), "{}", memory.out());
}

#[tokio::test]
async fn a_token_in_a_file_is_nowhere_else_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;

    let lab = Lab::start(Door::Plain).await;
    let create = "--server 127.0.0.1:PORT token create ci --role read --out DIR/ci.token";
    for format in ["", " -o json", " -o name"] {
        let path = lab.path("ci.token");
        let (outcome, memory) = lab.run(&format!("{create}{format}")).await;
        outcome.unwrap();
        assert!(!format!("{}{}", memory.out(), memory.err()).contains("canary"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ek_canary\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = lab.failure(create).await;
        assert_eq!(again.exit_code(), 1, "{again}");
        std::fs::remove_file(&path).unwrap();
    }
    let taken = create.replace("create ci", "create taken");
    assert_eq!(lab.failure(&taken).await.exit_code(), 4);
    assert!(!Path::new(&lab.path("ci.token")).exists());
}

#[tokio::test]
async fn tokens_are_listed_and_ended() {
    let lab = Lab::start(Door::Plain).await;
    let list = lab.out("--server 127.0.0.1:PORT token list --all").await;
    assert!(list.contains("valid") && list.contains("revoked"), "{list}");
    let ended = lab
        .out("--server 127.0.0.1:PORT token revoke token/ci")
        .await;
    assert_eq!(ended, "token/ci revoked (id 01J)\n");
    let refused = lab
        .failure("--server 127.0.0.1:PORT token revoke other")
        .await;
    assert_eq!(
        refused.to_string(),
        "not allowed: token/ci is not admin; `evenkeel auth whoami` shows what is"
    );
}

#[tokio::test]
async fn may_we_is_answered_by_the_exit_code() {
    let lab = Lab::start(Door::Plain).await;
    let can = |what: &str| format!("--server 127.0.0.1:PORT auth can-i write {what}");
    let (yes, memory) = lab.run(&can("cluster/shop-cart")).await;
    assert_eq!(yes.unwrap(), Verdict::Good);
    assert!(memory.out().starts_with("yes: "), "{}", memory.out());
    let (no, memory) = lab.run(&can("clusters -o name")).await;
    assert_eq!(no.unwrap(), Verdict::Bad);
    assert_eq!(memory.out(), "no\n");
    assert_eq!(lab.failure(&can("pods")).await.exit_code(), 2);
}

#[tokio::test]
async fn the_audit_log_shows_what_changed_and_no_key() {
    let lab = Lab::start(Door::Plain).await;
    for format in ["", " --diff", " -o wide", " -o json", " -o yaml"] {
        let line = format!("--server 127.0.0.1:PORT audit secret/shop --subject token/ci{format}");
        let shown = lab.out(&line).await;
        assert!(shown.contains("apply"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
        if !format.is_empty() {
            assert!(shown.contains("redacted (changed)"), "{shown}");
        }
    }
    assert!(lab.asked.last().contains("subject: \"token/ci\""));
}
