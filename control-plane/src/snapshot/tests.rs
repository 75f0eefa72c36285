use serde_json::{Value, json};

use super::*;
use crate::compile::compile;
use crate::model::check;
use crate::model::samples::{shop, state};

fn config(values: &[Value]) -> ConfigSet {
    compile(&check(&state(values)).unwrap())
}

/// Two listeners, each with a cluster; one cluster without a route.
fn two_sites(groups: &[Value]) -> ConfigSet {
    let mut values = vec![];
    for (port, name) in ["a", "b", "unused"].into_iter().enumerate() {
        values.push(json!({"name": name, "cluster": {"endpoints": {"static": [
            {"address": format!("127.0.0.1:{}", 9000 + port)}]}}}));
    }
    for (port, name) in ["a", "b"].into_iter().enumerate() {
        let address = format!("127.0.0.1:{}", 8000 + port);
        values.push(json!({"name": name, "listener": {"address": address}}));
        values.push(json!({"name": name, "route": {
            "listeners": [name], "rules": [{"clusters": [{"name": name}]}]}}));
    }
    values.extend_from_slice(groups);
    config(&values)
}

fn node(cluster: &str) -> NodeIdentity {
    NodeIdentity {
        cluster: cluster.to_owned(),
        ..NodeIdentity::default()
    }
}

fn view(snapshot: &Snapshot, node: &NodeIdentity) -> Arc<View> {
    snapshot.view(node, None).unwrap()
}

fn names(view: &View, kind: ResourceType) -> Vec<&str> {
    let encodings = view.resources.get(&kind);
    encodings.map_or_else(Vec::new, |encodings| {
        encodings.keys().map(String::as_str).collect()
    })
}

#[test]
fn a_resource_keeps_its_encoding_exactly_while_its_version_stays() {
    let mut state = shop();
    let old_config = compile(&check(&state).unwrap());
    let first = Snapshot::build(1, 0, &old_config, None);
    state.retain(|key, _| key.name != "fallback");
    let config = compile(&check(&state).unwrap());
    let second = Snapshot::build(2, 0, &config, Some((&old_config, &first)));

    let (mut kept, mut changed) = (0, 0);
    for (kind, encodings) in &second.all.resources {
        for (name, new) in encodings {
            let old = first.all.get(*kind, name).unwrap();
            assert_eq!(Arc::ptr_eq(old, new), old.version == new.version, "{name}");
            assert_eq!(old.version == new.version, old.value == new.value, "{name}");
            *(if Arc::ptr_eq(old, new) {
                &mut kept
            } else {
                &mut changed
            }) += 1;
        }
    }
    assert!(kept > 0 && changed > 0, "{kept} kept, {changed} changed");
    assert_eq!(second.all, Snapshot::build(2, 0, &config, None).all);
    let kept = second.all.get(ResourceType::Cluster, "api").unwrap();
    let before = first.all.get(ResourceType::Cluster, "api").unwrap();
    assert!(Arc::ptr_eq(kept, before));
}

#[test]
fn a_resource_names_what_it_needs() {
    let snapshot = Snapshot::build(1, 0, &compile(&check(&shop()).unwrap()), None);
    let needs = |kind, name: &str| snapshot.all.get(kind, name).unwrap().needs.clone();
    let text = str::to_owned;

    assert_eq!(
        needs(ResourceType::Listener, "edge"),
        [(ResourceType::RouteTable, text("edge"))]
    );
    assert_eq!(
        needs(ResourceType::RouteTable, "edge"),
        ["api", "api-canary", "pages"].map(|name| (ResourceType::Cluster, text(name)))
    );
    assert_eq!(
        needs(ResourceType::Cluster, "api"),
        [(ResourceType::Assignment, text("api-hosts"))]
    );
    assert_eq!(
        needs(ResourceType::Cluster, "pages"),
        [(ResourceType::Assignment, text("static/pages"))]
    );
}

#[test]
fn without_groups_every_proxy_gets_everything() {
    let snapshot = Snapshot::build(1, 0, &two_sites(&[]), None);
    let view = view(&snapshot, &node("anything"));

    assert!(Arc::ptr_eq(&view, &snapshot.all));
    assert_eq!(names(&view, ResourceType::Cluster), ["a", "b", "unused"]);
}

#[test]
fn with_groups_a_proxy_gets_the_listeners_of_its_groups_and_what_they_need() {
    let groups = [
        json!({"name": "one", "proxyGroup": {"selector": {"cluster": "one"}, "listeners": ["a"]}}),
        json!({"name": "all", "proxyGroup": {"selector": {"metadata": {"all": "yes"}},
            "listeners": ["a", "b"]}}),
    ];
    let snapshot = Snapshot::build(1, 0, &two_sites(&groups), None);

    let one = view(&snapshot, &node("one"));
    assert_eq!(names(&one, ResourceType::Listener), ["a"]);
    assert_eq!(names(&one, ResourceType::RouteTable), ["a"]);
    assert_eq!(names(&one, ResourceType::Cluster), ["a"]);
    assert_eq!(names(&one, ResourceType::Assignment), ["static/a"]);

    let mut both = node("one");
    both.metadata.insert("all".to_owned(), "yes".to_owned());
    assert_eq!(
        names(&view(&snapshot, &both), ResourceType::Cluster),
        ["a", "b"]
    );

    let none = view(&snapshot, &node("other"));
    assert_eq!(*none, View::default());
}

#[test]
fn proxies_of_the_same_groups_share_a_view() {
    let groups =
        [json!({"name": "g", "proxyGroup": {"selector": {"cluster": "one"}, "listeners": ["a"]}})];
    let snapshot = Snapshot::build(1, 0, &two_sites(&groups), None);
    let mut other = node("one");
    other.id = "other".to_owned();

    assert!(Arc::ptr_eq(
        &view(&snapshot, &node("one")),
        &view(&snapshot.clone(), &other)
    ));
}

#[test]
fn a_confirmed_removal_is_in_every_view() {
    let groups =
        [json!({"name": "g", "proxyGroup": {"selector": {"cluster": "one"}, "listeners": ["a"]}})];
    let granted = Snapshot::build(7, 5, &two_sites(&groups), None);
    let without = Snapshot::build(7, 0, &two_sites(&groups), None);
    let kind = ResourceType::RemovalGrant;

    for cluster in ["one", "other"] {
        let with = view(&granted, &node(cluster));
        assert_eq!(names(&with, kind), ["removal-grant"]);
        assert_eq!(names(&view(&without, &node(cluster)), kind), [""; 0]);
    }
    assert_eq!(names(&granted.all, kind), ["removal-grant"]);
}
