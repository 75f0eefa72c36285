use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_shared::ir::{self, CertificateRef, TrustRef};
use evenkeel_shared::tls::{ClientSettings, Identity};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection};

use super::plan::Plan;
use super::sample::{
    Authority, Pem, downstream, file_pair, files, inline_pair, inline_trust, upstream, write,
};
use super::secrets::{Secrets, check_inline};
use super::*;
use crate::xds::sample::{cluster, listener};

/// Puts plans in force, one after the other.
#[derive(Default)]
struct Bench {
    secrets: Secrets,
    plan: Arc<Plan>,
}

impl Bench {
    fn install(&mut self, plan: Plan) {
        self.plan = Arc::new(plan);
        self.secrets.install(&self.plan);
    }

    /// A listener with this TLS in force, and these secrets sent.
    fn front(&mut self, tls: ir::DownstreamTls, sent: &[&ir::Secret]) -> Arc<FrontTls> {
        let mut spec = listener("edge", 1);
        spec.tls = Some(tls);
        let mut plan = plan(sent);
        let front = plan.front(&self.plan, &spec).unwrap();
        self.install(plan);
        front
    }

    /// A cluster with this TLS in force, and these secrets sent.
    fn back(&mut self, tls: ir::UpstreamTls, sent: &[&ir::Secret]) -> Arc<BackTls> {
        let mut spec = cluster("api");
        spec.tls = Some(tls);
        let mut plan = plan(sent);
        let back = plan.back(&self.plan, &spec).unwrap();
        self.install(plan);
        back
    }

    fn error(&self) -> Option<String> {
        let shown = self.secrets.shown();
        shown
            .places
            .iter()
            .find_map(|one| one.error.as_deref().map(str::to_owned))
    }
}

/// For nobody yet, with these secrets sent.
fn plan(sent: &[&ir::Secret]) -> Plan {
    let sent = sent
        .iter()
        .map(|secret| (secret.name.clone(), Arc::new((*secret).clone())));
    Plan::new(sent.collect())
}

/// Takes whatever a server shows.
fn anybody() -> Arc<ClientConfig> {
    let settings = ClientSettings {
        server: None,
        certificate: None,
        lowest: ir::TlsVersion::Tls12,
        alpn: vec![b"h2".to_vec()],
        names_server: true,
    };
    Arc::new(settings.build().unwrap())
}

/// The certificate that a listener shows at a handshake, and the protocol that
/// was agreed on.
fn handshake(front: &FrontTls, client: Arc<ClientConfig>) -> Result<(Identity, Vec<u8>), String> {
    let server = front.settings().map_err(|reason| reason.to_string())?;
    let name = ServerName::try_from("shop.test").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    for _ in 0..4 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server
            .process_new_packets()
            .map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client
                .process_new_packets()
                .map_err(|error| error.to_string())?;
        }
    }
    let shown = client.peer_certificates().and_then(|chain| chain.first());
    let identity = Identity::read(shown.unwrap()).unwrap();
    Ok((
        identity,
        client.alpn_protocol().unwrap_or_default().to_vec(),
    ))
}

fn name_shown(front: &FrontTls) -> Result<String, String> {
    handshake(front, anybody()).map(|(identity, _)| identity.dns[0].clone())
}

fn secret(name: &str) -> CertificateRef {
    CertificateRef::Secret(name.into())
}

/// Puts a file in the place of another at once, as tools for certificates do.
fn exchange(path: &PathBuf, content: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_listener_shows_the_pair_in_its_files_and_agrees_on_http2() {
    let directory = tempfile::tempdir().unwrap();
    let paths = write(directory.path(), &Authority::new().pair("shop.test"));
    let front = Bench::default().front(downstream(vec![files(&paths)]), &[]);
    let (identity, protocol) = handshake(&front, anybody()).unwrap();
    assert_eq!(identity.dns, ["shop.test"]);
    assert_eq!(protocol, b"h2");
}

#[test]
fn a_listener_of_http1_does_not_agree_on_http2() {
    let mut bench = Bench::default();
    let pair = inline_pair("web", &Authority::new().pair("shop.test"));
    let mut spec = listener("edge", 1);
    spec.tls = Some(downstream(vec![secret("web")]));
    spec.protocol = ir::HttpProtocol::Http1;
    let mut plan = plan(&[&pair]);
    let front = plan.front(&bench.plan, &spec).unwrap();
    bench.install(plan);
    assert!(handshake(&front, anybody()).is_err());
}

#[test]
fn what_does_not_change_is_the_very_same_and_what_changes_is_not() {
    let mut bench = Bench::default();
    let pair = inline_pair("web", &Authority::new().pair("shop.test"));
    let first = bench.front(downstream(vec![secret("web")]), &[&pair]);
    let settings = first.settings().unwrap();
    let second = bench.front(downstream(vec![secret("web")]), &[&pair]);
    assert!(Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&settings, &second.settings().unwrap()));
    let mut changed = downstream(vec![secret("web")]);
    changed.min_version = ir::TlsVersion::Tls13;
    let third = bench.front(changed, &[&pair]);
    assert!(!Arc::ptr_eq(&first, &third));
    assert_eq!(name_shown(&third).unwrap(), "shop.test");
}

#[test]
fn a_missing_secret_refuses_with_its_name_until_it_comes() {
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![secret("web")]), &[]);
    let refused = name_shown(&front).unwrap_err();
    assert_eq!(
        refused,
        "secret \"web\" is missing: the control plane has not sent it"
    );
    let pair = inline_pair("web", &Authority::new().pair("shop.test"));
    let same = bench.front(downstream(vec![secret("web")]), &[&pair]);
    assert!(Arc::ptr_eq(&front, &same));
    assert_eq!(name_shown(&front).unwrap(), "shop.test");
}

#[test]
fn a_secret_that_is_taken_back_stays_with_those_who_still_name_it() {
    let mut bench = Bench::default();
    let authority = Authority::new();
    let old = inline_pair("web", &authority.pair("old.test"));
    let new = inline_pair("web", &authority.pair("new.test"));
    let front = bench.front(downstream(vec![secret("web")]), &[&old]);
    bench.front(downstream(vec![secret("web")]), &[]);
    assert_eq!(name_shown(&front).unwrap(), "old.test");
    assert!(bench.error().unwrap().contains("is missing"));
    bench.front(downstream(vec![secret("web")]), &[&new]);
    assert_eq!(name_shown(&front).unwrap(), "new.test");
    assert_eq!(bench.error(), None);
    // Nobody names it any more: it is not there for the next who does.
    bench.install(plan(&[]));
    let front = bench.front(downstream(vec![secret("web")]), &[]);
    assert!(name_shown(&front).is_err());
}

#[test]
fn settings_that_were_exchanged_are_freed() {
    let mut bench = Bench::default();
    let authority = Authority::new();
    let mut gone = Vec::new();
    for _ in 0..20 {
        let pair = inline_pair("web", &authority.pair("shop.test"));
        let front = bench.front(downstream(vec![secret("web")]), &[&pair]);
        assert_eq!(name_shown(&front).unwrap(), "shop.test");
        gone.push(Arc::downgrade(&front.settings().unwrap()));
    }
    let left = gone.iter().filter(|old| old.strong_count() > 0).count();
    assert_eq!(left, 1);
    bench.install(plan(&[]));
    let left = gone.iter().filter(|old| old.strong_count() > 0).count();
    assert_eq!(left, 0);
}

#[test]
fn a_secret_that_changes_is_shown_by_those_who_use_it() {
    let mut bench = Bench::default();
    let authority = Authority::new();
    let old = inline_pair("web", &authority.pair("old.test"));
    let new = inline_pair("web", &authority.pair("new.test"));
    let front = bench.front(downstream(vec![secret("web")]), &[&old]);
    assert_eq!(name_shown(&front).unwrap(), "old.test");
    bench.front(downstream(vec![secret("web")]), &[&new]);
    assert_eq!(name_shown(&front).unwrap(), "new.test");
}

#[test]
fn a_missing_file_refuses_and_is_found_when_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let paths = (
        directory.path().join("web.pem"),
        directory.path().join("web.key"),
    );
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![files(&paths)]), &[]);
    let refused = name_shown(&front).unwrap_err();
    assert!(
        refused.contains("web.pem\" cannot be read: No such file"),
        "{refused}"
    );
    write(directory.path(), &Authority::new().pair("shop.test"));
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "shop.test");
    assert_eq!(bench.error(), None);
}

#[test]
fn files_that_are_exchanged_one_after_the_other_are_taken_once_they_match() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let paths = write(directory.path(), &authority.pair("old.test"));
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![files(&paths)]), &[]);
    let Pem { chain, key } = authority.pair("new.test");
    exchange(&paths.0, &chain);
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "old.test");
    let error = bench.error().unwrap();
    assert!(
        error.ends_with("the private key is not that of the certificate"),
        "{error}"
    );
    exchange(&paths.1, &key);
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "new.test");
    assert_eq!(bench.error(), None);
}

/// As Kubernetes has it: the files are links into `..data`, which is a link to a
/// directory that is exchanged for another.
#[test]
fn files_behind_a_link_that_is_exchanged_are_taken_together() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let authority = Authority::new();
    let publish = |version: &str, name: &str| {
        fs::create_dir(at(version)).unwrap();
        write(&at(version), &authority.pair(name));
        symlink(version, at("..data.new")).unwrap();
        fs::rename(at("..data.new"), at("..data")).unwrap();
    };
    publish("..1", "old.test");
    let paths = ["web.pem", "web.key"].map(|name| {
        symlink(PathBuf::from("..data").join(name), at(name)).unwrap();
        at(name)
    });
    let paths: (PathBuf, PathBuf) = paths.into();
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![files(&paths)]), &[]);
    assert_eq!(name_shown(&front).unwrap(), "old.test");
    publish("..2", "new.test");
    fs::remove_dir_all(at("..1")).unwrap();
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "new.test");
    // The link leads nowhere for a while.
    fs::remove_file(at("..data")).unwrap();
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "new.test");
    assert!(bench.error().is_some());
    publish("..3", "newest.test");
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "newest.test");
    assert_eq!(bench.error(), None);
}

#[test]
fn a_bad_or_vanished_file_leaves_the_good_pair_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new().pair("shop.test");
    let paths = write(directory.path(), &pair);
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![files(&paths)]), &[]);
    for spoil in [
        &(|path: &PathBuf| fs::write(path, "canary").unwrap()) as &dyn Fn(&PathBuf),
        &|path| fs::write(path, "-----BEGIN PRIVATE KEY-----\ncana").unwrap(),
        &|path| fs::write(path, vec![b'x'; 1024 * 1024 + 1]).unwrap(),
        &|path| fs::remove_file(path).unwrap(),
        &|path| fs::create_dir(path).unwrap(),
    ] {
        spoil(&paths.1);
        bench.secrets.poll();
        assert_eq!(name_shown(&front).unwrap(), "shop.test");
        let error = bench.error().unwrap();
        assert!(!error.contains("cana"), "{error}");
    }
    fs::remove_dir(&paths.1).unwrap();
    fs::write(&paths.1, &pair.key).unwrap();
    bench.secrets.poll();
    assert_eq!(bench.error(), None);
}

#[test]
fn files_that_only_look_changed_keep_the_settings_and_with_them_the_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new().pair("shop.test");
    let paths = write(directory.path(), &pair);
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![files(&paths)]), &[]);
    let before = front.settings().unwrap();
    exchange(&paths.0, &pair.chain);
    bench.secrets.poll();
    assert!(Arc::ptr_eq(&before, &front.settings().unwrap()));
}

#[test]
fn files_that_a_secret_names_are_watched() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let paths = write(directory.path(), &authority.pair("old.test"));
    let mut bench = Bench::default();
    let front = bench.front(
        downstream(vec![secret("web")]),
        &[&file_pair("web", &paths)],
    );
    write(directory.path(), &authority.pair("new.test"));
    bench.secrets.poll();
    assert_eq!(name_shown(&front).unwrap(), "new.test");
}

#[test]
fn a_secret_of_the_other_kind_is_refused_in_words() {
    let mut bench = Bench::default();
    let authority = Authority::new();
    let trust = inline_trust("ca", &authority);
    let front = bench.front(downstream(vec![secret("ca")]), &[&trust]);
    assert!(name_shown(&front).unwrap_err().contains("no private key"));
    let pair = inline_pair("web", &authority.pair("shop.test"));
    let back = bench.back(upstream(TrustRef::Secret("web".into())), &[&pair]);
    assert!(back.settings().unwrap_err().contains("none to trust"));
}

#[test]
fn a_cluster_trusts_its_authority_and_follows_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let (ours, other) = (Authority::new(), Authority::new());
    fs::write(&path, &ours.pem).unwrap();
    let mut bench = Bench::default();
    let mut tls = upstream(TrustRef::File(path.display().to_string()));
    let back = bench.back(tls.clone(), &[]);
    let mut servers = Bench::default();
    let mut spec = downstream(vec![secret("web")]);
    spec.min_version = ir::TlsVersion::Tls12;
    let pair = inline_pair("web", &ours.pair("shop.test"));
    let mut edge = listener("edge", 1);
    edge.tls = Some(spec);
    edge.protocol = ir::HttpProtocol::Http1;
    let mut plan = plan(&[&pair]);
    let front = plan.front(&servers.plan, &edge).unwrap();
    servers.install(plan);

    assert!(handshake(&front, back.settings().unwrap()).is_ok());
    exchange(&path, &other.pem);
    bench.secrets.poll();
    let refused = handshake(&front, back.settings().unwrap()).unwrap_err();
    assert!(
        refused.contains("UnknownIssuer") || refused.contains("BadSignature"),
        "{refused}"
    );

    tls.server_name = Some("not a name".to_owned());
    let back = bench.back(tls, &[]);
    assert!(
        back.settings()
            .unwrap_err()
            .contains("\"not a name\" is not a host name")
    );
}

#[test]
fn what_a_listener_and_a_cluster_share_is_read_once_and_forgotten_with_the_last() {
    let mut bench = Bench::default();
    let authority = Authority::new();
    let pair = inline_pair("web", &authority.pair("shop.test"));
    let trust = inline_trust("ca", &authority);
    let mut tls = upstream(TrustRef::Secret("ca".into()));
    tls.certificate = Some(secret("web"));
    let mut plan = plan(&[&pair, &trust]);
    let mut edge = listener("edge", 1);
    edge.tls = Some(downstream(vec![secret("web")]));
    plan.front(&bench.plan, &edge).unwrap();
    let mut api = cluster("api");
    api.tls = Some(tls);
    plan.back(&bench.plan, &api).unwrap();
    bench.install(plan);
    let shown = bench.secrets.shown();
    let places: Vec<String> = shown
        .places
        .iter()
        .map(|one| one.place.to_string())
        .collect();
    assert_eq!(places, ["secret \"ca\"", "secret \"web\""]);
    bench.install(Plan::default());
    assert!(bench.secrets.shown().places.is_empty());
}

#[test]
fn nothing_of_a_key_is_in_any_text() {
    let mut bench = Bench::default();
    let pair = Authority::new().pair("shop.test");
    let secret_value = inline_pair("web", &pair);
    let front = bench.front(downstream(vec![secret("web")]), &[&secret_value]);
    let key = pair.key.lines().nth(1).unwrap();
    let text = format!("{:?} {:?} {front:?}", bench.secrets, bench.plan);
    assert!(!text.contains(key), "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");
}

#[test]
fn an_inline_secret_is_checked_and_one_of_files_is_not() {
    let authority = Authority::new();
    let (one, other) = (authority.pair("one.test"), authority.pair("other.test"));
    assert_eq!(check_inline(&inline_pair("web", &one).content), Ok(()));
    let mixed = Pem {
        chain: one.chain,
        key: other.key,
    };
    assert_eq!(
        check_inline(&inline_pair("web", &mixed).content),
        Err("the private key is not that of the certificate".to_owned())
    );
    let nowhere = (PathBuf::from("/nowhere/a"), PathBuf::from("/nowhere/b"));
    assert_eq!(check_inline(&file_pair("web", &nowhere).content), Ok(()));
}

#[tokio::test]
async fn the_watch_finds_a_new_pair_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let paths = write(directory.path(), &authority.pair("old.test"));
    let mut bench = Bench::default();
    let front = bench.front(downstream(vec![files(&paths)]), &[]);
    let shutdown = tokio_util::sync::CancellationToken::new();
    let watch = watch::Watch {
        secrets: Arc::new(bench.secrets),
        shutdown: shutdown.clone(),
    };
    let watching = tokio::spawn(watch.run());
    write(directory.path(), &authority.pair("new.test"));
    let found = async {
        while name_shown(&front).unwrap() != "new.test" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .unwrap();
    shutdown.cancel();
    watching.await.unwrap();
}
