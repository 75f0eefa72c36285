//! The rows of the protocol's rules, one test each.

use super::*;

#[test]
fn a_delta_wildcard_may_be_empty_or_a_star() {
    for list in [&[][..], &["*"][..]] {
        let mut stream = open_delta(&shop("1"));
        say(&mut stream, &subscribe(CDS, list));
        assert_eq!(told_all(&mut stream, 0), ["Cluster +api=1"], "{list:?}");
    }
}

#[test]
fn an_empty_first_request_for_endpoints_or_routes_asks_for_nothing() {
    for kind in [EDS, RDS] {
        let mut stream = open_delta(&shop("1"));
        say(&mut stream, &delta(kind));
        assert!(drain(&mut stream, 0).is_empty());
        let mut stream = open_sotw(&shop("1"));
        say(&mut stream, &sotw(kind));
        assert!(drain(&mut stream, 0).is_empty());
    }
}

#[test]
fn a_wildcard_with_nothing_to_serve_is_answered_at_once() {
    for kind in [CDS, LDS] {
        let mut stream = open_delta(&view(&[]));
        say(&mut stream, &delta(kind));
        let responses = drain(&mut stream, 0);
        assert_eq!(responses.len(), 1);
        assert!(responses[0].resources.is_empty());
        say(&mut stream, &ack(&responses[0]));
        assert!(drain(&mut stream, 0).is_empty());
        let mut stream = open_sotw(&view(&[]));
        say(&mut stream, &sotw(kind));
        assert_eq!(drain(&mut stream, 0).len(), 1);
    }
}

#[test]
fn an_ack_is_not_answered_and_nonces_are_unique() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    say(&mut stream, &subscribe(EDS, &["api"]));
    let responses = drain(&mut stream, 0);
    assert_eq!(responses.len(), 2);
    assert_ne!(responses[0].nonce, responses[1].nonce);
    for response in &responses {
        assert!(say(&mut stream, &ack(response)).current);
    }
    assert!(drain(&mut stream, 0).is_empty());
}

#[test]
fn only_one_response_per_type_is_unanswered_and_the_next_skips_to_the_newest() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    let first = drain(&mut stream, 0);
    for revision in 2..9 {
        stream.on_snapshot(revision, shop(&revision.to_string()));
        assert!(drain(&mut stream, 0).is_empty());
    }
    say(&mut stream, &ack(&first[0]));
    let next = drain(&mut stream, 0);
    assert_eq!(told(&next[0]), "Cluster +api=8");
    assert_eq!(next[0].revision, 8);
}

#[test]
fn refused_content_is_not_sent_again_until_it_changes() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    let first = drain(&mut stream, 0);
    say(&mut stream, &nack(&first[0], "Cluster/api: lb: bad"));
    assert!(drain(&mut stream, 3 * SECOND).is_empty());
    stream.on_snapshot(2, Arc::new(View::clone(&shop("1"))));
    assert!(drain(&mut stream, 4 * SECOND).is_empty());
    stream.on_snapshot(3, shop("2"));
    assert_eq!(told_all(&mut stream, 5 * SECOND), ["Cluster +api=2"]);
}

#[test]
fn a_refusal_is_kept_by_name_until_the_content_goes_through() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    let first = drain(&mut stream, 0);
    let heard = say(&mut stream, &nack(&first[0], "Cluster/api: lb: bad"));
    assert_eq!(heard.refused.as_deref(), Some("Cluster/api: lb: bad"));
    let rejected = stream.rejections();
    assert_eq!(rejected.len(), 1);
    assert_eq!(
        (
            rejected[0].kind.as_str(),
            rejected[0].name.as_str(),
            rejected[0].detail.as_str()
        ),
        ("Cluster", "api", "lb: bad")
    );
    assert_eq!(rejected[0].revision, 1);
    stream.on_snapshot(2, shop("2"));
    let second = drain(&mut stream, 0);
    say(&mut stream, &ack(&second[0]));
    assert!(stream.rejections().is_empty());
}

#[test]
fn a_refusal_without_names_is_kept_whole_and_cut() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    let first = drain(&mut stream, 0);
    say(&mut stream, &nack(&first[0], &"x".repeat(10_000)));
    let rejected = stream.rejections();
    assert_eq!(
        (rejected[0].name.as_str(), rejected[0].detail.len()),
        ("", 4096)
    );
    stream.on_snapshot(2, shop("2"));
    let second = drain(&mut stream, 0);
    say(&mut stream, &ack(&second[0]));
    assert!(stream.rejections().is_empty());
}

#[test]
fn delta_honours_a_subscription_whatever_the_nonce_says() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &subscribe(CDS, &["nothing"]));
    drain(&mut stream, 0);
    let mut request = subscribe(CDS, &["api"]);
    request.response_nonce = "stale".to_owned();
    assert!(!say(&mut stream, &request).current);
    request = unsubscribe(CDS, &["nothing"]);
    request.response_nonce = "1".to_owned();
    say(&mut stream, &request);
    assert_eq!(told_all(&mut stream, 0), ["Cluster +api=1"]);
}

#[test]
fn a_stale_refusal_is_recorded_all_the_same() {
    let mut stream = synced(&shop("1"));
    let mut request = delta(CDS);
    request.response_nonce = "stale".to_owned();
    request.error_detail = Some(error("Cluster/api: late"));
    say(&mut stream, &request);
    assert_eq!(stream.rejections()[0].name, "api");
}

#[test]
fn sotw_ignores_the_names_of_a_stale_request() {
    let mut stream = open_sotw(&shop("1"));
    say(&mut stream, &ask(EDS, &["api"], ""));
    let first = drain(&mut stream, 0);
    say(&mut stream, &ask(EDS, &["api"], &first[0].nonce));
    say(&mut stream, &ask(EDS, &[], "stale"));
    stream.on_snapshot(2, view(&[(EDS, "api", "2", &[])]));
    assert_eq!(told_all(&mut stream, 0), ["ClusterLoadAssignment +api=2"]);
}

#[test]
fn sotw_takes_an_empty_nonce_as_a_new_request() {
    let mut stream = open_sotw(&shop("1"));
    say(&mut stream, &ask(EDS, &["none"], ""));
    assert!(drain(&mut stream, 0).is_empty());
    say(&mut stream, &ask(EDS, &["none", "api"], ""));
    assert_eq!(told_all(&mut stream, 0), ["ClusterLoadAssignment +api=1"]);
}

#[test]
fn sotw_answers_a_new_name_even_if_nothing_changed() {
    let target = view(&[(EDS, "a", "1", &[]), (EDS, "b", "1", &[])]);
    let mut stream = open_sotw(&target);
    say(&mut stream, &ask(EDS, &["a", "b"], ""));
    let first = drain(&mut stream, 0);
    say(&mut stream, &ask(EDS, &["a"], &first[0].nonce));
    assert!(drain(&mut stream, 0).is_empty());
    say(&mut stream, &ask(EDS, &["a", "b"], &first[0].nonce));
    assert_eq!(told_all(&mut stream, 0), ["ClusterLoadAssignment +b=1"]);
}

#[test]
fn sotw_repeats_of_an_ack_are_not_answered() {
    let mut stream = open_sotw(&shop("1"));
    say(&mut stream, &sotw(CDS));
    let first = drain(&mut stream, 0);
    for _ in 0..3 {
        say(&mut stream, &ask(CDS, &[], &first[0].nonce));
        assert!(drain(&mut stream, 0).is_empty());
    }
}

#[test]
fn sotw_after_a_name_an_empty_list_unsubscribes() {
    let mut stream = open_sotw(&shop("1"));
    say(&mut stream, &ask(CDS, &["api"], ""));
    let first = drain(&mut stream, 0);
    say(&mut stream, &ask(CDS, &[], &first[0].nonce));
    stream.on_snapshot(2, shop("2"));
    assert!(drain(&mut stream, 0).is_empty());
}

#[test]
fn sotw_clusters_and_listeners_always_come_as_the_whole_set() {
    let two = |version| view(&[(CDS, "a", "1", &[]), (CDS, "b", version, &[])]);
    let mut stream = open_sotw(&two("1"));
    say(&mut stream, &sotw(CDS));
    let first = drain(&mut stream, 0);
    assert_eq!(told(&first[0]), "Cluster +a=1 +b=1");
    say(&mut stream, &ask(CDS, &[], &first[0].nonce));
    stream.on_snapshot(2, two("2"));
    let second = drain(&mut stream, 0);
    assert_eq!(told(&second[0]), "Cluster +a=1 +b=2");
    assert_ne!(first[0].version, second[0].version);
}

#[test]
fn sotw_versions_are_the_same_on_every_stream() {
    let version = || {
        let mut stream = open_sotw(&shop("1"));
        say(&mut stream, &sotw(CDS));
        drain(&mut stream, 0).remove(0).version
    };
    assert_eq!(version(), version());
}

#[test]
fn sotw_says_nothing_of_a_missing_name_and_sends_it_when_it_appears() {
    let mut stream = open_sotw(&view(&[]));
    say(&mut stream, &ask(EDS, &["api"], ""));
    assert!(drain(&mut stream, 0).is_empty());
    stream.on_snapshot(2, shop("1"));
    assert_eq!(told_all(&mut stream, 0), ["ClusterLoadAssignment +api=1"]);
}

#[test]
fn delta_reports_a_missing_name_at_once_and_sends_it_when_it_appears() {
    let mut stream = open_delta(&view(&[]));
    say(&mut stream, &subscribe(EDS, &["api"]));
    let first = drain(&mut stream, 0);
    assert_eq!(told(&first[0]), "ClusterLoadAssignment -api");
    say(&mut stream, &ack(&first[0]));
    stream.on_snapshot(2, shop("1"));
    assert_eq!(told_all(&mut stream, 0), ["ClusterLoadAssignment +api=1"]);
}

#[test]
fn subscribing_again_resends_always() {
    let mut stream = synced(&shop("1"));
    say(&mut stream, &subscribe(EDS, &["api"]));
    assert_eq!(told_all(&mut stream, 0), ["ClusterLoadAssignment +api=1"]);
}

#[test]
fn unsubscribing_is_not_answered_and_forgets() {
    let mut stream = synced(&shop("1"));
    say(&mut stream, &unsubscribe(EDS, &["api", "never-asked"]));
    stream.on_snapshot(2, view(&[(CDS, "api", "1", &[]), (EDS, "api", "2", &[])]));
    let told = told_all(&mut stream, 0);
    assert!(
        !told.iter().any(|text| text.contains("Assignment")),
        "{told:?}"
    );
}

#[test]
fn unsubscribing_a_name_that_the_wildcard_covers_is_answered() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &subscribe(CDS, &["*", "api", "none"]));
    let first = drain(&mut stream, 0);
    assert_eq!(told(&first[0]), "Cluster +api=1 -none");
    say(&mut stream, &ack(&first[0]));
    say(&mut stream, &unsubscribe(CDS, &["api", "none"]));
    assert_eq!(told_all(&mut stream, 0), ["Cluster +api=1 -none"]);
}

#[test]
fn a_wildcard_ends_only_by_unsubscribing_the_star() {
    let mut stream = open_delta(&shop("1"));
    say(&mut stream, &delta(CDS));
    say(&mut stream, &subscribe(CDS, &["other"]));
    let first = drain(&mut stream, 0);
    assert_eq!(told(&first[0]), "Cluster +api=1 -other");
    say(&mut stream, &ack(&first[0]));
    say(&mut stream, &unsubscribe(CDS, &["*"]));
    stream.on_snapshot(2, shop("2"));
    assert!(drain(&mut stream, 0).is_empty());
}

#[test]
fn a_reconnecting_client_is_sent_only_the_difference() {
    let mut stream = open_delta(&shop("2"));
    say(
        &mut stream,
        &resume(CDS, &[], &[("api", "2"), ("old", "1")]),
    );
    say(&mut stream, &resume(EDS, &["api"], &[("api", "0")]));
    assert_eq!(
        told_all(&mut stream, 0),
        ["Cluster", "ClusterLoadAssignment +api=1"]
    );
}

#[test]
fn what_a_reconnecting_client_has_too_much_of_is_removed() {
    let mut stream = open_delta(&shop("1"));
    say(
        &mut stream,
        &resume(CDS, &[], &[("api", "1"), ("old", "1")]),
    );
    assert_eq!(follow(&mut stream, 0), ["Cluster"]);
    assert_eq!(stream.deadline(), Some(SECOND));
    assert_eq!(follow(&mut stream, SECOND), ["Cluster -old"]);
}

#[test]
fn unknown_types_do_not_exist_but_do_not_end_the_stream() {
    let mut stream = open_delta(&shop("1"));
    let url = "type.googleapis.com/envoy.service.runtime.v3.Runtime";
    let mut request = subscribe(CDS, &["layer"]);
    request.type_url = url.to_owned();
    say(&mut stream, &request);
    let responses = drain(&mut stream, 0);
    assert_eq!(
        (responses.len(), &responses[0].removed),
        (1, &names(&["layer"]))
    );
    let mut stream = open_sotw(&shop("1"));
    let mut request = ask(CDS, &["layer"], "");
    request.type_url = url.to_owned();
    say(&mut stream, &request);
    assert_eq!(drain(&mut stream, 0).len(), 1);
}

#[test]
fn the_number_of_unknown_types_is_bounded() {
    let mut stream = open_delta(&shop("1"));
    for number in 0..100 {
        let mut request = delta(CDS);
        request.type_url = format!("type.googleapis.com/none.{number}");
        say(&mut stream, &request);
    }
    assert_eq!(drain(&mut stream, 0).len(), 32);
}

#[test]
fn a_request_without_a_type_ends_the_stream() {
    let mut stream = open_delta(&shop("1"));
    let request = DeltaDiscoveryRequest::default();
    assert_eq!(stream.on_request(&request, 0), Err(Violation::NoType));
}

#[test]
fn too_many_names_end_the_stream() {
    let mut stream = open_delta(&shop("1"));
    let list: Vec<String> = (0..=2 * NAME_LIMIT).map(|n| n.to_string()).collect();
    let request = DeltaDiscoveryRequest {
        resource_names_subscribe: list,
        ..delta(EDS)
    };
    assert_eq!(stream.on_request(&request, 0), Err(Violation::TooManyNames));
}

#[test]
fn the_grant_goes_first_and_only_to_those_who_ask() {
    let grant = ResourceType::RemovalGrant;
    let target = view(&[(grant, "removal-grant", "9", &[]), (CDS, "api", "1", &[])]);
    let mut stream = open_delta(&target);
    say(&mut stream, &delta(CDS));
    assert_eq!(told_all(&mut stream, 0), ["Cluster +api=1"]);
    let mut stream = open_delta(&target);
    say(&mut stream, &delta(CDS));
    say(&mut stream, &subscribe(grant, &["removal-grant"]));
    assert_eq!(
        told_all(&mut stream, 0),
        ["RemovalGrant +removal-grant=9", "Cluster +api=1"]
    );
}

#[test]
fn large_answers_are_split_and_complete() {
    let mut big = View::default();
    let encodings = big.resources.entry(EDS).or_default();
    for number in 0..10 {
        let encoded = Encoded {
            version: "1".to_owned(),
            value: Bytes::from(vec![0; 1_000_000]),
            needs: Vec::new(),
        };
        encodings.insert(format!("e{number}"), Arc::new(encoded));
    }
    let mut stream = open_delta(&Arc::new(big));
    say(&mut stream, &subscribe(EDS, &["*"]));
    let mut seen = 0;
    while let Some(response) = stream.next(0) {
        assert!(response.size() < 4 << 20);
        seen += response.resources.len();
        say(&mut stream, &ack(&response));
    }
    assert_eq!(seen, 10);
}
