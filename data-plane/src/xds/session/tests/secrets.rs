//! Secrets by name, and what is kept of them.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use evenkeel_shared::ir::{CertificateRef, RouteSource, TrustRef};
use evenkeel_shared::names::ListenerName;
use evenkeel_shared::xds::{Resource, ResourceType};

use super::{CDS, LDS, connected, nack, serving, take};
use crate::tick::Tick;
use crate::tls::sample::{Authority, Pem, downstream, inline_pair, inline_trust, upstream};
use crate::xds::sample::{cluster, listener, response, table};
use crate::xds::session::{MISSING_AFTER, Session};
use crate::xds::state::{Accepted, Key};

const SDS: ResourceType = ResourceType::Secret;

/// A listener without routes that shows the certificate in a secret.
fn encrypted(name: &str, secret: &str) -> Resource {
    let mut spec = listener(name, 8443);
    spec.routes = RouteSource::Inline(table(name, &[]));
    let shown = CertificateRef::Secret(secret.into());
    spec.tls = Some(downstream(vec![shown]));
    Resource::Listener(spec)
}

fn secret(name: &str, pair: &Pem) -> Resource {
    Resource::Secret(inline_pair(name, pair))
}

fn in_force(session: &Session) -> Vec<&str> {
    let names = session.active().listeners.keys();
    names.map(ListenerName::as_str).collect()
}

#[test]
fn a_listener_waits_for_its_secret() {
    let mut session = connected();
    let sent = take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    assert_eq!(sent[1].type_url, SDS.type_url());
    assert_eq!(sent[1].resource_names_subscribe, ["web"]);
    assert!(in_force(&session).is_empty());

    let pair = Authority::new().pair("shop.test");
    let sent = take(&mut session, response(SDS, 1, &[secret("web", &pair)], &[]));
    assert_eq!(nack(&sent), None);
    assert_eq!(in_force(&session), ["edge"]);
    assert!(session.active().secrets.contains_key("web"));
}

#[test]
fn a_cluster_waits_for_its_secrets_and_the_old_one_serves_meanwhile() {
    let mut session = serving(&["api"], &[1]);
    let mut changed = cluster("api");
    changed.tls = Some(upstream(TrustRef::Secret("ca".into())));
    let sent = take(
        &mut session,
        response(CDS, 2, &[Resource::Cluster(changed)], &[]),
    );
    assert_eq!(sent[1].resource_names_subscribe, ["ca"]);
    assert!(session.active().clusters["api"].spec.tls.is_none());
    let trust = Resource::Secret(inline_trust("ca", &Authority::new()));
    take(&mut session, response(SDS, 2, &[trust], &[]));
    assert!(session.active().clusters["api"].spec.tls.is_some());
}

#[test]
fn a_missing_secret_is_awaited_for_fifteen_seconds() {
    let mut session = connected();
    take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    let due = Tick(0).plus(MISSING_AFTER);
    assert_eq!(session.next_deadline(), Some(due));
    let step = session.expire(due).unwrap();
    session.commit(step, due);
    assert_eq!(in_force(&session), ["edge"]);
    assert!(session.active().secrets.is_empty());
}

#[test]
fn a_secret_that_cannot_be_used_is_refused_by_name_and_the_last_good_stays() {
    let mut session = connected();
    let authority = Authority::new();
    let (good, other) = (authority.pair("shop.test"), authority.pair("else.test"));
    take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    let first = secret("web", &good);
    take(
        &mut session,
        response(SDS, 1, std::slice::from_ref(&first), &[]),
    );
    let held = Arc::clone(&session.active().secrets["web"]);
    let mixed = Pem {
        chain: good.chain.clone(),
        key: other.key,
    };
    let canary = Pem {
        chain: good.chain,
        key: "canary".to_owned(),
    };
    for (revision, bad, reason) in [
        (2, mixed, "the private key is not that of the certificate"),
        (3, canary, "the private key cannot be used"),
    ] {
        let pushed = response(SDS, revision, &[secret("web", &bad)], &[]);
        let sent = take(&mut session, pushed);
        let text = nack(&sent).unwrap();
        assert!(text.starts_with(&format!("Secret/web: {reason}")), "{text}");
        assert!(!text.contains("canary"), "{text}");
        assert!(Arc::ptr_eq(&held, &session.active().secrets["web"]));
    }
    assert_eq!(
        nack(&take(&mut session, response(SDS, 4, &[first], &[]))),
        None
    );
    assert!(session.rejected().is_empty());
}

#[test]
fn no_copy_of_a_secret_is_kept_beside_it_and_none_is_shown() {
    let mut session = connected();
    let pair = Authority::new().pair("shop.test");
    take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    take(&mut session, response(SDS, 1, &[secret("web", &pair)], &[]));
    let held = session.held().get(SDS, "web").unwrap();
    assert!(held.encoded.is_empty());
    let text = format!("{session:?}");
    for line in pair.key.lines().chain(pair.chain.lines()) {
        assert!(!text.contains(line), "{line}");
    }
}

#[test]
fn a_secret_that_nobody_names_is_forgotten() {
    let mut session = connected();
    let pair = Authority::new().pair("shop.test");
    take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    take(&mut session, response(SDS, 1, &[secret("web", &pair)], &[]));
    let sent = take(&mut session, response(LDS, 2, &[], &["edge"]));
    assert_eq!(sent[1].type_url, SDS.type_url());
    assert_eq!(sent[1].resource_names_unsubscribe, ["web"]);
    assert!(session.held().get(SDS, "web").is_none());
    assert!(session.active().secrets.is_empty());
    take(&mut session, response(SDS, 2, &[secret("web", &pair)], &[]));
    assert!(session.held().get(SDS, "web").is_none());
}

#[test]
fn a_secret_that_is_removed_is_missing_at_once() {
    let mut session = connected();
    let pair = Authority::new().pair("shop.test");
    take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    take(&mut session, response(SDS, 1, &[secret("web", &pair)], &[]));
    take(&mut session, response(SDS, 2, &[], &["web"]));
    assert_eq!(in_force(&session), ["edge"]);
    assert!(session.active().secrets.is_empty());
}

#[test]
fn held_secrets_are_told_by_version_when_it_reconnects() {
    let mut session = connected();
    let pair = Authority::new().pair("shop.test");
    take(
        &mut session,
        response(LDS, 1, &[encrypted("edge", "web")], &[]),
    );
    take(&mut session, response(SDS, 1, &[secret("web", &pair)], &[]));
    session.disconnect();
    let requests = session.connect(Tick(0));
    let sds = requests.iter().find(|r| r.type_url == SDS.type_url());
    let versions = &sds.unwrap().initial_resource_versions;
    assert!(versions.contains_key("web"));
}

/// A session that begins with a listener whose secret was not saved.
fn restored() -> Session {
    let mut session = Session::new(Node::default());
    let edge = encrypted("edge", "web");
    let accepted = Accepted {
        version: "1".into(),
        encoded: Arc::default(),
        ignored: Arc::default(),
        value: edge.into(),
    };
    let step = session.restore(vec![(Key::new(LDS, "edge"), accepted)], "1");
    session.commit(step, Tick(0));
    session
}

#[test]
fn a_listener_restored_without_its_secret_does_not_wait_for_it() {
    let mut session = restored();
    assert_eq!(in_force(&session), ["edge"]);
    assert_eq!(session.unkept(), ["edge".into()]);

    let requests = session.connect(Tick(1));
    let sds = requests.iter().find(|r| r.type_url == SDS.type_url());
    assert_eq!(sds.unwrap().resource_names_subscribe, ["web"]);
    let pair = Authority::new().pair("shop.test");
    take(&mut session, response(SDS, 2, &[secret("web", &pair)], &[]));
    assert!(session.active().secrets.contains_key("web"));
    assert!(session.unkept().is_empty());
}

#[test]
fn a_secret_that_was_not_saved_is_lacking_until_the_control_plane_speaks_of_it() {
    let due = Tick(0).plus(MISSING_AFTER);
    assert_eq!(restored().next_deadline(), None);
    for news in [
        response(SDS, 2, &[], &["web"]),
        response(LDS, 2, &[], &["edge"]),
    ] {
        let mut session = restored();
        session.connect(Tick(0));
        assert_eq!(session.next_deadline(), Some(due));
        take(&mut session, news);
        assert!(session.unkept().is_empty());
        assert_eq!(session.next_deadline(), None);
    }
    let mut session = restored();
    session.connect(Tick(0));
    let bad = Pem {
        chain: "canary".to_owned(),
        key: "canary".to_owned(),
    };
    take(&mut session, response(SDS, 2, &[secret("web", &bad)], &[]));
    assert_eq!(session.unkept(), ["edge".into()]);
    let step = session.expire(due).unwrap();
    session.commit(step, due);
    assert!(session.unkept().is_empty());
    assert_eq!(in_force(&session), ["edge"]);
}
