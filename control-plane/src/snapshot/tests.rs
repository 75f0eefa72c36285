use serde_json::{Value, json};

use super::*;
use crate::compile::compile;
use crate::compile::secret::Opened;
use crate::model::check;
use crate::model::samples::{shop, state};
use crate::seal::Seal;
use crate::store::ResourceKey;

fn config(values: &[Value]) -> ConfigSet {
    compile(&check(&state(values)).unwrap(), Opened::default())
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
    let old_config = compile(&check(&state).unwrap(), Opened::default());
    let first = Snapshot::build(1, 0, &old_config, None);
    state.retain(|key, _| key.name != "fallback");
    let config = compile(&check(&state).unwrap(), Opened::default());
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
    let snapshot = Snapshot::build(
        1,
        0,
        &compile(&check(&shop()).unwrap(), Opened::default()),
        None,
    );
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
fn a_view_knows_what_changed_since_the_one_before_with_groups_and_without() {
    let group =
        json!({"name": "g", "proxyGroup": {"selector": {"cluster": "one"}, "listeners": ["a"]}});
    for groups in [vec![], vec![group]] {
        let old = two_sites(&groups);
        let mut new = old.clone();
        new.assignments
            .retain(|name, _| name.as_str() != "static/b");
        for (name, assignment) in &mut new.assignments {
            if name.as_str() == "static/a" {
                assignment.endpoints.clear();
            }
        }
        let first = Snapshot::build(1, 0, &old, None);
        let before = view(&first, &node("one"));
        let second = Snapshot::build(2, 0, &new, Some((&old, &first)));
        let after = view(&second, &node("one"));
        let mut changes = after.changes_since(&before).unwrap().iter();
        let (kind, changes_of_one) = changes.next().unwrap();
        assert_eq!((*kind, changes.next()), (ResourceType::Assignment, None));
        assert_eq!(changes_of_one.set, ["static/a"]);
        let gone: &[&str] = if groups.is_empty() {
            &["static/b"]
        } else {
            &[]
        };
        assert_eq!(changes_of_one.gone, gone);
        let late = Snapshot::build(3, 0, &new, Some((&new, &second)));
        let latest = view(&late, &node("one"));
        assert!(latest.changes_since(&after).unwrap().is_empty());
        assert!(latest.changes_since(&before).is_none());
    }
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

/// A site of its own listener, cluster and secrets, and a secret that nobody
/// needs.
fn secured_sites(groups: &[Value], key: &str) -> ConfigSet {
    let mut values = vec![];
    for (port, name) in ["a", "b"].into_iter().enumerate() {
        let (listen, host) = (8000 + port, 9000 + port);
        let (edge, ca) = (format!("{name}-edge"), format!("{name}-ca"));
        values.push(json!({"name": edge, "secret": {"certificate": {
            "chain": {"inline": key}, "privateKey": {"inline": key}}}}));
        values.push(json!({"name": ca, "secret": {"trust": {
            "certificates": {"file": "/ca.crt"}}}}));
        values.push(
            json!({"name": name, "listener": {"address": format!("127.0.0.1:{listen}"),
            "tls": {"certificates": [edge]}}}),
        );
        values.push(json!({"name": name, "cluster": {"endpoints": {"static": [
            {"address": format!("127.0.0.1:{host}")}]}, "tls": {"serverName": "x", "trust": ca}}}));
        values.push(json!({"name": name, "route": {
            "listeners": [name], "rules": [{"clusters": [{"name": name}]}]}}));
    }
    values.push(json!({"name": "unused", "secret": {"certificate": {
        "chain": {"inline": key}, "privateKey": {"inline": key}}}}));
    values.extend_from_slice(groups);
    let seal = Seal::new(&[1; 32]).unwrap();
    let resources = state(&values).into_values().collect();
    let sealed = seal.admit(resources).unwrap().settle(&BTreeMap::new());
    let sealed = sealed.into_iter().map(|one| (ResourceKey::of(&one), one));
    let model = check(&sealed.collect()).unwrap();
    let opened = secret::open(&model, &seal).unwrap();
    compile(&model, opened)
}

#[test]
fn a_proxy_gets_only_the_secrets_that_its_listeners_and_clusters_name() {
    let groups =
        [json!({"name": "g", "proxyGroup": {"selector": {"cluster": "one"}, "listeners": ["a"]}})];
    let grouped = Snapshot::build(1, 0, &secured_sites(&groups, "x"), None);
    let one = view(&grouped, &node("one"));
    assert_eq!(names(&one, ResourceType::Secret), ["a-ca", "a-edge"]);
    assert_eq!(*view(&grouped, &node("other")), View::default());

    let all = Snapshot::build(1, 0, &secured_sites(&[], "x"), None);
    assert_eq!(
        names(&view(&all, &node("one")), ResourceType::Secret),
        ["a-ca", "a-edge", "b-ca", "b-edge"]
    );
}

#[test]
fn nothing_of_a_secret_is_printed() {
    let config = secured_sites(&[], "canary");
    let snapshot = Snapshot::build(1, 0, &config, None);
    for text in [format!("{config:?}"), format!("{snapshot:?}")] {
        assert!(
            text.contains("a-edge") && !text.contains("canary"),
            "{text}"
        );
        // As numbers.
        assert!(!text.contains("99, 97, 110"), "{text}");
    }
}

#[test]
fn a_secret_that_changed_gets_a_new_version_and_nothing_else_does() {
    let old_config = secured_sites(&[], "x");
    let old = Snapshot::build(1, 0, &old_config, None);
    let new = Snapshot::build(2, 0, &secured_sites(&[], "y"), Some((&old_config, &old)));
    for (kind, encodings) in &new.all.resources {
        for (name, encoded) in encodings {
            let before = old.all.get(*kind, name).unwrap();
            let stays = !name.ends_with("-edge");
            assert_eq!(Arc::ptr_eq(encoded, before), stays, "{name}");
            assert_eq!(encoded.version == before.version, stays, "{name}");
        }
    }
}
