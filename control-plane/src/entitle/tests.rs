use super::*;

fn certificate(uris: &[&str], dns: &[&str]) -> Identity {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Identity {
        uris: owned(uris),
        dns: owned(dns),
        addresses: Vec::new(),
        subject: String::new(),
        fingerprint: String::new(),
        not_before: 0,
        not_after: 0,
    }
}

fn group(name: &str, selector: Selector, identities: &[&str]) -> Group {
    Group {
        name: name.to_owned(),
        identities: identities.iter().map(|text| (*text).to_owned()).collect(),
        selector,
        listeners: std::collections::BTreeSet::new(),
    }
}

fn of_cluster(cluster: &str) -> Selector {
    Selector {
        cluster: Some(cluster.to_owned()),
        ..Selector::default()
    }
}

fn of_ids(ids: &[&str]) -> Selector {
    Selector {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Selector::default()
    }
}

fn node(id: &str, cluster: &str) -> NodeIdentity {
    NodeIdentity {
        id: id.to_owned(),
        cluster: cluster.to_owned(),
        ..NodeIdentity::default()
    }
}

#[test]
fn a_proxy_is_who_its_certificate_names() {
    use Naming::{Other, Proven, Shared};

    let p1 = ["spiffe://a.test/proxy/p1"];
    let shared = ["spiffe://a.test/group/edge"];
    let both = [p1[0], shared[0]];
    for (uris, dns, id, expected) in [
        (&p1[..], &[][..], "p1", Proven),
        (&p1[..], &[][..], "p2", Other),
        (&p1[..], &[][..], "P1", Other),
        (&p1[..], &[][..], "p", Other),
        (&p1[..], &[][..], "", Other),
        (&p1[..], &["p2"][..], "p2", Proven),
        (&[][..], &["p1"][..], "p1", Proven),
        (&[][..], &["*.test"][..], "p1.test", Other),
        (&[][..], &[""][..], "", Other),
        (&["spiffe://a.test/proxy/"][..], &[][..], "", Other),
        (&shared[..], &[][..], "anything", Shared),
        (&shared[..], &[][..], "", Shared),
        (&both[..], &[][..], "p1", Proven),
        (&both[..], &[][..], "p2", Other),
        (&["spiffe://a.test/admin/ann"][..], &[][..], "p1", Other),
        (&["https://a.test/proxy/p1"][..], &[][..], "p1", Other),
        (&["spiffe://a.test/x/proxy/p1"][..], &[][..], "p1", Other),
        (&["spiffe://proxy/p1"][..], &[][..], "p1", Other),
    ] {
        let found = naming(&certificate(uris, dns), id);
        assert_eq!(found, expected, "{uris:?} {dns:?} as {id:?}");
    }
}

#[test]
fn what_a_proxy_says_of_itself_is_not_enough_for_a_group() {
    let edge = [group("edge", of_cluster("edge"), &[])];
    let stranger = certificate(&["spiffe://a.test/proxy/p1"], &[]);
    let refused = groups(&edge, &node("p1", "edge"), Some(&stranger)).unwrap_err();
    assert_eq!(refused.groups, ["edge"]);
    let member = certificate(&["spiffe://a.test/proxy/p1", "spiffe://b/group/edge"], &[]);
    assert_eq!(
        groups(&edge, &node("p1", "edge"), Some(&member)),
        Ok(vec![0])
    );
    // A certificate alone does not put it into the group either.
    assert_eq!(
        groups(&edge, &node("p1", "core"), Some(&member)),
        Ok(vec![])
    );
}

#[test]
fn a_group_of_ids_takes_proxies_that_prove_theirs() {
    let named = [group("named", of_ids(&["p1"]), &[])];
    let own = certificate(&["spiffe://a.test/proxy/p1"], &[]);
    let shared = certificate(&["spiffe://a.test/group/other"], &[]);
    let p1 = node("p1", "");
    assert_eq!(groups(&named, &p1, Some(&own)), Ok(vec![0]));
    // It may call itself so, but has not proven it.
    assert!(groups(&named, &p1, Some(&shared)).is_err());
}

#[test]
fn identities_stand_in_for_the_default() {
    let strict = group(
        "edge",
        of_cluster("edge"),
        &["spiffe://a.test/site/*", "P7"],
    );
    let entitled = |uris: &[&str], dns: &[&str]| entitled(&strict, &certificate(uris, dns), "p1");
    assert!(entitled(&["spiffe://a.test/site/7"], &[]));
    assert!(entitled(&[], &["p7"]));
    assert!(!entitled(&["spiffe://a.test/group/edge"], &[]));
    assert!(!entitled(&["spiffe://b.test/site/7"], &[]));
    assert!(!entitled(&["p7x"], &["p77"]));
}

#[test]
fn a_group_of_everybody_refuses_nobody() {
    let all = [
        group("all", Selector::default(), &[]),
        group("edge", of_cluster("edge"), &[]),
    ];
    let own = certificate(&["spiffe://a.test/proxy/p1"], &[]);
    assert_eq!(groups(&all, &node("p1", ""), Some(&own)), Ok(vec![]));
    let member = certificate(&["spiffe://a.test/group/all"], &[]);
    assert_eq!(groups(&all, &node("p1", ""), Some(&member)), Ok(vec![0]));
}

#[test]
fn without_mutual_tls_the_selector_decides() {
    let edge = [group("edge", of_cluster("edge"), &["spiffe://a.test/x"])];
    assert_eq!(groups(&edge, &node("p1", "edge"), None), Ok(vec![0]));
    assert_eq!(groups(&edge, &node("p1", "core"), None), Ok(vec![]));
}
