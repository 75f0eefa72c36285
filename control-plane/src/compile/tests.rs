use std::collections::BTreeSet;

use evenkeel_shared::ir;
use evenkeel_shared::ir::RetryCondition;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::model::check;
use crate::model::samples::{shop, state, states};

fn compiled(values: &[Value]) -> ConfigSet {
    compile(&check(&state(values)).unwrap(), Opened::default())
}

/// The routes of the only virtual host of the only listener.
fn routes(rules: &Value) -> Vec<ir::Route> {
    let config = compiled(&[
        json!({"name": "l", "listener": {"address": "127.0.0.1:0"}}),
        json!({"name": "c", "cluster": {"endpoints": {}}}),
        json!({"name": "r", "route": {"listeners": ["l"], "rules": rules}}),
    ]);
    let mut tables = config.route_tables.into_values();
    tables.next().unwrap().hosts.remove(0).routes
}

/// Methods and retry conditions of a route.
fn retries(route: &ir::Route) -> (Vec<&str>, Vec<RetryCondition>) {
    let ir::Action::Forward(forward) = &route.action else {
        panic!("does not forward");
    };
    let retry = forward.retry.as_ref();
    (
        route.matches.methods.iter().map(String::as_str).collect(),
        retry.map_or_else(Vec::new, |retry| retry.on.iter().copied().collect()),
    )
}

fn rewrite(route: &ir::Route) -> (&ir::PathMatch, &ir::PathRewrite) {
    let rewrite = match &route.action {
        ir::Action::Forward(forward) => forward.path_rewrite.as_ref(),
        ir::Action::Redirect(redirect) => redirect.path.as_ref(),
        ir::Action::Respond(_) => None,
    };
    (&route.matches.path, rewrite.unwrap())
}

#[test]
fn a_name_travels_with_its_cluster_and_has_no_assignment() {
    let dns = json!({"host": "Cart", "port": 8080, "refresh": "2s"});
    let config = compiled(&[json!({"name": "c", "cluster": {"endpoints": {"dns": dns}}})]);
    let cluster = config.clusters.values().next().unwrap();
    let ir::Discovery::Dns(target) = &cluster.discovery else {
        panic!("is not looked up");
    };
    assert_eq!((target.host.as_str(), target.port), ("cart", 8080));
    assert_eq!(target.refresh.as_secs(), 2);
    assert!(config.assignments.is_empty());
}

#[test]
fn a_shop_compiles_to_what_was_reviewed() {
    #[derive(Serialize)]
    struct Golden {
        listeners: Vec<ir::Listener>,
        route_tables: Vec<ir::RouteTable>,
        clusters: Vec<ir::Cluster>,
        assignments: Vec<ir::Assignment>,
    }
    let config = compile(&check(&shop()).unwrap(), Opened::default());
    let golden = Golden {
        listeners: config.listeners.into_values().collect(),
        route_tables: config.route_tables.into_values().collect(),
        clusters: config.clusters.into_values().collect(),
        assignments: config.assignments.into_values().collect(),
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&golden).unwrap());
}

#[test]
fn only_safe_methods_are_retried_when_they_may_have_been_executed() {
    use RetryCondition::{ConnectFailure, GatewayError, RefusedStream, Reset};

    let routes = routes(&json!([{"clusters": [{"name": "c"}]}]));

    assert_eq!(routes.len(), 2);
    assert_eq!(
        retries(&routes[0]),
        (
            vec!["GET", "HEAD", "OPTIONS", "TRACE"],
            vec![GatewayError, Reset, ConnectFailure, RefusedStream]
        )
    );
    assert_eq!(
        retries(&routes[1]),
        (vec![], vec![ConnectFailure, RefusedStream])
    );
    assert_eq!(routes[0].name, "r/0");
    assert_eq!(routes[1].name, "r/0");
}

#[test]
fn a_rule_for_one_method_needs_one_route() {
    let get = routes(&json!([{"matches": [{"method": "GET"}], "clusters": [{"name": "c"}]}]));
    let post = routes(&json!([{"matches": [{"method": "POST"}], "clusters": [{"name": "c"}]}]));

    assert_eq!(get.len(), 1);
    assert_eq!(retries(&get[0]).1.len(), 4);
    assert_eq!(post.len(), 1);
    assert_eq!(
        retries(&post[0]),
        (
            vec!["POST"],
            vec![
                RetryCondition::ConnectFailure,
                RetryCondition::RefusedStream
            ]
        )
    );
}

#[test]
fn conditions_that_were_not_asked_for_are_not_added() {
    let routes =
        routes(&json!([{"clusters": [{"name": "c"}], "retry": {"on": ["retriable-4xx"]}}]));

    assert_eq!(routes.len(), 2);
    assert_eq!(retries(&routes[1]), (vec![], vec![]));
}

#[test]
fn a_policy_that_is_careful_already_needs_one_route() {
    let careful = routes(&json!([{"clusters": [{"name": "c"}],
        "retry": {"on": ["connect-failure", "refused-stream"]}}]));
    let off = routes(&json!([{"clusters": [{"name": "c"}], "retry": {"retries": 0}}]));

    assert_eq!(careful.len(), 1);
    assert_eq!(off.len(), 1);
    assert_eq!(retries(&off[0]), (vec![], vec![]));
}

#[test]
fn a_replaced_prefix_meets_the_rest_at_one_slash() {
    use ir::{PathMatch, PathRewrite};

    let rule = |prefix: &str, new: &str| {
        routes(&json!([{"matches": [{"path": {"prefix": prefix}}],
            "redirect": {"path": {"replacePrefix": new}}}]))
    };
    let text = str::to_owned;

    let plain = rule("/api/", "/v2/");
    assert_eq!(
        rewrite(&plain[0]),
        (
            &PathMatch::Segments(text("/api")),
            &PathRewrite::Prefix(text("/v2"))
        )
    );
    let root = rule("/", "/v2");
    assert_eq!(
        rewrite(&root[0]),
        (
            &PathMatch::Prefix(text("/")),
            &PathRewrite::Prefix(text("/v2/"))
        )
    );
    let stripped = rule("/api", "/");
    assert_eq!(stripped.len(), 2);
    assert_eq!(
        rewrite(&stripped[0]),
        (
            &PathMatch::Exact(text("/api")),
            &PathRewrite::Full(text("/"))
        )
    );
    assert_eq!(
        rewrite(&stripped[1]),
        (
            &PathMatch::Prefix(text("/api/")),
            &PathRewrite::Prefix(text("/"))
        )
    );
}

#[test]
fn a_host_name_gets_the_rules_of_all_routes_that_name_it_in_order() {
    let route = |name: &str, hostnames: &[&str]| {
        json!({"name": name, "route": {"listeners": ["l"], "hostnames": hostnames,
            "rules": [{"name": name, "respond": {"status": 200}}]}})
    };
    let config = compiled(&[
        json!({"name": "l", "listener": {"address": "127.0.0.1:0"}}),
        route("z", &["a.example", "b.example", "*.example"]),
        route("y", &["b.example"]),
        route("x", &[]),
    ]);
    let table = &config.route_tables["l"];
    let shown: Vec<(String, usize, Vec<&str>)> = table
        .hosts
        .iter()
        .map(|host| {
            let rules = host.routes.iter().map(|route| route.name.as_str());
            (host.name.clone(), host.domains.len(), rules.collect())
        })
        .collect();

    assert!(table.ignore_port);
    assert_eq!(
        shown,
        [
            ("a.example".to_owned(), 2, vec!["z"]),
            ("b.example".to_owned(), 1, vec!["y", "z"]),
            ("*".to_owned(), 1, vec!["x"]),
        ]
    );
}

mod guard {
    use super::*;

    /// So many clusters, each with so many endpoints; the first ones in use.
    fn config(clusters: usize, endpoints: usize, used: usize) -> ConfigSet {
        let mut values = vec![json!({"name": "l", "listener": {"address": "127.0.0.1:0"}})];
        for cluster in 0..clusters {
            let addresses: Vec<Value> = (1..=endpoints)
                .map(|port| json!({"address": format!("127.0.0.1:{port}")}))
                .collect();
            values.push(json!({"name": format!("c{cluster}"),
                "cluster": {"endpoints": {"static": addresses}}}));
        }
        let used: Vec<Value> = (0..used)
            .map(|at| json!({"name": format!("c{at}")}))
            .collect();
        if !used.is_empty() {
            values.push(json!({"name": "r", "route": {"listeners": ["l"],
                "rules": [{"clusters": used}]}}));
        }
        compiled(&values)
    }

    #[test]
    fn a_change_that_removes_more_than_half_of_the_clusters_is_held_back() {
        let refused = removal::check(&config(4, 1, 4), &config(1, 1, 1));
        assert_eq!(
            refused.as_deref(),
            Some("3 of 4 clusters in use would be removed, which is more than half")
        );
        assert_eq!(removal::check(&config(4, 1, 4), &config(2, 2, 2)), None);
    }

    #[test]
    fn a_change_that_removes_more_than_half_of_the_endpoints_is_held_back() {
        let refused = removal::check(&config(1, 10, 1), &config(1, 4, 1));
        assert_eq!(
            refused.as_deref(),
            Some("6 of 10 endpoints of clusters in use would be removed, which is more than half")
        );
        assert_eq!(removal::check(&config(1, 10, 1), &config(1, 5, 1)), None);
    }

    #[test]
    fn removing_every_route_is_held_back() {
        assert!(removal::check(&config(2, 3, 2), &config(2, 3, 0)).is_some());
    }

    #[test]
    fn what_is_not_in_use_and_what_is_tiny_is_not_guarded() {
        assert_eq!(removal::check(&config(9, 1, 2), &config(2, 1, 2)), None);
        assert_eq!(removal::check(&config(2, 1, 2), &config(0, 1, 0)), None);
    }
}

proptest! {
    #[test]
    fn what_was_checked_compiles_to_a_whole(state in states()) {
        let Ok(model) = check(&state) else { return Err(TestCaseError::reject("not sound")) };
        let config = compile(&model, Opened::default());
        prop_assert_eq!(&config, &compile(&check(&state).unwrap(), Opened::default()));

        for listener in config.listeners.values() {
            let ir::RouteSource::Named(table) = &listener.routes else { panic!("inline") };
            prop_assert!(config.route_tables.contains_key(table.as_str()));
        }
        for cluster in config.clusters.values() {
            let ir::Discovery::Named(name) = &cluster.discovery else { panic!("inline") };
            prop_assert!(config.assignments.contains_key(name.as_str()));
        }
        for assignment in config.assignments.values() {
            let addresses = assignment.endpoints.iter().map(|endpoint| endpoint.address);
            prop_assert!(addresses.is_sorted_by(|a, b| a < b));
        }
        for table in config.route_tables.values() {
            let domains: Vec<_> = table.hosts.iter().flat_map(|host| &host.domains).collect();
            prop_assert_eq!(domains.iter().collect::<BTreeSet<_>>().len(), domains.len());
            for route in table.hosts.iter().flat_map(|host| &host.routes) {
                check_route(&config, route)?;
            }
        }
    }
}

fn check_route(config: &ConfigSet, route: &ir::Route) -> Result<(), TestCaseError> {
    let ir::Action::Forward(forward) = &route.action else {
        return Ok(());
    };
    let weights = forward.clusters.iter().map(|cluster| cluster.weight);
    prop_assert!(weights.sum::<u32>() > 0);
    for cluster in &forward.clusters {
        prop_assert!(config.clusters.contains_key(cluster.name.as_str()));
    }
    let safe = ["GET", "HEAD", "OPTIONS", "TRACE"];
    let methods = &route.matches.methods;
    let only_safe = !methods.is_empty() && methods.iter().all(|one| safe.contains(&one.as_str()));
    if let Some(retry) = forward.retry.as_ref().filter(|_| !only_safe) {
        let careful = [
            RetryCondition::ConnectFailure,
            RetryCondition::RefusedStream,
        ];
        prop_assert!(retry.on.iter().all(|condition| careful.contains(condition)));
    }
    if matches!(forward.path_rewrite, Some(ir::PathRewrite::Prefix(_))) {
        let prefix = matches!(
            route.matches.path,
            ir::PathMatch::Prefix(_) | ir::PathMatch::Segments(_)
        );
        prop_assert!(prefix);
    }
    Ok(())
}
