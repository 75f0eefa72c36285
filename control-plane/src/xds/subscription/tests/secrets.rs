//! Secrets are there before what needs them, and go after it.

use super::*;

/// A cluster and a listener that need secrets, and a table between them.
fn secured(cluster: &str, upstream: &str, listener: &str, downstream: &str) -> Arc<View> {
    view(&[
        (CDS, "api", cluster, &[(EDS, "api"), (SDS, upstream)]),
        (EDS, "api", "1", &[]),
        (SDS, upstream, "1", &[]),
        (SDS, downstream, "1", &[]),
        (LDS, "web", listener, &[(RDS, "web"), (SDS, downstream)]),
        (RDS, "web", "1", &[(CDS, "api")]),
    ])
}

fn with_all(view: &Arc<View>, secrets: &[&str]) -> Subscription {
    let mut stream = open_delta(view);
    for (kind, list) in [
        (CDS, &[][..]),
        (EDS, &["api"][..]),
        (SDS, secrets),
        (LDS, &[][..]),
        (RDS, &["web"][..]),
    ] {
        say(&mut stream, &subscribe(kind, list));
        follow(&mut stream, 0);
    }
    assert_eq!(stream.accepted_revision(), 1);
    stream
}

#[test]
fn routes_wait_for_the_secrets_of_their_clusters() {
    let mut stream = open_delta(&secured("1", "ca", "1", "edge"));
    for (kind, list) in [(CDS, &[][..]), (EDS, &["api"][..]), (LDS, &[][..])] {
        say(&mut stream, &subscribe(kind, list));
    }
    assert_eq!(
        follow(&mut stream, 0),
        ["Cluster +api=1", "ClusterLoadAssignment +api=1"]
    );
    say(&mut stream, &subscribe(SDS, &["ca"]));
    assert_eq!(follow(&mut stream, 0), ["Secret +ca=1", "Listener +web=1"]);
    assert_eq!(stream.accepted_revision(), 0);
    say(&mut stream, &subscribe(SDS, &["edge"]));
    say(&mut stream, &subscribe(RDS, &["web"]));
    assert_eq!(
        follow(&mut stream, 0),
        ["Secret +edge=1", "RouteConfiguration +web=1"]
    );
    assert_eq!(stream.accepted_revision(), 1);
}

#[test]
fn a_client_that_does_not_ask_for_secrets_gets_routes_after_two_seconds() {
    let mut stream = open_delta(&secured("1", "ca", "1", "edge"));
    for (kind, list) in [(CDS, &[][..]), (EDS, &["api"][..]), (LDS, &[][..])] {
        say(&mut stream, &subscribe(kind, list));
    }
    follow(&mut stream, 0);
    assert_eq!(stream.deadline(), Some(2 * SECOND));
    assert_eq!(follow(&mut stream, 2 * SECOND), ["Listener +web=1"]);
}

#[test]
fn a_secret_that_changed_is_sent_by_itself() {
    let old = secured("1", "ca", "1", "edge");
    let mut stream = with_all(&old, &["ca", "edge"]);
    let mut new = View::clone(&old);
    let secrets = new.resources.get_mut(&SDS).unwrap();
    let renewed = Encoded {
        version: "2".to_owned(),
        value: Bytes::new(),
        needs: Vec::new(),
    };
    secrets.insert("edge".to_owned(), Arc::new(renewed));
    stream.on_snapshot(2, Arc::new(new));
    assert_eq!(follow(&mut stream, 0), ["Secret +edge=2"]);
    assert_eq!(stream.accepted_revision(), 2);
}

#[test]
fn a_secret_goes_when_neither_cluster_nor_listener_uses_it_any_more() {
    let mut stream = with_all(&secured("1", "ca", "1", "edge"), &["ca", "edge"]);
    stream.on_snapshot(2, secured("2", "ca-2", "2", "edge-2"));
    say(&mut stream, &subscribe(SDS, &["ca-2", "edge-2"]));
    assert_eq!(
        follow(&mut stream, 0),
        [
            "Cluster +api=2",
            "ClusterLoadAssignment +api=1",
            "Secret +ca-2=1 +edge-2=1",
            "Listener +web=2",
            "Secret -ca -edge",
        ]
    );
}

#[test]
fn a_secret_that_a_refused_listener_leaves_in_use_is_not_removed() {
    let mut stream = with_all(&secured("1", "ca", "1", "edge"), &["ca", "edge"]);
    stream.on_snapshot(2, secured("1", "ca", "2", "edge-2"));
    let told_now = drain(&mut stream, 0);
    assert_eq!(told(&told_now[0]), "Listener +web=2");
    say(&mut stream, &nack(&told_now[0], "Listener/web: tls: no"));
    assert_eq!(follow(&mut stream, 60 * SECOND), [""; 0]);
}

#[test]
fn nobody_gets_secrets_without_asking_by_name() {
    let mut stream = open_delta(&secured("1", "ca", "1", "edge"));
    say(&mut stream, &delta(SDS));
    assert_eq!(told_all(&mut stream, 0), [""; 0]);
    say(&mut stream, &subscribe(SDS, &["other"]));
    assert_eq!(told_all(&mut stream, 0), ["Secret -other"]);
    let mut stream = open_sotw(&secured("1", "ca", "1", "edge"));
    say(&mut stream, &sotw(SDS));
    assert_eq!(told_all(&mut stream, 0), [""; 0]);
}

#[test]
fn a_proxy_that_comes_back_without_its_secrets_gets_them_before_routes() {
    let target = secured("2", "ca", "1", "edge");
    let mut stream = open_delta(&target);
    say(&mut stream, &resume(CDS, &[], &[("api", "2")]));
    say(&mut stream, &resume(EDS, &["api"], &[("api", "1")]));
    say(&mut stream, &resume(LDS, &[], &[("web", "0")]));
    say(&mut stream, &resume(RDS, &["web"], &[("web", "0")]));
    assert_eq!(follow(&mut stream, 0), ["Cluster"]);
    say(&mut stream, &subscribe(SDS, &["ca", "edge"]));
    assert_eq!(
        follow(&mut stream, 0),
        [
            "Secret +ca=1 +edge=1",
            "Listener +web=1",
            "RouteConfiguration +web=1"
        ]
    );
}
