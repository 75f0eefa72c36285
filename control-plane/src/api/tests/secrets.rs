//! Secrets: what comes in readable is readable nowhere, and still works.

use std::fmt::Debug;

use evenkeel_shared::ir;
use evenkeel_shared::xds::{Resource as Sent, decode};
use v1::data_source::Source;
use v1::secret::Content;

use super::*;
use crate::model::samples::certificate;

fn inline(text: &str) -> v1::DataSource {
    v1::DataSource {
        source: Some(Source::Inline(text.to_owned())),
    }
}

pub(super) fn secret(name: &str, (chain, key): &(String, String)) -> v1::Resource {
    let pair = v1::CertificatePair {
        chain: Some(inline(chain)),
        private_key: Some(inline(key)),
    };
    resource(
        name,
        Spec::Secret(v1::Secret {
            content: Some(Content::Certificate(pair)),
        }),
    )
}

pub(super) fn secured(name: &str, port: u16, certificate: &str) -> v1::Resource {
    resource(
        name,
        Spec::Listener(v1::Listener {
            address: format!("127.0.0.1:{port}"),
            tls: Some(v1::ListenerTls {
                certificates: vec![certificate.to_owned()],
                ..v1::ListenerTls::default()
            }),
            ..v1::Listener::default()
        }),
    )
}

/// Lines of PEM that must not be seen anywhere.
fn canaries(pairs: &[&(String, String)]) -> Vec<String> {
    let lines = pairs
        .iter()
        .flat_map(|pair| pair.0.lines().chain(pair.1.lines()));
    let lines = lines.filter(|line| !line.starts_with("---"));
    lines.map(str::to_owned).collect()
}

/// Nothing of the secrets, sealed or not, stands in a message.
#[track_caller]
fn assert_clean(message: &impl Debug, canaries: &[String]) {
    let text = format!("{message:?}");
    assert!(!text.contains("evenkeel-sealed"), "{text}");
    assert!(!text.contains("-----BEGIN"), "{text}");
    assert!(!canaries.iter().any(|line| text.contains(line)), "{text}");
}

/// The digest that stands for the private key.
async fn shown_key(client: &mut ManagementServiceClient<Channel>, name: &str) -> String {
    let got = get(client, name).await;
    let Some(Spec::Secret(v1::Secret {
        content: Some(Content::Certificate(pair)),
    })) = got.spec
    else {
        panic!("no certificate");
    };
    match pair.private_key.unwrap().source.unwrap() {
        Source::Inline(text) => text,
        Source::File(path) => panic!("{path}"),
    }
}

async fn get(client: &mut ManagementServiceClient<Channel>, name: &str) -> v1::Resource {
    let request = v1::GetRequest {
        id: Some(id(v1::Kind::Secret, name)),
    };
    let got = client.get(request).await.unwrap().into_inner();
    got.resource.unwrap()
}

/// Whether a file of the data directory has one of the texts in it.
fn found_in_files(directory: &Path, texts: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let has = |text: &String| {
            content
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        if texts.iter().any(has) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_secret_is_shown_by_its_digest_only_whoever_asks_for_whatever() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let (old, new) = (certificate("a.example"), certificate("b.example"));
    let canaries = canaries(&[&old, &new]);
    let dry = v1::ApplyRequest {
        dry_run: true,
        ..apply(vec![secret("s", &old)])
    };
    assert_clean(&client.apply(dry).await.unwrap(), &canaries);
    let first = apply(vec![secret("s", &old), secured("web", 8443, "s")]);
    assert_clean(&client.apply(first).await.unwrap(), &canaries);
    let digest = shown_key(&mut client, "s").await;
    assert!(
        digest.starts_with("redacted:sha256:") && digest.len() == 32,
        "{digest}"
    );
    let second = client.apply(apply(vec![secret("s", &new)])).await.unwrap();
    assert_eq!(
        second.get_ref().changes[0].action(),
        v1::ChangeAction::Configured
    );
    assert_ne!(
        second.get_ref().changes[0].before,
        second.get_ref().changes[0].after
    );
    assert_clean(&second, &canaries);
    assert_clean(&get(&mut client, "s").await, &canaries);
    assert_clean(
        &client.list(v1::ListRequest { kind: 0 }).await.unwrap(),
        &canaries,
    );
    let request = v1::DescribeRequest {
        id: Some(id(v1::Kind::Secret, "s")),
    };
    let described = client.describe(request).await.unwrap().into_inner();
    assert_clean(&described, &canaries);
    let value = |path: &str| {
        let found = described.effective.iter().find(|value| value.path == path);
        found.map(|value| value.value.clone()).unwrap()
    };
    assert_eq!(value("certificate.names"), "[b.example]");
    assert_eq!(value("certificate.fingerprint").len(), 64);
    assert!(value("certificate.notAfter").ends_with('Z'));
    assert_clean(
        &client.history(v1::HistoryRequest::default()).await.unwrap(),
        &canaries,
    );
    for dry_run in [true, false] {
        let request = v1::RollbackRequest {
            to_revision: 1,
            dry_run,
            ..v1::RollbackRequest::default()
        };
        assert_clean(&client.rollback(request).await.unwrap(), &canaries);
    }
    assert_eq!(shown_key(&mut client, "s").await, digest);
    plane.stop().await;
    assert_eq!(found_in_files(directory.path(), &canaries), [""; 0]);
}

#[tokio::test]
async fn nothing_of_a_secret_is_readable_in_the_files_of_the_store() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let pair = certificate("a.example");
    let canaries = canaries(&[&pair]);
    let request = apply(vec![secret("s", &pair), secured("web", 8443, "s")]);
    client.apply(request).await.unwrap();

    // While it runs the newest revisions are in the log beside the database.
    assert_eq!(found_in_files(directory.path(), &canaries), [""; 0]);
    let sealed = ["evenkeel-sealed:v1:".to_owned()];
    assert_eq!(found_in_files(directory.path(), &sealed).len(), 1);
    plane.stop().await;
    assert_eq!(found_in_files(directory.path(), &canaries), [""; 0]);
}

#[tokio::test]
async fn the_same_secret_again_is_unchanged_in_plain_and_as_it_was_shown() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let pair = certificate("a.example");
    client.apply(apply(vec![secret("s", &pair)])).await.unwrap();
    let shown = get(&mut client, "s").await;
    for again in [secret("s", &pair), shown.clone()] {
        let applied = client.apply(apply(vec![again])).await.unwrap().into_inner();
        assert_eq!(applied.revision, 1);
        assert_eq!(applied.changes[0].action(), v1::ChangeAction::Unchanged);
    }
    let elsewhere = v1::Resource {
        name: "other".to_owned(),
        ..shown
    };
    let status = client.apply(apply(vec![elsewhere])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let violations = status
        .get_error_details()
        .bad_request()
        .unwrap()
        .field_violations
        .clone();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert_eq!(
        violations[0].field,
        "Secret/other: certificate.chain.inline"
    );
    assert!(violations[0].description.contains("give the text itself"));
    plane.stop().await;
}

#[tokio::test]
async fn half_of_a_shown_pair_with_a_new_other_half_is_still_checked() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let pair = certificate("a.example");
    client.apply(apply(vec![secret("s", &pair)])).await.unwrap();
    let digest = shown_key(&mut client, "s").await;
    let other = (certificate("b.example").0, digest);
    let mut request = apply(vec![secret("s", &other), cluster("-", &[1])]);
    request.message = "two faults".to_owned();
    let status = client.apply(request).await.unwrap_err();
    let violations = status
        .get_error_details()
        .bad_request()
        .unwrap()
        .field_violations
        .clone();
    let fields: Vec<&str> = violations
        .iter()
        .map(|found| found.field.as_str())
        .collect();
    assert_eq!(
        fields,
        ["Cluster/-: name", "Secret/s: certificate.privateKey.inline"]
    );
    assert_clean(&status, &canaries(&[&pair]));
    plane.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_used_cannot_be_deleted() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let pair = certificate("a.example");
    let request = apply(vec![secret("s", &pair), secured("web", 8443, "s")]);
    client.apply(request).await.unwrap();
    let status = client
        .apply(delete(v1::Kind::Secret, "s"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(
        status
            .message()
            .contains("Secret/s is used by Listener/web"),
        "{status}"
    );
    plane.stop().await;
}

/// A directory in which a control plane stored a secret, and what is shown of
/// the key.
async fn with_secret() -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let pair = certificate("a.example");
    let request = apply(vec![secret("s", &pair), secured("web", 8443, "s")]);
    client.apply(request).await.unwrap();
    let digest = shown_key(&mut client, "s").await;
    plane.stop().await;
    (directory, digest)
}

async fn refusal_to_start(directory: &Path) -> String {
    let started = app::run(arguments(directory), CancellationToken::new(), |_| {}).await;
    format!("{:#}", started.unwrap_err())
}

#[tokio::test]
async fn secrets_outlive_a_restart() {
    let (directory, digest) = with_secret().await;
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    assert_eq!(shown_key(&mut client, "s").await, digest);
    plane.stop().await;
}

#[tokio::test]
async fn secrets_are_not_served_with_another_key() {
    let (directory, _) = with_secret().await;
    std::fs::write(directory.path().join("seal.key"), [7; 32]).unwrap();
    let fault = refusal_to_start(directory.path()).await;
    let text = "Secret/s: cannot be opened: it was sealed with another key";
    assert!(fault.contains(text), "{fault}");
}

#[tokio::test]
async fn a_lost_key_is_told_of_and_not_replaced() {
    let (directory, _) = with_secret().await;
    let key = directory.path().join("seal.key");
    std::fs::remove_file(&key).unwrap();
    let fault = refusal_to_start(directory.path()).await;
    assert!(fault.contains("seal.key is missing"), "{fault}");
    assert!(!key.exists());
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 2, 3);
    let key = rcgen::KeyPair::generate().unwrap();
    let old = params.self_signed(&key).unwrap().pem();
    let request = apply(vec![
        secret("old", &(old, key.serialize_pem())),
        secret("fresh", &certificate("b.example")),
    ]);
    client.apply(request).await.unwrap();
    let status = client.status(v1::StatusRequest {}).await.unwrap();
    let warnings = status.into_inner().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let text = "Secret/old: the certificate of a.example expired";
    assert!(warnings[0].starts_with(text), "{warnings:?}");
    assert!(
        warnings[0].ends_with("at 2001-02-03T00:00:00Z"),
        "{warnings:?}"
    );
    plane.stop().await;
}

/// The private key of a secret, as a proxy gets it.
async fn streamed_key(proxy: &mut Proxy) -> String {
    loop {
        let response = proxy.step().await.unwrap();
        let Some(sent) = response.resources.first() else {
            continue;
        };
        if response.type_url == ResourceType::Secret.type_url() {
            let value = &sent.resource.as_ref().unwrap().value;
            let decoded = decode(ResourceType::Secret, value).unwrap().resource;
            let Sent::Secret(ir::Secret {
                content: ir::SecretContent::Certificate(pair),
                ..
            }) = decoded
            else {
                panic!("no certificate");
            };
            let ir::DataSource::Inline(key) = pair.key else {
                panic!("in a file");
            };
            return String::from_utf8(key.expose().to_vec()).unwrap();
        }
    }
}

#[tokio::test]
async fn proxies_get_the_key_itself_and_the_older_one_after_a_rollback() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let (old, new) = (certificate("a.example"), certificate("b.example"));
    let request = apply(vec![secret("s", &old), secured("web", 8443, "s")]);
    client.apply(request).await.unwrap();
    let mut proxy = Proxy::connect(&plane, "edge-1", content).await;
    let wanted = DeltaDiscoveryRequest {
        resource_names_subscribe: vec!["s".to_owned()],
        ..super::request(ResourceType::Secret)
    };
    proxy.requests.send(wanted).await.unwrap();
    assert_eq!(streamed_key(&mut proxy).await, old.1);
    client.apply(apply(vec![secret("s", &new)])).await.unwrap();
    assert_eq!(streamed_key(&mut proxy).await, new.1);
    let back = v1::RollbackRequest {
        to_revision: 1,
        ..v1::RollbackRequest::default()
    };
    client.rollback(back).await.unwrap();
    assert_eq!(streamed_key(&mut proxy).await, old.1);
    plane.stop().await;
}
