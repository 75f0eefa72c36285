//! Make before break, and what counts as accepted.

use super::*;

/// `shop`, and a second cluster that the routes moved to.
fn moved() -> Arc<View> {
    view(&[
        (CDS, "new", "1", &[(EDS, "new")]),
        (EDS, "new", "1", &[]),
        (LDS, "web", "1", &[(RDS, "web")]),
        (RDS, "web", "2", &[(CDS, "new")]),
    ])
}

#[test]
fn routes_wait_for_the_cluster_and_its_endpoints_and_the_old_cluster_for_the_routes() {
    let mut stream = synced(&shop("1"));
    stream.on_snapshot(2, moved());
    let cds = drain(&mut stream, 0);
    assert_eq!(told(&cds[0]), "Cluster +new=1");
    assert_eq!(cds.len(), 1);
    say(&mut stream, &ack(&cds[0]));
    assert!(drain(&mut stream, 0).is_empty());
    say(&mut stream, &subscribe(EDS, &["new"]));
    let eds = drain(&mut stream, 0);
    assert_eq!(told(&eds[0]), "ClusterLoadAssignment +new=1");
    assert_eq!(eds.len(), 1);
    say(&mut stream, &ack(&eds[0]));
    let rds = drain(&mut stream, 0);
    assert_eq!(told(&rds[0]), "RouteConfiguration +web=2");
    assert_eq!((rds.len(), stream.accepted_revision()), (1, 1));
    say(&mut stream, &ack(&rds[0]));
    assert!(drain(&mut stream, SECOND / 2).is_empty());
    assert_eq!(stream.accepted_revision(), 2);
    assert_eq!(stream.deadline(), Some(SECOND));
    assert_eq!(
        follow(&mut stream, SECOND),
        ["Cluster -api", "ClusterLoadAssignment -api"]
    );
}

#[test]
fn sotw_clusters_keep_the_old_one_until_the_routes_moved() {
    let mut stream = open_sotw(&shop("1"));
    let mut nonces = [const { String::new() }; ResourceType::ALL.len()];
    let lists: [&[&str]; ResourceType::ALL.len()] = [&[], &[], &["api", "new"], &[], &[], &["web"]];
    let mut log = Vec::new();
    for revision in [1, 2] {
        if revision == 2 {
            stream.on_snapshot(2, moved());
        }
        for kind in [CDS, EDS, LDS, RDS, CDS] {
            let at = kind as usize;
            say(&mut stream, &ask(kind, lists[at], &nonces[at]));
            while let Some(response) = stream.next(u64::from(revision == 2) * SECOND) {
                log.push(told(&response));
                let kind = ResourceType::from_type_url(&response.type_url).unwrap();
                nonces[kind as usize] = response.nonce.clone();
                say(
                    &mut stream,
                    &ask(kind, lists[kind as usize], &response.nonce),
                );
            }
        }
    }
    log.extend(told_all(&mut stream, 2 * SECOND));
    assert_eq!(
        log,
        [
            "Cluster +api=1",
            "ClusterLoadAssignment +api=1",
            "Listener +web=1",
            "RouteConfiguration +web=1",
            "Cluster +api=1 +new=1",
            "ClusterLoadAssignment +new=1",
            "RouteConfiguration +web=2",
            "Cluster +new=1 -api",
        ]
    );
}

#[test]
fn endpoints_are_sent_again_after_their_cluster_changed() {
    let mut stream = synced(&shop("1"));
    stream.on_snapshot(2, shop("2"));
    assert_eq!(
        follow(&mut stream, 0),
        [
            "Cluster +api=2",
            "ClusterLoadAssignment +api=1",
            "RouteConfiguration +web=2"
        ]
    );
    assert_eq!(stream.accepted_revision(), 2);
}

#[test]
fn a_client_that_never_asks_for_endpoints_gets_routes_after_two_seconds() {
    let mut stream = open_delta(&shop("1"));
    for kind in [CDS, LDS] {
        say(&mut stream, &delta(kind));
    }
    say(&mut stream, &subscribe(RDS, &["web"]));
    assert_eq!(follow(&mut stream, 0), ["Cluster +api=1"]);
    assert_eq!(stream.deadline(), Some(2 * SECOND));
    assert_eq!(
        follow(&mut stream, 2 * SECOND),
        ["Listener +web=1", "RouteConfiguration +web=1"]
    );
}

#[test]
fn a_client_that_never_answers_clusters_gets_routes_after_two_seconds() {
    let mut stream = open_delta(&shop("1"));
    for kind in [CDS, LDS] {
        say(&mut stream, &delta(kind));
    }
    assert_eq!(told_all(&mut stream, 0), ["Cluster +api=1"]);
    assert_eq!(told_all(&mut stream, 2 * SECOND), ["Listener +web=1"]);
}

#[test]
fn clients_that_ask_by_name_are_not_held_back() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &subscribe(LDS, &["web"]));
    say(&mut stream, &subscribe(RDS, &["web"]));
    say(&mut stream, &subscribe(CDS, &["api"]));
    assert_eq!(
        told_all(&mut stream, 0),
        [
            "Cluster +api=1",
            "Listener +web=1",
            "RouteConfiguration +web=1"
        ]
    );
}

/// `shop`, plus a table `b` that needs a cluster `bad`.
fn with_bad(table: &str) -> Arc<View> {
    view(&[
        (CDS, "api", "1", &[(EDS, "api")]),
        (CDS, "bad", "1", &[]),
        (EDS, "api", "1", &[]),
        (LDS, "web", "1", &[(RDS, "web")]),
        (RDS, "web", "2", &[(CDS, "api")]),
        (RDS, table, "3", &[(CDS, "bad")]),
    ])
}

#[test]
fn a_refused_cluster_holds_back_only_the_tables_that_need_it() {
    let mut stream = synced(&shop("1"));
    say(&mut stream, &subscribe(RDS, &["b"]));
    follow(&mut stream, 0);
    stream.on_snapshot(2, with_bad("b"));
    let cds = drain(&mut stream, 0);
    say(&mut stream, &nack(&cds[0], "Cluster/bad: lb: no"));
    assert_eq!(follow(&mut stream, 0), ["RouteConfiguration +web=2"]);
    assert_eq!(follow(&mut stream, 2 * SECOND), ["RouteConfiguration +b=3"]);
}

#[test]
fn a_table_that_works_is_not_replaced_by_one_that_cannot() {
    let mut stream = synced(&shop("1"));
    stream.on_snapshot(2, with_bad("web"));
    let cds = drain(&mut stream, 0);
    say(&mut stream, &nack(&cds[0], "Cluster/bad: lb: no"));
    assert!(follow(&mut stream, 9 * SECOND).is_empty());
    assert_eq!(
        (stream.settled_revision(), stream.accepted_revision()),
        (2, 1)
    );
}

#[test]
fn a_cluster_that_a_refused_table_leaves_in_use_is_not_removed() {
    let mut stream = synced(&shop("1"));
    say(&mut stream, &subscribe(EDS, &["new"]));
    follow(&mut stream, 0);
    stream.on_snapshot(2, moved());
    for response in drain(&mut stream, 0) {
        assert_ne!(response.type_url, RDS.type_url());
        say(&mut stream, &ack(&response));
    }
    let rds = drain(&mut stream, 0);
    assert_eq!(told(&rds[0]), "RouteConfiguration +web=2");
    say(&mut stream, &nack(&rds[0], "RouteConfiguration/web: no"));
    assert!(follow(&mut stream, 60 * SECOND).is_empty());
}

#[test]
fn revisions_in_which_nothing_changed_are_accepted_too() {
    let target = shop("1");
    let mut stream = synced(&target);
    stream.on_snapshot(2, Arc::clone(&target));
    assert!(drain(&mut stream, 0).is_empty());
    assert_eq!(stream.accepted_revision(), 2);
    stream.on_snapshot(3, Arc::new(View::clone(&target)));
    assert!(drain(&mut stream, 0).is_empty());
    assert_eq!(stream.accepted_revision(), 3);
}

#[test]
fn a_proxy_that_has_not_asked_for_listeners_yet_has_accepted_nothing() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    follow(&mut stream, 0);
    assert_eq!(stream.accepted_revision(), 0);
    let until = stream.deadline().unwrap();
    follow(&mut stream, until);
    assert_eq!(stream.accepted_revision(), 1);
}

#[test]
fn an_unnamed_refusal_blocks_no_table_but_is_not_acceptance() {
    let mut stream = synced(&shop("1"));
    stream.on_snapshot(2, shop("2"));
    let cds = drain(&mut stream, 0);
    for response in &cds {
        let text = "out of memory";
        let request = if response.type_url == CDS.type_url() {
            nack(response, text)
        } else {
            ack(response)
        };
        say(&mut stream, &request);
    }
    assert_eq!(follow(&mut stream, 0), ["RouteConfiguration +web=2"]);
    assert_eq!(
        (stream.settled_revision(), stream.accepted_revision()),
        (2, 1)
    );
}
