//! Who is known, and what grants allow.

use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::v1::{Kind, Role};
use evenkeel_shared::tls::Identity;

use super::audit::{Limit, loggable};
use super::refusal::Refusal;
use super::token::{Presented, mint};
use super::*;
use crate::admin::metrics::Metrics;
use crate::peer::Peer;
use crate::store::access::StoredToken;
use crate::xds::nodes::Nodes;
use evenkeel_shared::proto::v1;

fn grant(role: Role, kind: Kind, name: &str) -> v1::Grant {
    v1::Grant {
        role: role.into(),
        kind: kind.into(),
        name: name.to_owned(),
    }
}

#[test]
fn a_role_includes_those_before_it_and_no_other() {
    let roles = [Role::Read, Role::Operate, Role::Write, Role::Admin];
    for held in roles {
        let grants = [grant(held, Kind::Unspecified, "")];
        for asked in roles {
            let allowed = allows(&grants, asked, Kind::Cluster, "a");
            assert_eq!(allowed, asked <= held, "{held:?} for {asked:?}");
        }
        assert!(!allows(&grants, Role::Unspecified, Kind::Cluster, "a"));
    }
    assert!(!allows(&[], Role::Read, Kind::Cluster, "a"));
}

#[test]
fn a_grant_holds_for_its_kind_and_names_only() {
    let shop = [grant(Role::Write, Kind::Cluster, "shop-*")];
    for (kind, name, allowed) in [
        (Kind::Cluster, "shop-", true),
        (Kind::Cluster, "shop-cart", true),
        (Kind::Cluster, "shop", false),
        (Kind::Cluster, "SHOP-cart", false),
        (Kind::Cluster, "my-shop-cart", false),
        (Kind::Route, "shop-cart", false),
        (Kind::Unspecified, "shop-cart", false),
        (Kind::Cluster, "", false),
        (Kind::Unspecified, "", false),
    ] {
        assert_eq!(
            allows(&shop, Role::Write, kind, name),
            allowed,
            "{kind:?}/{name}"
        );
    }
    let exact = [grant(Role::Write, Kind::Cluster, "shop")];
    assert!(allows(&exact, Role::Read, Kind::Cluster, "shop"));
    assert!(!allows(&exact, Role::Read, Kind::Cluster, "shop2"));
}

#[test]
fn all_of_a_kind_and_everything_take_a_grant_for_all_of_it() {
    for name in ["", "*"] {
        let clusters = [grant(Role::Read, Kind::Cluster, name)];
        assert!(allows(&clusters, Role::Read, Kind::Cluster, ""));
        assert!(allows(&clusters, Role::Read, Kind::Cluster, "x"));
        assert!(!allows(&clusters, Role::Read, Kind::Unspecified, ""));
        let all = [grant(Role::Read, Kind::Unspecified, name)];
        assert!(allows(&all, Role::Read, Kind::Unspecified, ""));
        assert!(allows(&all, Role::Read, Kind::Secret, "x"));
    }
}

#[test]
fn a_grant_that_is_not_understood_gives_nothing() {
    let (admin, all) = (i32::from(Role::Admin), 0);
    for (role, kind) in [(99, all), (-1, all), (admin, 99), (admin, -1)] {
        let grants = [v1::Grant {
            role,
            kind,
            name: String::new(),
        }];
        for kind in [Kind::Unspecified, Kind::Cluster] {
            assert!(!allows(&grants, Role::Read, kind, ""), "{grants:?}");
        }
    }
}

#[test]
fn all_faults_of_grants_are_named_at_once() {
    let broken = [
        grant(Role::Unspecified, Kind::Cluster, "a*b"),
        v1::Grant {
            role: 77,
            kind: 78,
            name: "x".repeat(300),
        },
    ];
    let faults = super::grants::check(&broken).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    let expected = [
        "grants[0].role",
        "grants[0].name",
        "grants[1].role",
        "grants[1].kind",
        "grants[1].name",
    ];
    assert_eq!(paths, expected);
    assert!(super::grants::check(&[]).is_err());
    assert!(super::grants::check(&vec![grant(Role::Read, Kind::Unspecified, ""); 65]).is_err());
}

#[test]
fn a_token_proves_its_own_digest_and_no_other() {
    let (one, other) = (mint().unwrap(), mint().unwrap());
    let text = String::from_utf8(one.text.expose().to_vec()).unwrap();
    let shown = Presented::parse(&text).unwrap();
    assert_eq!(shown.id, one.id);
    assert!(shown.proves(&one.digest));
    assert!(!shown.proves(&other.digest));
    assert!(!shown.proves(&[]), "a certificate's name has no secret");
    assert!(!format!("{one:?}").contains(&text));
}

#[test]
fn what_has_not_the_form_of_a_token_is_none() {
    let text = String::from_utf8(mint().unwrap().text.expose().to_vec()).unwrap();
    for broken in [
        "",
        "ekt_",
        "ekt__",
        "ekt_0123456789abcdef_",
        "ekt_0123456789abcdef_AAAA",
        &text[1..],
        &text[..text.len() - 1],
        &format!("{text}A"),
        &format!("{text}="),
        &text.to_uppercase(),
        &text.replacen("ekt_", "ekt_x", 1),
    ] {
        assert_eq!(Presented::parse(broken), None, "{broken}");
    }
}

/// A gate with these tokens.
fn gate(tokens: Vec<StoredToken>, local: bool) -> Gate {
    let clock = Clock::start();
    let metrics = Arc::new(Metrics::new(Arc::new(Nodes::new(clock))));
    let auditor = Auditor::unread(clock, Arc::clone(&metrics));
    Gate::new(Arc::new(Registry::new(tokens)), local, auditor, metrics)
}

fn peer(address: &str, identity: Option<Identity>) -> Peer {
    let address: SocketAddr = address.parse().unwrap();
    Peer {
        address,
        tls: identity.is_some(),
        identity: identity.map(Arc::new),
    }
}

fn identity(uris: &[&str], dns: &[&str]) -> Identity {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Identity {
        uris: owned(uris),
        dns: owned(dns),
        addresses: Vec::new(),
        subject: "CN=x".to_owned(),
        fingerprint: String::new(),
        not_before: 0,
        not_after: 1_000,
    }
}

/// A token that ends at 100, and what shows it.
fn token(name: &str) -> (StoredToken, Presented) {
    let minted = mint().unwrap();
    let text = String::from_utf8(minted.text.expose().to_vec()).unwrap();
    let stored = StoredToken {
        token: v1::Token {
            id: minted.id,
            name: name.to_owned(),
            grants: vec![grant(Role::Read, Kind::Unspecified, "")],
            expires: Some(prost_types::Timestamp {
                seconds: 100,
                nanos: 0,
            }),
            ..v1::Token::default()
        },
        digest: minted.digest,
    };
    (stored, Presented::parse(&text).unwrap())
}

/// An entry for a name in certificates.
fn certificate(name: &str, san: &str) -> StoredToken {
    let (mut stored, _) = token(name);
    stored.token.certificate = san.to_owned();
    stored.digest = Vec::new();
    stored
}

const HERE: &str = "127.0.0.1:1000";
const ELSEWHERE: &str = "192.0.2.1:1000";

#[test]
fn without_credentials_only_callers_on_this_machine_are_let_in() {
    let open = gate(Vec::new(), true);
    for here in [HERE, "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        let caller = open.identify(Some(&peer(here, None)), None, 0).unwrap();
        assert_eq!(
            (caller.subject.as_str(), caller.method),
            ("local", Method::Local)
        );
        assert!(allows(&caller.grants, Role::Admin, Kind::Unspecified, ""));
    }
    let elsewhere = peer(ELSEWHERE, None);
    let refused = open.identify(Some(&elsewhere), None, 0).unwrap_err();
    assert_eq!(refused, Refusal::Nothing);
    assert_eq!(open.identify(None, None, 0).unwrap_err(), Refusal::Nowhere);
    let closed = gate(Vec::new(), false);
    let refused = closed.identify(Some(&peer(HERE, None)), None, 0);
    assert_eq!(refused.unwrap_err(), Refusal::Nothing);
}

#[test]
fn a_token_holds_until_its_time_is_over() {
    let (stored, shown) = token("ci");
    let gate = gate(vec![stored], true);
    for from in [HERE, ELSEWHERE] {
        let from = peer(from, None);
        let caller = gate.identify(Some(&from), Some(shown.clone()), 99).unwrap();
        assert_eq!(
            (caller.subject.as_str(), caller.method),
            ("ci", Method::Token)
        );
        assert_eq!(caller.over(99), None);
        assert_eq!(caller.over(100), Some(Refusal::Expired("ci".to_owned())));
        let late = gate.identify(Some(&from), Some(shown.clone()), 100);
        assert_eq!(late.unwrap_err(), Refusal::Expired("ci".to_owned()));
    }
}

#[test]
fn bad_credentials_are_refused_also_on_this_machine() {
    let (stored, shown) = token("ci");
    let (_, stranger) = token("other");
    let id = stored.token.id.clone();
    let gate = gate(vec![stored], true);
    let here = peer(HERE, None);
    let refused = gate.identify(Some(&here), Some(stranger.clone()), 0);
    assert_eq!(refused.unwrap_err(), Refusal::Unknown);
    let forged = Presented { id, ..stranger };
    let refused = gate.identify(Some(&here), Some(forged), 0);
    assert_eq!(refused.unwrap_err(), Refusal::Unknown);
    gate.registry().find("ci", 0).unwrap().end(7);
    let refused = gate.identify(Some(&here), Some(shown), 8);
    assert_eq!(refused.unwrap_err(), Refusal::Revoked("ci".to_owned()));
    let unknown = peer(HERE, Some(identity(&["spiffe://x/proxy/p"], &[])));
    let refused = gate.identify(Some(&unknown), None, 0).unwrap_err();
    assert!(matches!(refused, Refusal::UnknownCertificate(_)));
}

#[test]
fn whoever_is_in_is_out_when_the_token_is_revoked() {
    let (stored, shown) = token("ci");
    let gate = gate(vec![stored], false);
    let caller = gate.identify(Some(&peer(HERE, None)), Some(shown), 0);
    let caller = caller.unwrap();
    assert_eq!(caller.over(1), None);
    gate.registry().find("ci", 1).unwrap().end(1);
    assert_eq!(caller.over(1), Some(Refusal::Revoked("ci".to_owned())));
}

#[test]
fn a_certificate_of_an_administrator_may_do_everything_while_it_is_valid() {
    let gate = gate(Vec::new(), false);
    let from = |uri: &str| peer(ELSEWHERE, Some(identity(&[uri], &[])));
    let admin = from("spiffe://evenkeel/admin/alice");
    let caller = gate.identify(Some(&admin), None, 0).unwrap();
    assert_eq!(caller.subject, "spiffe://evenkeel/admin/alice");
    assert!(allows(&caller.grants, Role::Admin, Kind::Unspecified, ""));
    let late = gate.identify(Some(&admin), None, 1_000).unwrap_err();
    assert!(matches!(late, Refusal::ExpiredCertificate(_)));
    for uri in [
        "spiffe:///admin/alice",
        "spiffe://evenkeel/admin/",
        "spiffe://evenkeel/admin/alice/x",
        "spiffe://evenkeel/x/admin/alice",
        "spiffe://evenkeel/user/alice",
        "https://evenkeel/admin/alice",
    ] {
        let refused = gate.identify(Some(&from(uri)), None, 0).unwrap_err();
        assert!(matches!(refused, Refusal::UnknownCertificate(_)), "{uri}");
    }
}

#[test]
fn a_certificate_is_let_in_by_a_name_in_it_and_a_token_goes_before_it() {
    let (stored, shown) = token("ci");
    let tokens = vec![
        stored,
        certificate("alice", "spiffe://evenkeel/user/alice"),
        certificate("host", "ci.example"),
    ];
    let gate = gate(tokens, false);
    let alice = identity(&["spiffe://evenkeel/user/alice"], &["other.example"]);
    let alice = peer(ELSEWHERE, Some(alice));
    let caller = gate.identify(Some(&alice), None, 0).unwrap();
    assert_eq!(caller.subject, "spiffe://evenkeel/user/alice");
    assert_eq!(caller.expires, Some(100));
    let host = peer(ELSEWHERE, Some(identity(&[], &["ci.example"])));
    assert_eq!(
        gate.identify(Some(&host), None, 0).unwrap().subject,
        "ci.example"
    );
    let caller = gate.identify(Some(&alice), Some(shown), 0).unwrap();
    assert_eq!(caller.subject, "ci");
    gate.registry().find("alice", 0).unwrap().end(1);
    assert!(gate.identify(Some(&alice), None, 1).is_err());
}

#[test]
fn only_a_local_caller_chooses_the_author() {
    let local = Caller::local(HERE.to_owned());
    assert_eq!(local.author(""), "local");
    assert_eq!(local.author("alice@laptop"), "alice@laptop");
    let (stored, shown) = token("ci");
    let gate = gate(vec![stored], true);
    let caller = gate
        .identify(Some(&peer(HERE, None)), Some(shown), 0)
        .unwrap();
    assert_eq!(caller.author(""), "ci");
    assert_eq!(caller.author("ci"), "ci");
    assert_eq!(caller.author("root"), "ci (root)");
}

#[test]
fn refusals_beyond_ten_a_second_are_counted_and_the_next_one_says_so() {
    let mut limit = Limit::default();
    let at = |seconds| v1::AuditEntry {
        time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        detail: "no".to_owned(),
        ..v1::AuditEntry::default()
    };
    let passed = (0..25).filter_map(|_| limit.pass(at(1))).count();
    assert_eq!(passed, 10);
    let next = limit.pass(at(2)).unwrap();
    assert_eq!(next.detail, "no; 15 refusals before it are not in the log");
    assert_eq!(limit.pass(at(2)).unwrap().detail, "no");
}

#[test]
fn nothing_secret_and_nothing_unchanged_reaches_the_log() {
    let inline = |text: &str| {
        Some(v1::DataSource {
            source: Some(v1::data_source::Source::Inline(text.to_owned())),
        })
    };
    let secret = |key: &str| v1::Resource {
        name: "s".to_owned(),
        spec: Some(Spec::Secret(v1::Secret {
            content: Some(v1::secret::Content::Certificate(v1::CertificatePair {
                chain: inline("CANARY-chain"),
                private_key: inline(key),
            })),
        })),
    };
    let change = |action: v1::ChangeAction| v1::Change {
        action: action.into(),
        before: Some(secret("CANARY-before")),
        after: Some(secret("redacted:sha256:0123")),
        ..v1::Change::default()
    };
    let logged = loggable(&[
        change(v1::ChangeAction::Configured),
        change(v1::ChangeAction::Unchanged),
    ]);
    assert_eq!(logged.len(), 1);
    let stored = v1::AuditEntry {
        changes: logged,
        ..v1::AuditEntry::default()
    };
    let bytes = prost::Message::encode_to_vec(&stored);
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("CANARY"), "{text}");
    assert!(text.contains("redacted:sha256:0123"), "{text}");
}
