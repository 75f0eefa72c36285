use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::Resource as Wrapper;
use envoy_types::pb::google::protobuf::Any;
use evenkeel_shared::xds::Resource;
use prost::Message;

mod secrets;

use super::nack::bounded;
use super::read::MAX_RESOURCE_BYTES;
use super::*;
use crate::xds::sample::{assignment, cluster, listener, response, table, wrap};

const CDS: ResourceType = ResourceType::Cluster;
const EDS: ResourceType = ResourceType::Assignment;
const LDS: ResourceType = ResourceType::Listener;
const RDS: ResourceType = ResourceType::RouteTable;

fn clusters(names: &[&str]) -> Vec<Resource> {
    let each = names.iter().map(|name| Resource::Cluster(cluster(name)));
    each.collect()
}

fn endpoints(names: &[&str], ports: &[u16]) -> Vec<Resource> {
    let each = names
        .iter()
        .map(|name| Resource::Assignment(assignment(name, ports)));
    each.collect()
}

fn connected() -> Session {
    let mut session = Session::new(Node::default());
    session.connect(Tick(0));
    session
}

/// Takes a response in and returns what is sent.
fn take(session: &mut Session, response: DeltaDiscoveryResponse) -> Vec<DeltaDiscoveryRequest> {
    let step = session.receive(response);
    session.commit(step, Tick(0))
}

/// The text of the NACK among the requests.
fn nack(requests: &[DeltaDiscoveryRequest]) -> Option<&str> {
    let detail = requests.iter().find_map(|r| r.error_detail.as_ref())?;
    Some(detail.message.as_str())
}

fn names(session: &Session) -> Vec<&str> {
    let active = session.active().clusters.keys();
    active
        .map(evenkeel_shared::names::ClusterName::as_str)
        .collect()
}

/// A session in which a listener leads to these clusters, each with as many
/// endpoints.
fn serving(names: &[&str], ports: &[u16]) -> Session {
    let mut session = connected();
    take(&mut session, response(CDS, 1, &clusters(names), &[]));
    take(
        &mut session,
        response(EDS, 1, &endpoints(names, ports), &[]),
    );
    let edge = [Resource::Listener(listener("edge", 8080))];
    take(&mut session, response(LDS, 1, &edge, &[]));
    let routes = [Resource::RouteTable(table("edge", names))];
    let sent = take(&mut session, response(RDS, 1, &routes, &[]));
    assert_eq!(nack(&sent), None);
    session
}

#[test]
fn a_stream_begins_with_the_wildcards_and_the_node() {
    let node = Node {
        id: "edge-1".to_owned(),
        ..Node::default()
    };
    let requests = Session::new(node).connect(Tick(0));
    let types: Vec<_> = requests
        .iter()
        .map(|r| ResourceType::from_type_url(&r.type_url).unwrap())
        .collect();
    assert_eq!(types, [ResourceType::RemovalGrant, CDS, LDS]);
    assert_eq!(requests[0].node.as_ref().unwrap().id, "edge-1");
    assert!(requests[1..].iter().all(|r| r.node.is_none()));
    assert!(requests[1].resource_names_subscribe.is_empty());
}

#[test]
fn a_cluster_waits_for_its_endpoints() {
    let mut session = connected();
    let sent = take(&mut session, response(CDS, 1, &clusters(&["api"]), &[]));
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0].response_nonce, "1");
    assert!(sent[0].error_detail.is_none());
    assert_eq!(sent[1].type_url, EDS.type_url());
    assert_eq!(sent[1].resource_names_subscribe, ["api"]);
    assert!(names(&session).is_empty());

    take(
        &mut session,
        response(EDS, 1, &endpoints(&["api"], &[1]), &[]),
    );
    assert_eq!(names(&session), ["api"]);
}

#[test]
fn names_are_asked_for_in_one_request() {
    let mut session = connected();
    let sent = take(
        &mut session,
        response(CDS, 1, &clusters(&["a", "b", "c"]), &[]),
    );
    assert_eq!(sent[1].resource_names_subscribe, ["a", "b", "c"]);
    let sent = take(&mut session, response(CDS, 2, &clusters(&["d"]), &["b"]));
    assert_eq!(sent[1].resource_names_subscribe, ["d"]);
    assert_eq!(sent[1].resource_names_unsubscribe, ["b"]);
}

#[test]
fn a_missing_assignment_is_awaited_for_fifteen_seconds() {
    let mut session = connected();
    take(&mut session, response(CDS, 1, &clusters(&["api"]), &[]));
    assert_eq!(session.next_deadline(), Some(Tick(0).plus(MISSING_AFTER)));
    assert!(
        session
            .expire(Tick(0).plus(Duration::from_secs(14)))
            .is_none()
    );
    let step = session.expire(Tick(0).plus(MISSING_AFTER)).unwrap();
    session.commit(step, Tick(0).plus(MISSING_AFTER));
    assert_eq!(names(&session), ["api"]);
    assert!(session.active().clusters["api"].assignment.is_none());
    assert_eq!(session.next_deadline(), None);
}

#[test]
fn no_timer_runs_while_disconnected() {
    let mut session = connected();
    take(&mut session, response(CDS, 1, &clusters(&["api"]), &[]));
    session.disconnect();
    assert_eq!(session.next_deadline(), None);
    session.connect(Tick(7));
    assert_eq!(session.next_deadline(), Some(Tick(7).plus(MISSING_AFTER)));
}

#[test]
fn an_assignment_said_to_be_missing_is_not_awaited() {
    let mut session = connected();
    take(&mut session, response(CDS, 1, &clusters(&["api"]), &[]));
    take(&mut session, response(EDS, 1, &[], &["api"]));
    assert_eq!(names(&session), ["api"]);
}

#[test]
fn a_changed_cluster_keeps_its_endpoints() {
    let mut session = serving(&["api"], &[1, 2]);
    let mut changed = cluster("api");
    changed.breakers.requests = 7;
    take(
        &mut session,
        response(CDS, 2, &[Resource::Cluster(changed)], &[]),
    );
    let active = &session.active().clusters["api"];
    assert_eq!(active.spec.breakers.requests, 7);
    assert_eq!(active.assignment.as_ref().unwrap().endpoints.len(), 2);
}

#[test]
fn a_listener_waits_for_its_routes_and_the_old_one_serves_meanwhile() {
    let mut session = serving(&["api"], &[1]);
    let mut changed = listener("edge", 8081);
    changed.routes = evenkeel_shared::ir::RouteSource::Named("other".into());
    let sent = take(
        &mut session,
        response(LDS, 2, &[Resource::Listener(changed)], &[]),
    );
    assert_eq!(sent[1].resource_names_subscribe, ["other"]);
    assert!(sent[1].resource_names_unsubscribe.is_empty());
    assert_eq!(session.active().listeners["edge"].spec.address.port(), 8080);

    let routes = [Resource::RouteTable(table("other", &["api"]))];
    let sent = take(&mut session, response(RDS, 2, &routes, &[]));
    assert_eq!(session.active().listeners["edge"].spec.address.port(), 8081);
    assert_eq!(sent[1].resource_names_unsubscribe, ["edge"]);
}

#[test]
fn good_siblings_live_and_one_nack_names_all_that_is_bad() {
    let mut session = serving(&["a", "b"], &[1]);
    let mut good = cluster("a");
    good.breakers.requests = 7;
    let mut pushed = response(CDS, 2, &[Resource::Cluster(good)], &[]);
    for name in ["b", "c"] {
        pushed.resources.push(Wrapper {
            name: name.to_owned(),
            version: "bad".to_owned(),
            resource: Some(Any {
                type_url: CDS.type_url().to_owned(),
                value: vec![0xff],
            }),
            ..Wrapper::default()
        });
    }
    let sent = take(&mut session, pushed);
    let text = nack(&sent).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("Cluster/b: "), "{text}");
    assert!(lines[1].starts_with("Cluster/c: "), "{text}");
    assert_eq!(sent[0].error_detail.as_ref().unwrap().code, 3);
    assert_eq!(session.active().clusters["a"].spec.breakers.requests, 7);
    assert_eq!(names(&session), ["a", "b"]);
    assert_eq!(session.rejected().len(), 2);

    let sent = take(&mut session, response(CDS, 3, &clusters(&["b"]), &["c"]));
    assert_eq!(nack(&sent), None);
    assert!(session.rejected().is_empty());
}

#[test]
fn only_accepted_versions_are_told_when_it_reconnects() {
    let mut session = serving(&["api"], &[1]);
    let held = wrap(&Resource::Cluster(cluster("api"))).version;
    let mut pushed = response(CDS, 2, &[], &[]);
    pushed.resources.push(Wrapper {
        name: "api".to_owned(),
        version: "bad".to_owned(),
        resource: Some(Any {
            type_url: CDS.type_url().to_owned(),
            value: vec![0xff],
        }),
        ..Wrapper::default()
    });
    take(&mut session, pushed);
    session.disconnect();
    let requests = session.connect(Tick(0));
    let cds = requests.iter().find(|r| r.type_url == CDS.type_url());
    assert_eq!(cds.unwrap().initial_resource_versions["api"], held);
    let eds = requests.iter().find(|r| r.type_url == EDS.type_url());
    assert_eq!(eds.unwrap().resource_names_subscribe, ["api"]);
    assert!(eds.unwrap().initial_resource_versions.contains_key("api"));
    assert_eq!(names(&session), ["api"]);
}

#[test]
fn a_name_that_occurs_twice_is_refused() {
    let mut session = connected();
    let twice = clusters(&["a", "a", "b"]);
    let sent = take(&mut session, response(CDS, 1, &twice, &[]));
    assert!(
        nack(&sent)
            .unwrap()
            .contains("Cluster/a: name: occurs twice")
    );
    assert!(session.held().get(CDS, "a").is_none());
    assert!(session.held().get(CDS, "b").is_some());
}

#[test]
fn a_resource_must_bear_the_name_of_its_wrapper() {
    let mut session = connected();
    let mut pushed = response(CDS, 1, &clusters(&["a"]), &[]);
    pushed.resources[0].name = "b".to_owned();
    let sent = take(&mut session, pushed);
    assert!(nack(&sent).unwrap().starts_with("Cluster/b: name: "));
}

#[test]
fn a_wrapper_inside_the_wrapper_is_taken_off() {
    let mut session = connected();
    let mut pushed = response(CDS, 1, &[], &[]);
    pushed.resources.push(Wrapper {
        resource: Some(Any {
            type_url: "type.googleapis.com/envoy.service.discovery.v3.Resource".to_owned(),
            value: wrap(&clusters(&["a"])[0]).encode_to_vec(),
        }),
        ..Wrapper::default()
    });
    assert_eq!(nack(&take(&mut session, pushed)), None);
    assert!(session.held().get(CDS, "a").is_some());
}

#[test]
fn a_huge_resource_and_a_huge_name_are_refused() {
    let mut session = connected();
    let mut pushed = response(CDS, 1, &clusters(&["a"]), &[]);
    pushed.resources[0].resource.as_mut().unwrap().value = vec![0; MAX_RESOURCE_BYTES + 1];
    pushed.resources.push(Wrapper {
        name: "n".repeat(100_000),
        ..Wrapper::default()
    });
    let sent = take(&mut session, pushed);
    let text = nack(&sent).unwrap();
    assert!(text.contains("Cluster/a: is 67108865 bytes long"), "{text}");
    assert!(text.len() <= MAX_NACK_BYTES);
    assert!(session.held().get(CDS, "a").is_none());
}

#[test]
fn a_nack_is_bounded_and_says_how_many_faults_it_leaves_out() {
    let lines: Vec<String> = (0..1_000).map(|n| format!("Cluster/c{n}: wrong")).collect();
    let text = bounded(&lines);
    assert!(text.len() <= MAX_NACK_BYTES);
    let shown = text.lines().count() - 1;
    assert!(text.ends_with(&format!("and {} more", 1_000 - shown)));
}

#[test]
fn a_type_that_was_not_asked_for_is_refused() {
    let mut session = connected();
    let mut pushed = response(CDS, 1, &[], &[]);
    pushed.type_url = "type.googleapis.com/other".to_owned();
    assert!(nack(&take(&mut session, pushed)).is_some());
}

#[test]
fn unsolicited_endpoints_are_ignored() {
    let mut session = connected();
    let sent = take(
        &mut session,
        response(EDS, 1, &endpoints(&["x"], &[1]), &[]),
    );
    assert_eq!(nack(&sent), None);
    assert!(session.held().get(EDS, "x").is_none());
}

#[test]
fn an_empty_push_is_held_and_nothing_of_it_applies() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    let sent = take(&mut session, response(CDS, 2, &[], &["a", "b", "c"]));
    assert_eq!(
        nack(&sent),
        Some("held: would remove 3 of 3 clusters in use; confirm with apply --allow-mass-removal")
    );
    assert_eq!(names(&session), ["a", "b", "c"]);
    assert!(session.pending().is_some());

    let thawed = take(&mut session, response(CDS, 3, &clusters(&["a", "b"]), &[]));
    assert_eq!(nack(&thawed), None);
    assert_eq!(names(&session), ["a", "b"]);
    assert!(session.pending().is_none());
}

#[test]
fn additions_beside_a_mass_removal_apply() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    take(
        &mut session,
        response(CDS, 2, &clusters(&["new"]), &["a", "b"]),
    );
    assert!(session.held().get(CDS, "new").is_some());
    assert!(session.held().get(CDS, "a").is_some());
}

#[test]
fn losing_most_endpoints_is_held() {
    let mut session = serving(&["a"], &[1, 2, 3, 4]);
    let sent = take(
        &mut session,
        response(EDS, 2, &endpoints(&["a"], &[1]), &[]),
    );
    assert!(nack(&sent).unwrap().contains("3 of 4 endpoints"));
    let kept = &session.active().clusters["a"].assignment;
    assert_eq!(kept.as_ref().unwrap().endpoints.len(), 4);
}

#[test]
fn routes_that_leave_most_clusters_are_held() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    let emptied = [Resource::RouteTable(table("edge", &[]))];
    assert!(nack(&take(&mut session, response(RDS, 2, &emptied, &[]))).is_some());
    let sent = take(&mut session, response(LDS, 2, &[], &["edge"]));
    assert!(nack(&sent).is_some());
    assert!(session.active().listeners.contains_key("edge"));
}

#[test]
fn traffic_may_move_to_another_cluster() {
    let mut session = serving(&["blue"], &[1]);
    take(&mut session, response(CDS, 2, &clusters(&["green"]), &[]));
    take(
        &mut session,
        response(EDS, 2, &endpoints(&["green"], &[2]), &[]),
    );
    let moved = [Resource::RouteTable(table("edge", &["green"]))];
    assert_eq!(
        nack(&take(&mut session, response(RDS, 2, &moved, &[]))),
        None
    );
    assert_eq!(
        nack(&take(&mut session, response(CDS, 2, &[], &["blue"]))),
        None
    );
    assert_eq!(names(&session), ["green"]);
}

#[test]
fn a_grant_lets_the_revision_it_names_remove_much() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    let grant = [Resource::RemovalGrant { revision: 2 }];
    take(
        &mut session,
        response(ResourceType::RemovalGrant, 2, &grant, &[]),
    );
    let sent = take(&mut session, response(CDS, 2, &[], &["a", "b", "c"]));
    assert_eq!(nack(&sent), None);
    assert!(names(&session).is_empty());
}

#[test]
fn a_grant_of_an_earlier_revision_is_used_up() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    let grant = [Resource::RemovalGrant { revision: 2 }];
    take(
        &mut session,
        response(ResourceType::RemovalGrant, 2, &grant, &[]),
    );
    take(&mut session, response(CDS, 3, &clusters(&["d"]), &[]));
    let sent = take(&mut session, response(CDS, 3, &[], &["a", "b", "c"]));
    assert!(nack(&sent).is_some());
}

#[test]
fn a_later_grant_thaws_what_is_held() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    take(&mut session, response(CDS, 2, &[], &["a", "b", "c"]));
    let grant = [Resource::RemovalGrant { revision: 3 }];
    let sent = take(
        &mut session,
        response(ResourceType::RemovalGrant, 3, &grant, &[]),
    );
    assert_eq!(nack(&sent), None);
    assert!(names(&session).is_empty());
    let again = sent.iter().find(|r| r.type_url == CDS.type_url());
    assert_eq!(again.unwrap().resource_names_subscribe, ["a", "b", "c"]);
}

#[test]
fn a_person_may_confirm_what_is_held() {
    let mut session = serving(&["a", "b", "c"], &[1]);
    assert!(session.confirm().is_none());
    take(&mut session, response(CDS, 2, &[], &["a", "b", "c"]));
    let step = session.confirm().unwrap();
    session.commit(step, Tick(0));
    assert!(names(&session).is_empty());
    assert!(session.pending().is_none());
}

#[test]
fn what_cannot_be_built_keeps_its_last_good_value() {
    let mut session = serving(&["a"], &[1]);
    let moved = [Resource::Listener(listener("edge", 9))];
    let mut step = session.receive(response(LDS, 2, &moved, &[]));
    let fault = Invalid::new("address", "cannot bind 127.0.0.1:9: permission denied");
    assert!(step.reject(&Key::new(LDS, "edge"), vec![fault]));
    let sent = session.commit(step, Tick(0));
    let expected = "Listener/edge: address: cannot bind 127.0.0.1:9: permission denied";
    assert_eq!(nack(&sent), Some(expected));
    assert_eq!(session.active().listeners["edge"].spec.address.port(), 8080);
}

fn edge_names(requests: &[DeltaDiscoveryRequest]) -> Vec<&str> {
    let listeners = requests.iter().filter(|r| r.type_url == LDS.type_url());
    listeners
        .flat_map(|r| r.resource_names_subscribe.iter().map(String::as_str))
        .collect()
}

/// A session whose listener was to move to a port that is not free.
fn blocked() -> Session {
    let mut session = serving(&["a"], &[1]);
    let moved = [Resource::Listener(listener("edge", 9))];
    let mut step = session.receive(response(LDS, 2, &moved, &[]));
    assert!(step.put_off(
        &Key::new(LDS, "edge"),
        vec![Invalid::new("address", "in use")]
    ));
    let sent = session.commit(step, Tick(0));
    assert_eq!(nack(&sent), Some("Listener/edge: address: in use"));
    session
}

#[test]
fn a_listener_whose_address_comes_free_is_accepted_and_asked_for_again() {
    let mut session = blocked();
    assert!(session.retry(&[]).is_none());
    let free: Vec<Key> = session.unbound().map(|(key, _)| key.clone()).collect();
    let step = session.retry(&free).unwrap();
    let sent = session.commit(step, Tick(1));
    assert_eq!(edge_names(&sent), ["edge"]);
    assert_eq!(nack(&sent), None);
    assert!(session.rejected().is_empty());
    assert_eq!(session.unbound().count(), 0);
    assert_eq!(session.active().listeners["edge"].spec.address.port(), 9);
}

#[test]
fn an_address_that_is_taken_again_is_tried_again() {
    let mut session = blocked();
    let key = Key::new(LDS, "edge");
    let mut step = session.retry(std::slice::from_ref(&key)).unwrap();
    step.put_off(&key, vec![Invalid::new("address", "in use again")]);
    let sent = session.commit(step, Tick(1));
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(session.unbound().count(), 1);
    assert_eq!(session.rejected()[&key].faults[0].reason, "in use again");
    assert_eq!(session.active().listeners["edge"].spec.address.port(), 8080);
}

#[test]
fn a_newer_word_or_a_new_stream_forgets_what_could_not_be_bound() {
    let mut session = blocked();
    let back = [Resource::Listener(listener("edge", 8080))];
    take(&mut session, response(LDS, 3, &back, &[]));
    assert_eq!(session.unbound().count(), 0);
    let mut session = blocked();
    take(&mut session, response(LDS, 3, &[], &["edge"]));
    assert_eq!(session.unbound().count(), 0);
    let mut session = blocked();
    session.connect(Tick(1));
    assert_eq!(session.unbound().count(), 0);
}
