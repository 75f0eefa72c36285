//! Who may do what, and what is written down of it.

use std::os::unix::fs::PermissionsExt as _;

use evenkeel_shared::proto::v1::access_service_client::AccessServiceClient;
use evenkeel_shared::proto::v1::{Kind, Role};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::model::samples::certificate;

/// Shows a token with each request, if it has one.
#[derive(Clone)]
struct Show(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Show {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = self.0.clone() {
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

type Channels = InterceptedService<Channel, Show>;

/// Somebody with a token, or without.
struct User {
    management: ManagementServiceClient<Channels>,
    access: AccessServiceClient<Channels>,
}

impl User {
    /// The text is the whole `authorization`; empty is none.
    async fn showing(plane: &Plane, authorization: &str) -> Self {
        let url = format!("http://{}", plane.addresses.api);
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let value = (!authorization.is_empty()).then(|| authorization.parse().unwrap());
        let show = Show(value);
        Self {
            management: ManagementServiceClient::with_interceptor(channel.clone(), show.clone()),
            access: AccessServiceClient::with_interceptor(channel, show),
        }
    }

    async fn with_token(plane: &Plane, token: &str) -> Self {
        Self::showing(plane, &format!("Bearer {token}")).await
    }

    /// The administrator with the first token.
    async fn first(plane: &Plane, directory: &TempDir) -> Self {
        Self::with_token(plane, &first_token(directory)).await
    }

    async fn create(&mut self, name: &str, grants: Vec<v1::Grant>) -> v1::CreateTokenResponse {
        let request = v1::CreateTokenRequest {
            name: name.to_owned(),
            grants,
            ..v1::CreateTokenRequest::default()
        };
        self.access
            .create_token(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// Makes a token, and somebody who has it.
    async fn introduce(&mut self, plane: &Plane, name: &str, grants: Vec<v1::Grant>) -> Self {
        let made = self.create(name, grants).await;
        Self::with_token(plane, &made.secret).await
    }

    async fn audit(&mut self, request: v1::ListAuditRequest) -> Vec<v1::AuditEntry> {
        let listed = self.access.list_audit(request).await.unwrap();
        listed.into_inner().entries
    }

    async fn names(&mut self) -> Vec<String> {
        let listed = self.management.list(v1::ListRequest { kind: 0 }).await;
        let resources = listed.unwrap().into_inner().resources;
        resources
            .into_iter()
            .map(|resource| resource.name)
            .collect()
    }
}

fn first_token(directory: &TempDir) -> String {
    let text = std::fs::read_to_string(directory.path().join("admin.token")).unwrap();
    text.trim().to_owned()
}

fn grant(role: Role, kind: Kind, name: &str) -> v1::Grant {
    v1::Grant {
        role: role.into(),
        kind: kind.into(),
        name: name.to_owned(),
    }
}

fn everywhere(role: Role) -> Vec<v1::Grant> {
    vec![grant(role, Kind::Unspecified, "")]
}

fn actions(entries: &[v1::AuditEntry]) -> Vec<(&str, bool)> {
    let pairs = entries.iter();
    pairs
        .map(|entry| (entry.action.as_str(), entry.allowed))
        .collect()
}

/// Whether a file of the directory holds the text.
fn somewhere_in(directory: &TempDir, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(directory.path()).unwrap();
    let holding = files.map(Result::unwrap).filter(|file| {
        let content = std::fs::read(file.path()).unwrap();
        content
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    });
    holding
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn on_this_machine_nobody_is_asked_unless_it_is_required() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut user = User::showing(&plane, "").await;
    let who = user.access.who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    let who = who.into_inner();
    assert_eq!(
        (who.subject.as_str(), who.method.as_str()),
        ("local", "local")
    );
    assert!(!directory.path().join("admin.token").exists());
    plane.stop().await;

    let plane = Plane::start_with(directory.path(), true).await;
    let mut user = User::showing(&plane, "").await;
    let refused = user.management.status(v1::StatusRequest {}).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("--token-file"), "{refused}");
    assert!(refused.message().contains("admin.token"), "{refused}");
    let refused = user.access.who_am_i(v1::WhoAmIRequest {}).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let page = plane.page("/metrics").await;
    let line = "api_denied_total{reason=\"no_credentials\"} 2";
    assert!(page.contains(line), "{page}");
    plane.stop().await;
}

#[tokio::test]
async fn probes_need_no_credentials() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let url = format!("http://{}", plane.addresses.api);
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest {
        service: String::new(),
    };
    health.check(request).await.unwrap();
    plane.stop().await;
}

#[tokio::test]
async fn the_first_token_is_in_a_private_file_and_made_once() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let path = directory.path().join("admin.token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = first_token(&directory);
    assert!(token.starts_with("ekt_"));
    let mut admin = User::with_token(&plane, &token).await;
    let can = v1::CanIRequest {
        role: Role::Admin.into(),
        id: None,
    };
    let can = admin.access.can_i(can).await.unwrap().into_inner();
    assert!(can.allowed, "{}", can.reason);
    plane.stop().await;

    let plane = Plane::start_with(directory.path(), true).await;
    assert_eq!(first_token(&directory), token);
    let mut admin = User::with_token(&plane, &token).await;
    let request = v1::RevokeTokenRequest {
        token: "bootstrap".to_owned(),
    };
    admin.access.revoke_token(request).await.unwrap();
    plane.stop().await;

    let plane = Plane::start_with(directory.path(), true).await;
    assert_ne!(first_token(&directory), token, "nobody is locked out");
    let mut admin = User::first(&plane, &directory).await;
    admin.access.who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    plane.stop().await;
}

#[tokio::test]
async fn bad_credentials_are_refused_where_none_would_do() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut local = User::showing(&plane, "").await;
    let made = local.create("ci", everywhere(Role::Read)).await;
    let id = made.token.unwrap().id;
    let forged = format!("Bearer ekt_{id}_{}", "A".repeat(43));
    for shown in [
        "Basic YWRtaW46YWRtaW4=",
        "Bearer",
        "Bearer x",
        made.secret.as_str(),
        forged.as_str(),
    ] {
        let mut user = User::showing(&plane, shown).await;
        let refused = user.management.status(v1::StatusRequest {}).await;
        assert_eq!(
            refused.unwrap_err().code(),
            Code::Unauthenticated,
            "{shown}"
        );
    }
    let mut user = User::showing(&plane, &format!("bearer {}", made.secret)).await;
    user.management.status(v1::StatusRequest {}).await.unwrap();
    let request = v1::RevokeTokenRequest { token: id };
    local.access.revoke_token(request).await.unwrap();
    let refused = user.management.status(v1::StatusRequest {}).await;
    assert!(refused.unwrap_err().message().contains("revoked"));
    let entries = local.audit(v1::ListAuditRequest::default()).await;
    let refused = entries
        .iter()
        .filter(|entry| entry.action == "authenticate");
    assert_eq!(refused.clone().count(), 6);
    assert!(refused.clone().all(|entry| !entry.allowed));
    let secret = made.secret.splitn(3, '_').nth(2).unwrap();
    assert!(!format!("{entries:?}").contains(secret));
    plane.stop().await;
}

#[tokio::test]
async fn a_change_is_allowed_if_each_resource_that_changes_is() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let start = vec![
        cluster("shop-a", &[1]),
        cluster("bank", &[2]),
        listener("web", 80),
    ];
    admin.management.apply(apply(start)).await.unwrap();
    let grants = vec![
        grant(Role::Write, Kind::Cluster, "shop-*"),
        grant(Role::Read, Kind::Listener, ""),
    ];
    let mut shop = admin.introduce(&plane, "shop", grants).await;

    let mine = vec![
        cluster("shop-a", &[3]),
        cluster("shop-b", &[4]),
        listener("web", 80),
    ];
    let applied = shop.management.apply(apply(mine)).await.unwrap();
    assert_eq!(applied.into_inner().revision, 2);

    let other = v1::ApplyRequest {
        deletions: vec![id(Kind::Cluster, "bank"), id(Kind::Cluster, "none")],
        ..apply(vec![cluster("shop-a", &[5]), listener("web", 81)])
    };
    for dry_run in [false, true] {
        let request = v1::ApplyRequest {
            dry_run,
            ..other.clone()
        };
        let refused = shop.management.apply(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let text = "shop may not do this: it needs `write` on Listener/web, \
                    `write` on Cluster/bank, `write` on Cluster/none";
        assert_eq!(refused.message(), text);
    }
    // Whether a guess of what it may not read is right is not told.
    for port in [2, 3] {
        let guess = apply(vec![cluster("bank", &[port])]);
        let refused = shop.management.apply(guess).await.unwrap_err();
        assert!(refused.message().contains("`write` on Cluster/bank"));
    }
    let head = admin.management.list(v1::ListRequest { kind: 0 }).await;
    assert_eq!(head.unwrap().into_inner().revision, 2);
    plane.stop().await;
}

#[tokio::test]
async fn going_back_takes_the_role_on_all_that_it_changes() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    for port in [1, 2] {
        let both = vec![cluster("shop-a", &[port]), cluster("bank", &[port])];
        admin.management.apply(apply(both)).await.unwrap();
    }
    let third = apply(vec![cluster("shop-a", &[3])]);
    admin.management.apply(third).await.unwrap();
    let grants = vec![
        grant(Role::Write, Kind::Cluster, "shop-*"),
        grant(Role::Read, Kind::Unspecified, "web"),
    ];
    let mut shop = admin.introduce(&plane, "shop", grants).await;
    let back = |to_revision| v1::RollbackRequest {
        to_revision,
        ..v1::RollbackRequest::default()
    };
    let refused = shop.management.rollback(back(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let text = "shop may not do this: it needs roles on 1 more resources";
    assert_eq!(refused.message(), text);
    let made = shop.management.rollback(back(2)).await.unwrap();
    assert_eq!(made.into_inner().revision, 4);
    plane.stop().await;
}

#[tokio::test]
async fn only_what_may_be_read_is_shown() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    admin.management.apply(apply(shop())).await.unwrap();
    for port in 1..=5 {
        let other = apply(vec![cluster("bank", &[port])]);
        admin.management.apply(other).await.unwrap();
    }
    let grants = vec![grant(Role::Read, Kind::Cluster, "api")];
    let mut user = admin.introduce(&plane, "user", grants).await;
    assert_eq!(user.names().await, ["api"]);
    let request = v1::HistoryRequest {
        limit: 2,
        ..v1::HistoryRequest::default()
    };
    let history = user.management.history(request).await.unwrap();
    let revisions = history.into_inner().revisions;
    assert_eq!(revisions.len(), 1);
    assert_eq!((revisions[0].revision, revisions[0].changes.len()), (1, 1));
    let request = v1::DescribeRequest {
        id: Some(id(Kind::Cluster, "api")),
    };
    let described = user
        .management
        .describe(request)
        .await
        .unwrap()
        .into_inner();
    assert!(described.referenced_by.is_empty());
    assert_eq!(described.changed.unwrap().changes.len(), 1);
    for name in ["bank", "none"] {
        let request = v1::GetRequest {
            id: Some(id(Kind::Cluster, name)),
        };
        let refused = user.management.get(request).await.unwrap_err();
        let text = format!("user may not do this: it needs `read` on Cluster/{name}");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::PermissionDenied, &*text)
        );
        let request = v1::ListEndpointsRequest {
            cluster: name.to_owned(),
        };
        let refused = user.management.list_endpoints(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    user.management.status(v1::StatusRequest {}).await.unwrap();
    plane.stop().await;
}

#[tokio::test]
async fn naming_a_secret_takes_the_role_to_read_it() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let pair = certificate("a.example");
    let start = vec![
        secrets::secret("mine", &pair),
        secrets::secret("bank", &pair),
        secrets::secured("web", 8443, "bank"),
    ];
    admin.management.apply(apply(start)).await.unwrap();
    let grants = vec![
        grant(Role::Write, Kind::Listener, ""),
        grant(Role::Read, Kind::Secret, "mine"),
    ];
    let mut user = admin.introduce(&plane, "user", grants).await;
    // What it names already stays, or goes; nothing else comes.
    let moved = apply(vec![secrets::secured("web", 8444, "bank")]);
    user.management.apply(moved).await.unwrap();
    for name in ["bank", "none"] {
        let naming = apply(vec![secrets::secured("new", 8445, name)]);
        let refused = user.management.apply(naming).await.unwrap_err();
        let text = format!("user may not do this: it needs `read` on Secret/{name}");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::PermissionDenied, &*text)
        );
    }
    let own = apply(vec![secrets::secured("web", 8444, "mine")]);
    user.management.apply(own).await.unwrap();
    let back = v1::RollbackRequest {
        to_revision: 1,
        ..v1::RollbackRequest::default()
    };
    let refused = user.management.rollback(back).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    plane.stop().await;
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_to_those_who_may_read_it() {
    fn refuse(response: &DeltaDiscoveryResponse) -> Option<String> {
        let bank = response.resources.iter().any(|r| r.name == "bank");
        bank.then(|| "CANARY".to_owned())
    }
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let proxy = Proxy::connect(&plane, "p", refuse).await.run();
    let known = async |user: &mut User| {
        let status = user.management.status(v1::StatusRequest {}).await.unwrap();
        status.into_inner().proxies.into_iter().next()
    };
    timeout(PATIENCE, async {
        while known(&mut admin).await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut resources = shop();
    resources.push(cluster("bank", &[1]));
    resources.push(route("bank", "web", &["api", "bank"]));
    admin.management.apply(apply(resources)).await.unwrap();
    let grants = vec![grant(Role::Write, Kind::Cluster, "api")];
    let mut user = admin.introduce(&plane, "user", grants).await;

    let delete = delete(Kind::Cluster, "api");
    let refused = user.management.apply(delete).await.unwrap_err();
    let text = "cannot be deleted: Cluster/api is used by Resource/(not shown)";
    assert_eq!(refused.message(), text);

    let refusals = async |user: &mut User| {
        timeout(PATIENCE, async {
            loop {
                let proxy = known(user).await.unwrap();
                if !proxy.rejections.is_empty() {
                    return format!("{:?}", proxy.rejections);
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap()
    };
    assert!(refusals(&mut admin).await.contains("CANARY"));
    let shown = refusals(&mut user).await;
    assert!(
        !shown.contains("CANARY") && !shown.contains("bank"),
        "{shown}"
    );
    plane.stop().await;
    proxy.await.unwrap();
}

#[tokio::test]
async fn only_an_administrator_of_everything_sees_tokens_and_the_log() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let part = vec![
        grant(Role::Admin, Kind::Cluster, ""),
        grant(Role::Write, Kind::Unspecified, ""),
    ];
    let mut part = admin.introduce(&plane, "part", part).await;
    let wanted = v1::CreateTokenRequest {
        name: "more".to_owned(),
        grants: everywhere(Role::Admin),
        ..v1::CreateTokenRequest::default()
    };
    let refused = part.access.create_token(wanted).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("`admin` on everything"));
    let refused = part
        .access
        .list_tokens(v1::ListTokensRequest { all: true })
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let refused = part
        .access
        .list_audit(v1::ListAuditRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let request = v1::RevokeTokenRequest {
        token: "bootstrap".to_owned(),
    };
    let refused = part.access.revoke_token(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let request = v1::ListAuditRequest {
        subject: "part".to_owned(),
        ..v1::ListAuditRequest::default()
    };
    let entries = admin.audit(request).await;
    let expected = [
        ("token revoke", false),
        ("audit", false),
        ("token list", false),
        ("token create", false),
    ];
    assert_eq!(actions(&entries), expected);
    plane.stop().await;
}

#[tokio::test]
async fn faults_of_a_new_token_are_all_named_and_names_are_unique() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut user = User::showing(&plane, "").await;
    let broken = v1::CreateTokenRequest {
        name: "local".to_owned(),
        grants: Vec::new(),
        lifetime: Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        }),
        certificate: "spiffe://x/*".to_owned(),
    };
    let refused = user.access.create_token(broken).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_details_bad_request().unwrap();
    let fields = details.field_violations.into_iter();
    let fields: Vec<String> = fields.map(|violation| violation.field).collect();
    assert_eq!(fields, ["name", "grants", "lifetime", "certificate"]);
    for name in ["bootstrap", "control-plane"] {
        let taken = v1::CreateTokenRequest {
            name: name.to_owned(),
            grants: everywhere(Role::Read),
            ..v1::CreateTokenRequest::default()
        };
        let refused = user.access.create_token(taken).await.unwrap_err();
        assert!(refused.message().contains("uses itself"), "{refused}");
    }

    user.create("ci", everywhere(Role::Read)).await;
    let again = v1::CreateTokenRequest {
        name: "ci".to_owned(),
        grants: everywhere(Role::Read),
        ..v1::CreateTokenRequest::default()
    };
    let refused = user.access.create_token(again.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let request = v1::RevokeTokenRequest {
        token: "ci".to_owned(),
    };
    user.access.revoke_token(request.clone()).await.unwrap();
    let gone = user.access.revoke_token(request).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    user.access.create_token(again).await.unwrap();
    let tokens = user
        .access
        .list_tokens(v1::ListTokensRequest { all: false });
    assert_eq!(tokens.await.unwrap().into_inner().tokens.len(), 1);
    let tokens = user.access.list_tokens(v1::ListTokensRequest { all: true });
    assert_eq!(tokens.await.unwrap().into_inner().tokens.len(), 2);
    plane.stop().await;
}

#[tokio::test]
async fn a_name_in_a_certificate_has_no_secret_and_is_let_in_once() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut user = User::showing(&plane, "").await;
    let request = |name: &str| v1::CreateTokenRequest {
        name: name.to_owned(),
        grants: everywhere(Role::Read),
        certificate: "CI.example".to_owned(),
        ..v1::CreateTokenRequest::default()
    };
    let made = user.access.create_token(request("ci")).await.unwrap();
    let made = made.into_inner();
    assert_eq!(made.secret, "");
    assert_eq!(made.token.unwrap().certificate, "ci.example");
    let refused = user.access.create_token(request("ci-2")).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    plane.stop().await;
}

#[tokio::test]
async fn revoking_a_token_ends_what_it_opened() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let _silent = Proxy::connect(&plane, "p-1", content).await;
    let connected = async {
        loop {
            let status = admin.management.status(v1::StatusRequest {}).await.unwrap();
            if !status.into_inner().proxies.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, connected).await.unwrap();
    admin.management.apply(apply(shop())).await.unwrap();
    let mut user = admin
        .introduce(&plane, "user", everywhere(Role::Read))
        .await;
    let stream = user.management.wait(v1::WaitRequest { revision: 1 }).await;
    let mut stream = stream.unwrap().into_inner();
    let first = timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    assert_eq!(first.unwrap().pending, ["p-1"]);
    let request = v1::RevokeTokenRequest {
        token: "user".to_owned(),
    };
    admin.access.revoke_token(request).await.unwrap();
    let ended = timeout(Duration::from_secs(5), stream.message()).await;
    let ended = ended.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert!(ended.message().contains("revoked"), "{ended}");
    plane.stop().await;
}

#[tokio::test]
async fn tokens_and_the_log_survive_a_restart_and_no_secret_is_on_the_disk() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let live = admin.create("live", everywhere(Role::Write)).await.secret;
    let ended = admin.create("ended", everywhere(Role::Write)).await.secret;
    let mut user = User::with_token(&plane, &live).await;
    user.management.apply(apply(shop())).await.unwrap();
    let request = v1::RevokeTokenRequest {
        token: "ended".to_owned(),
    };
    admin.access.revoke_token(request).await.unwrap();
    let before = admin.audit(v1::ListAuditRequest::default()).await;
    let first = first_token(&directory);
    for token in [&live, &ended, &first] {
        let secret = token.splitn(3, '_').nth(2).unwrap();
        let files = somewhere_in(&directory, &secret[..20]);
        let expected: &[&str] = if *token == first {
            &["admin.token"]
        } else {
            &[]
        };
        assert_eq!(files, expected);
    }
    plane.stop().await;

    let plane = Plane::start_with(directory.path(), true).await;
    let mut user = User::with_token(&plane, &live).await;
    user.management.status(v1::StatusRequest {}).await.unwrap();
    let mut gone = User::with_token(&plane, &ended).await;
    let refused = gone.management.status(v1::StatusRequest {}).await;
    assert!(refused.unwrap_err().message().contains("revoked"));
    let mut admin = User::first(&plane, &directory).await;
    let mut after = admin.audit(v1::ListAuditRequest::default()).await;
    assert_eq!(after.remove(0).action, "authenticate");
    assert_eq!(after, before);
    let listed = admin
        .access
        .list_tokens(v1::ListTokensRequest { all: true });
    let tokens = listed.await.unwrap().into_inner().tokens;
    let was_used = |name: &str| {
        tokens
            .iter()
            .any(|token| token.name == name && token.last_used.is_some())
    };
    assert!(was_used("live") && was_used("bootstrap") && !was_used("ended"));
    plane.stop().await;
}

/// Two changes, one that is none, one that is invalid, one that comes too late,
/// and a way back.
async fn work(user: &mut User) {
    let client = &mut user.management;
    let request = v1::ApplyRequest {
        author: "root".to_owned(),
        ..apply(shop())
    };
    client.apply(request).await.unwrap();
    let again = apply(vec![cluster("api", &[7]), listener("web", 8080)]);
    client.apply(again.clone()).await.unwrap();
    client.apply(again).await.unwrap();
    let broken = apply(vec![route("bad", "web", &["nowhere"])]);
    client.apply(broken).await.unwrap_err();
    let stale = v1::ApplyRequest {
        expected_revision: 1,
        ..delete(Kind::Route, "web")
    };
    client.apply(stale).await.unwrap_err();
    let request = v1::RollbackRequest {
        to_revision: 1,
        ..v1::RollbackRequest::default()
    };
    client.rollback(request).await.unwrap();
}

fn of(subject: &str) -> v1::ListAuditRequest {
    v1::ListAuditRequest {
        subject: subject.to_owned(),
        ..v1::ListAuditRequest::default()
    }
}

#[tokio::test]
async fn the_log_says_who_changed_what_from_where() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let grants = everywhere(Role::Write);
    let mut user = admin.introduce(&plane, "ci", grants).await;
    work(&mut user).await;
    let entries = admin.audit(of("ci")).await;
    let mut seen = actions(&entries);
    seen.sort_unstable();
    let expected = [
        ("apply", false),
        ("apply", false),
        ("apply", true),
        ("apply", true),
        ("rollback", true),
    ];
    assert_eq!(seen, expected);
    let second = entries.iter().find(|entry| entry.revision == 2).unwrap();
    assert_eq!(second.method, "token");
    assert!(second.source.starts_with("127.0.0.1:"));
    let [change] = second.changes.as_slice() else {
        panic!("{second:?}");
    };
    assert_eq!(change.id, Some(id(Kind::Cluster, "api")));
    assert_eq!(change.before, Some(cluster("api", &[9001, 9002])));
    assert_eq!(change.after, Some(cluster("api", &[7])));
    let history = admin
        .management
        .history(v1::HistoryRequest::default())
        .await;
    let oldest = history.unwrap().into_inner().revisions.pop().unwrap();
    assert_eq!(oldest.author, "ci (root)");
    plane.stop().await;
}

#[tokio::test]
async fn the_log_can_be_searched_and_read_in_pages() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start_with(directory.path(), true).await;
    let mut admin = User::first(&plane, &directory).await;
    let grants = everywhere(Role::Write);
    let mut user = admin.introduce(&plane, "ci", grants).await;
    work(&mut user).await;
    let of_route = v1::ListAuditRequest {
        id: Some(id(Kind::Route, "bad")),
        ..v1::ListAuditRequest::default()
    };
    let entries = admin.audit(of_route).await;
    assert_eq!(actions(&entries), [("apply", false)]);
    assert!(
        entries[0].detail.contains("invalid"),
        "{}",
        entries[0].detail
    );

    let (mut paged, mut before) = (Vec::new(), 0);
    loop {
        let page = v1::ListAuditRequest {
            limit: 2,
            before,
            ..of("ci")
        };
        let page = admin.audit(page).await;
        let Some(last) = page.last() else { break };
        before = last.id;
        assert!(page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(paged, admin.audit(of("ci")).await);
    plane.stop().await;
}
