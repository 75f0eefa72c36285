//! What is right is read as it was meant.

use crate::document::{read, read_all};
use crate::proto::v1;
use crate::proto::v1::resource::Spec;

fn one(text: &str) -> v1::Resource {
    let documents = read("shop.yaml", text).unwrap();
    assert_eq!(documents.len(), 1);
    documents.into_iter().next().unwrap().resource
}

fn route(text: &str) -> v1::Route {
    match one(text).spec {
        Some(Spec::Route(route)) => route,
        other => panic!("not a route: {other:?}"),
    }
}

#[test]
fn documents_become_resources() {
    let text = "\
# a comment
---
kind: Listener
name: edge
spec: {address: \"0.0.0.0:8080\", protocol: HTTP1, timeouts: {idle: 1.5s}}
---
kind: Cluster
name: api
spec:
  endpoints: {static: [{address: \"127.0.0.1:9001\", weight: 2}]}
  loadBalancer:
    leastRequest:
...
";
    let documents = read("shop.yaml", text).unwrap();
    let ids: Vec<&str> = documents.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["Listener/edge", "Cluster/api"]);
    let Some(Spec::Listener(listener)) = &documents[0].resource.spec else {
        panic!("a listener");
    };
    assert_eq!(listener.protocol(), v1::ListenerProtocol::Http1);
    assert_eq!(
        listener.timeouts.unwrap().idle,
        Some(prost_types::Duration {
            seconds: 1,
            nanos: 500_000_000
        })
    );
    let Some(Spec::Cluster(cluster)) = &documents[1].resource.spec else {
        panic!("a cluster");
    };
    assert_eq!(
        cluster.load_balancer.unwrap().policy,
        Some(v1::load_balancer::Policy::LeastRequest(
            v1::LeastRequest::default()
        ))
    );
    assert_eq!(
        cluster.endpoints.as_ref().unwrap().r#static[0].weight,
        Some(2)
    );
}

#[test]
fn json_is_read_like_yaml() {
    let text = "{\n\t\"kind\": \"Route\",\n\t\"name\": \"shop\",\n\t\"spec\": {\"listeners\": [\"edge\"], \
                \"rules\": [{\"respond\": {\"status\": 200, \"body\": \"\\u00e9\\n\\ud83d\\ude00\"}}]}\n}\n";
    let route = route(text);
    let respond = route.rules[0].respond.as_ref().unwrap();
    assert_eq!((respond.status, respond.body.as_str()), (200, "é\n😀"));
}

#[test]
fn a_list_holds_documents() {
    let text = r#"{"kind": "List", "items": [
        {"kind": "Endpoints", "name": "a", "spec": {}},
        {"kind": "Endpoints", "name": "b", "spec": null}]}"#;
    let documents = read("all.json", text).unwrap();
    let ids: Vec<&str> = documents.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["Endpoints/a", "Endpoints/b"]);
}

#[test]
fn both_spellings_and_full_enum_names_are_accepted() {
    let text = "kind: Cluster\nname: c\nspec:\n  load_balancer: {round_robin: {}, panicThreshold: 1e1}\n  \
                protocol: CLUSTER_PROTOCOL_HTTP2\n  outlierDetection: {consecutive5xx: 0x10}\n";
    let Some(Spec::Cluster(cluster)) = one(text).spec else {
        panic!("a cluster");
    };
    assert_eq!(cluster.protocol(), v1::ClusterProtocol::Http2);
    assert_eq!(cluster.load_balancer.unwrap().panic_threshold, Some(10.0));
    assert_eq!(cluster.outlier_detection.unwrap().consecutive_5xx, Some(16));
}

#[test]
fn yes_and_on_are_text_as_in_yaml_1_2() {
    let route = route(
        "kind: Route\nname: r\nspec:\n  hostnames: [yes, on, !!str 12]\n  rules: [{retry: {on: [5xx]}}]\n",
    );
    assert_eq!(route.hostnames, ["yes", "on", "12"]);
    assert_eq!(route.rules[0].retry.as_ref().unwrap().on, ["5xx"]);
}

#[test]
fn an_empty_member_of_a_group_is_set() {
    let route = route(
        "kind: Route\nname: r\nspec: {rules: [{matches: [{path: {prefix: \"\"}}], rateLimit: {tokens: 1, key: {clientAddress: }}}]}\n",
    );
    let path = route.rules[0].matches[0].path.clone().unwrap();
    assert_eq!(
        path.r#match,
        Some(v1::path_match::Match::Prefix(String::new()))
    );
    let limit = route.rules[0].rate_limit.clone().unwrap();
    assert!(limit.key.unwrap().key.is_some());
}

#[test]
fn aliases_repeat_what_they_name() {
    let route = route(
        "kind: Route\nname: r\nspec:\n  rules:\n  - retry: &retry {retries: 1}\n  - retry: *retry\n",
    );
    assert_eq!(route.rules[0].retry, route.rules[1].retry);
}

#[test]
fn empty_texts_and_empty_documents_hold_nothing() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n---\n",
        "null\n",
        "---\n...\n",
    ] {
        assert_eq!(read("shop.yaml", text).unwrap().len(), 0, "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let text = "\u{feff}kind: Endpoints\r\nname: e\r\nspec:\r\n  endpoints: []\r\n";
    assert_eq!(one(text).name, "e");
}

#[test]
fn good_documents_come_back_beside_the_errors() {
    let text = "kind: Endpoints\nname: a\nspec: {}\n---\nkind: Endpoints\nname: [\n---\nkind: Endpoints\nname: b\nspec: {}\n";
    let reading = read_all("shop.yaml", text);
    let ids: Vec<&str> = reading
        .documents
        .iter()
        .map(|found| found.id.as_str())
        .collect();
    assert_eq!(ids, ["Endpoints/a", "Endpoints/b"]);
    assert_eq!(reading.errors.len(), 1);
    assert!(reading.is_partial);
    assert!(read("shop.yaml", text).is_err());
}

#[test]
fn of_a_damaged_document_comes_back_what_is_right() {
    let text = "\
kind: Route
name: shop
spec:
  listners: [edge]
  hostnames: [a.example, 12, c.example]
  rules:
  - retry: {retries: many, on: [5xx]}
    clusters: [{name: api, weight: -1}]
";
    let reading = read_all("shop.yaml", text);
    assert!(!reading.is_partial);
    let document = &reading.documents[0];
    assert!(document.is_damaged());
    let Some(Spec::Route(route)) = &document.resource.spec else {
        panic!("a route");
    };
    assert_eq!(route.hostnames, ["a.example", "", "c.example"]);
    let retry = route.rules[0].retry.as_ref().unwrap();
    assert_eq!(
        (retry.retries, retry.on.as_slice()),
        (None, &["5xx".to_owned()][..])
    );
    assert_eq!(route.rules[0].clusters[0].name, "api");
    assert_eq!(route.rules[0].clusters[0].weight, None);
    for doubtful in ["listeners", "hostnames[1]", "rules[0].retry", "rules", ""] {
        assert!(document.is_doubtful(doubtful), "{doubtful}");
    }
    for sure in [
        "hostnames[2]",
        "rules[0].retry.on[0]",
        "rules[0].clusters[0].name",
    ] {
        assert!(!document.is_doubtful(sure), "{sure}");
    }
}

#[test]
fn of_a_document_without_a_spec_everything_is_in_doubt() {
    let reading = read_all("shop.yaml", "kind: Cluster\nname: c\n");
    assert!(!reading.is_partial);
    assert_eq!(reading.documents[0].id, "Cluster/c");
    assert!(reading.documents[0].is_doubtful("endpoints"));
}

#[test]
fn what_cannot_be_named_makes_the_reading_partial() {
    for text in [
        "- 5\n",
        "kind: Rout\nname: r\nspec: {}\n",
        "kind: Route\nspec: {}\n",
        "kind: Route\nname: 12\nspec: {}\n",
        "kind: List\n",
        "kind: List\nitems: 5\n",
        "kind: [\n",
    ] {
        assert!(read_all("shop.yaml", text).is_partial, "{text:?}");
    }
}
