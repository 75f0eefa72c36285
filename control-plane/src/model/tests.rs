use std::time::Duration;

use serde_json::{Value, json};

use super::samples::{resource, shop, state};
use super::*;

mod tls;

/// What is wrong with a resource by itself, one fault a line.
fn faults(value: &Value) -> Vec<String> {
    check_one(&resource(value), false)
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// What is wrong with a rule, with the path from the rule.
fn rule_faults(rule: &Value) -> Vec<String> {
    let route = json!({"name": "r", "route": {"listeners": ["l"], "rules": [rule]}});
    let inner = |fault: String| fault.trim_start_matches("rules[0].").to_owned();
    faults(&route).into_iter().map(inner).collect()
}

fn all_faults(values: &[Value]) -> Vec<String> {
    match check(&state(values)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

fn listener(name: &str, address: &str) -> Value {
    json!({"name": name, "listener": {"address": address}})
}

fn cluster(name: &str) -> Value {
    json!({"name": name, "cluster": {"endpoints": {"static": [{"address": "127.0.0.1:1"}]}}})
}

fn key(kind: v1::Kind, name: &str) -> ResourceKey {
    ResourceKey::new(kind, name)
}

#[test]
fn a_shop_is_sound() {
    let model = check(&shop()).unwrap();

    assert_eq!(model.listeners.len(), 1);
    assert_eq!(model.routes.len(), 2);
    assert_eq!(model.clusters.len(), 3);
    assert_eq!(model.endpoints.len(), 1);
}

#[test]
fn the_examples_of_the_manual_are_sound() {
    let examples = [
        include_str!("../../../shared/src/document/examples/listener.yaml"),
        include_str!("../../../shared/src/document/examples/route.yaml"),
        include_str!("../../../shared/src/document/examples/cluster.yaml"),
        include_str!("../../../shared/src/document/examples/policy.yaml"),
        include_str!("../../../shared/src/document/examples/endpoints.yaml"),
        include_str!("../../../shared/src/document/examples/proxy_group.yaml"),
        include_str!("../../../shared/src/document/examples/secret.yaml"),
    ];
    for example in examples {
        for document in evenkeel_shared::document::read("example", example).unwrap() {
            assert_eq!(check_one(&document.resource, false), [], "{}", document.id);
        }
    }
}

#[test]
fn every_fault_of_every_resource_is_reported_with_its_path() {
    let found = all_faults(&[
        json!({"name": "edge", "listener": {"address": "localhost:80", "upgrades": ["h2c"],
            "limits": {"connections": 0}}}),
        json!({"name": "-bad", "cluster": {"endpoints": {"static": [
            {"address": "127.0.0.1:1"}, {"address": "127.0.0.1:1", "weight": 4000}]},
            "policy": "missing"}}),
        json!({"name": "r", "route": {"listeners": ["egde"], "hostnames": ["shop.*.com"], "rules": [
            {"clusters": [{"name": "api"}, {"name": "api", "weight": 2_000_000}]}]}}),
    ]);
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn names_follow_the_rule() {
    for good in ["a", "shop-1", "a.b_c", "0"] {
        assert!(faults(&listener(good, "127.0.0.1:1")).is_empty(), "{good}");
    }
    for bad in ["", "-a", "a.", "a/b", "ä", &"a".repeat(254)] {
        let found = faults(&listener(bad, "127.0.0.1:1"));
        assert!(found[0].starts_with("name: invalid value"), "{bad}");
    }
}

#[test]
fn host_names_are_lower_cased_and_have_a_wildcard_only_in_front() {
    let with = |hostname: &str| {
        json!({"name": "r", "route": {"listeners": ["l"], "hostnames": [hostname],
            "rules": [{"respond": {"status": 200}}]}})
    };
    for bad in ["*", "a.*", "*a.com", "a..b", "a:80", "-a.com", "*.", "a b"] {
        assert_eq!(faults(&with(bad)).len(), 1, "{bad}");
    }
    let mut faults = Faults::new();
    let proto = match resource(&with("*.Shop.COM")).spec {
        Some(Spec::Route(route)) => route,
        other => panic!("{other:?}"),
    };
    let route = route::from_proto("r", &proto, &|_| Named::Nothing, &mut faults).unwrap();
    assert_eq!(route.hosts, [ir::Domain::Suffix(".shop.com".to_owned())]);
}

#[test]
fn a_rule_does_exactly_one_thing() {
    let none = rule_faults(&json!({}));
    let two = rule_faults(&json!({"clusters": [{"name": "a"}], "respond": {"status": 200}}));

    assert_eq!(
        none,
        ["rules[0]: required: one of `clusters`, `redirect` and `respond`"]
    );
    assert_eq!(
        two,
        ["rules[0]: must have exactly one of `clusters`, `redirect` and `respond`"]
    );
}

#[test]
fn weights_are_bounded_and_not_all_zero() {
    let zero = rule_faults(&json!({"clusters": [{"name": "a", "weight": 0}]}));
    let large =
        rule_faults(&json!({"clusters": [{"name": "a"}, {"name": "b", "weight": 1_000_001}]}));

    assert_eq!(zero, ["clusters: must have at least one weight above 0"]);
    assert_eq!(
        large,
        ["clusters[1].weight: invalid value 1000001: must be between 0 and 1000000"]
    );
}

#[test]
fn a_retry_condition_that_is_not_known_comes_with_a_suggestion() {
    let found =
        rule_faults(&json!({"clusters": [{"name": "a"}], "retry": {"on": ["conect-failure"]}}));

    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("retry.on[0]: invalid value \"conect-failure\""));
    assert!(
        found[0].ends_with("did you mean \"connect-failure\"?"),
        "{}",
        found[0]
    );
}

#[test]
fn an_attempt_takes_no_longer_than_its_request() {
    let rule = |timeouts: Value| json!({"clusters": [{"name": "a"}], "timeouts": timeouts});

    let longer = rule_faults(&rule(json!({"perTry": "20s"})));
    assert_eq!(
        longer,
        ["timeouts.perTry: invalid value 20s: must be at most `timeouts.request`, which is 15s"]
    );
    assert!(rule_faults(&rule(json!({"perTry": "20s", "request": "0s"}))).is_empty());
    assert!(rule_faults(&rule(json!({"request": "3s"}))).is_empty());
}

#[test]
fn a_default_per_try_timeout_follows_a_shorter_request_timeout() {
    let state = state(&[
        listener("l", "127.0.0.1:1"),
        cluster("a"),
        json!({"name": "r", "route": {"listeners": ["l"], "rules": [
            {"clusters": [{"name": "a"}], "timeouts": {"request": "3s"}}]}}),
    ]);
    let model = check(&state).unwrap();
    let ir::Action::Forward(forward) = &model.routes["r"].rules[0].action else {
        panic!("does not forward");
    };
    assert_eq!(forward.per_try_timeout, Some(Duration::from_secs(3)));
}

/// Expects one fault at `path` from a rule that forwards and has also this.
fn refuses(extra: &Value, path: &str) {
    let mut rule = json!({"clusters": [{"name": "a"}]});
    let fields = rule.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    let found = rule_faults(&rule);
    assert_eq!(found.len(), 1, "{extra}: {found:?}");
    assert!(
        found[0].starts_with(&format!("{path}: ")),
        "{extra}: {found:?}"
    );
}

#[test]
fn conditions_that_cannot_be_meant_are_refused() {
    let cases = [
        (json!({"path": {"exact": "api"}}), "path.exact"),
        (json!({"path": {"prefix": "/a?b"}}), "path.prefix"),
        (json!({"path": {"regex": "("}}), "path.regex"),
        (json!({"path": {"regex": "/a)(b"}}), "path.regex"),
        (json!({"path": {"regex": "(a{1000}){1000}"}}), "path.regex"),
        (json!({"path": {}}), "path"),
        (json!({"method": "get"}), "method"),
        (json!({"method": "G T"}), "method"),
        (
            json!({"headers": [{"name": ":path", "exact": "x"}]}),
            "headers[0].name",
        ),
        (
            json!({"headers": [{"name": "Host", "exact": "x"}]}),
            "headers[0].name",
        ),
        (json!({"headers": [{"name": "x"}]}), "headers[0]"),
        (json!({"query": [{"exact": "x"}]}), "query[0].name"),
    ];
    for (condition, path) in cases {
        refuses(
            &json!({"matches": [condition]}),
            &format!("matches[0].{path}"),
        );
    }
}

#[test]
fn edits_that_cannot_be_made_are_refused() {
    let newline = json!([{"name": "x", "value": "a\nb"}]);
    let cases = [
        (
            json!({"requestHeaders": {"remove": ["Connection"]}}),
            "requestHeaders.remove[0]",
        ),
        (
            json!({"responseHeaders": {"set": newline}}),
            "responseHeaders.set[0].value",
        ),
        (json!({"responseHeaders": {}}), "responseHeaders"),
        (json!({"urlRewrite": {}}), "urlRewrite"),
        (json!({}), ""),
    ];
    for (filter, path) in cases {
        let path = format!("filters[0].{path}");
        refuses(&json!({"filters": [filter]}), path.trim_end_matches('.'));
    }
    let exact = json!({"matches": [{"path": {"exact": "/a"}}],
        "filters": [{"urlRewrite": {"path": {"replacePrefix": "/b"}}}]});
    refuses(&exact, "filters[0].urlRewrite.path.replacePrefix");
}

#[test]
fn rule_settings_out_of_their_range_are_refused() {
    let cases = [
        (
            json!({"retry": {"statusCodes": [200]}}),
            "retry.statusCodes",
        ),
        (
            json!({"retry": {"backoff": {"base": "1s"}}}),
            "retry.backoff.base",
        ),
        (json!({"retry": {"retries": 101}}), "retry.retries"),
        (json!({"timeouts": {"request": "-1s"}}), "timeouts.request"),
        (
            json!({"timeouts": {"request": "0.0000001s"}}),
            "timeouts.request",
        ),
        (json!({"rateLimit": {}}), "rateLimit.tokens"),
        (
            json!({"rateLimit": {"tokens": 1, "per": "0s"}}),
            "rateLimit.per",
        ),
        (
            json!({"rateLimit": {"tokens": 1, "burst": 0}}),
            "rateLimit.burst",
        ),
    ];
    for (extra, path) in cases {
        refuses(&extra, path);
    }
}

#[test]
fn health_settings_out_of_their_range_are_refused() {
    let cases = [
        (
            json!({"outlierDetection": {"successRate": {"minimumHosts": 1}}}),
            "outlierDetection.successRate.minimumHosts",
        ),
        (
            json!({"outlierDetection": {"failurePercentage": {"threshold": 0}}}),
            "outlierDetection.failurePercentage.threshold",
        ),
        (
            json!({"outlierDetection": {"latency": {"minimumHosts": 2}}}),
            "outlierDetection.latency.minimumHosts",
        ),
        (
            json!({"outlierDetection": {"latency": {"enforcing": 101}}}),
            "outlierDetection.latency.enforcing",
        ),
        (json!({"healthCheck": {}}), "healthCheck.probe"),
        (json!({"healthCheck": {"grpc": {}}}), "healthCheck.grpc"),
        (
            json!({"healthCheck": {"http": {"path": "well"}}}),
            "healthCheck.http.path",
        ),
        (
            json!({"healthCheck": {"http": {"statuses": [200, 99]}}}),
            "healthCheck.http.statuses[1]",
        ),
        (
            json!({"healthCheck": {"tcp": {}, "healthyThreshold": 0}}),
            "healthCheck.healthyThreshold",
        ),
        (
            json!({"healthCheck": {"tcp": {}, "interval": "0s"}}),
            "healthCheck.interval",
        ),
    ];
    for (extra, path) in cases {
        refuses_cluster(&extra, path);
    }
}

#[test]
fn what_is_hashed_must_be_named() {
    let rule = |source: Value| json!({"clusters": [{"name": "a"}], "hashPolicy": [source]});

    assert_eq!(
        rule_faults(&rule(json!({}))),
        [
            "hashPolicy[0]: required: one of `header`, `cookie`, `clientAddress` and `queryParameter`"
        ]
    );
    assert_eq!(
        rule_faults(&rule(json!({"header": {"name": ":path"}}))),
        [
            "hashPolicy[0].header.name: invalid value \":path\": pseudo-header fields cannot be named"
        ]
    );
    let cookie = |cookie: Value| rule_faults(&rule(json!({"cookie": cookie})));
    assert_eq!(
        cookie(json!({"name": "a b", "ttl": "1.5s", "path": "x"})),
        [
            "hashPolicy[0].cookie.name: invalid value \"a b\": must be the name of a cookie",
            "hashPolicy[0].cookie.path: invalid value \"x\": must begin with '/'",
            "hashPolicy[0].cookie.ttl: must be whole seconds",
        ]
    );
    assert!(cookie(json!({"name": "a", "ttl": "0s", "path": "/"})).is_empty());
    let answered = json!({"respond": {"status": 200}, "hashPolicy": [{"clientAddress": {}}]});
    assert_eq!(
        rule_faults(&answered),
        ["hashPolicy: has no effect on a rule that does not forward to `clusters`"]
    );
}

#[test]
fn cluster_settings_out_of_their_range_are_refused() {
    let cases = [
        (
            json!({"loadBalancer": {"panicThreshold": 101}}),
            "loadBalancer.panicThreshold",
        ),
        (
            json!({"loadBalancer": {"leastRequest": {"choices": 1}}}),
            "loadBalancer.leastRequest.choices",
        ),
        (
            json!({"loadBalancer": {"ringHash": {"minSize": 2000, "maxSize": 1000}}}),
            "loadBalancer.ringHash.minSize",
        ),
        (
            json!({"loadBalancer": {"ringHash": {"balanceFactor": 99}}}),
            "loadBalancer.ringHash.balanceFactor",
        ),
        (
            json!({"loadBalancer": {"maglev": {"tableSize": 65536}}}),
            "loadBalancer.maglev.tableSize",
        ),
        (
            json!({"loadBalancer": {"peakEwma": {"decay": "0s"}}}),
            "loadBalancer.peakEwma.decay",
        ),
        (
            json!({"circuitBreakers": {"requests": 0}}),
            "circuitBreakers.requests",
        ),
        (
            json!({"outlierDetection": {"baseEjectionTime": "600s"}}),
            "outlierDetection.baseEjectionTime",
        ),
        (
            json!({"outlierDetection": {"interval": "0s"}}),
            "outlierDetection.interval",
        ),
        (
            json!({"outlierDetection": {"maxEjectionPercent": 101}}),
            "outlierDetection.maxEjectionPercent",
        ),
        (
            json!({"connection": {"connectTimeout": "0s"}}),
            "connection.connectTimeout",
        ),
        (json!({"connection": {"max": 0}}), "connection.max"),
        (json!({"protocol": 9}), "protocol"),
        (
            json!({"endpoints": {"ref": "e", "static": [{"address": "127.0.0.1:1"}]}}),
            "endpoints",
        ),
        (
            json!({"endpoints": {"static": [{"address": "127.0.0.1:0"}]}}),
            "endpoints.static[0].address",
        ),
    ];
    for (extra, path) in cases {
        refuses_cluster(&extra, path);
    }
}

#[test]
fn names_of_endpoints_that_cannot_be_asked_for_are_refused() {
    let cases = [
        (
            json!({"endpoints": {"ref": "", "dns": {"host": "cart", "port": 1},
                "static": [{"address": "127.0.0.1:1"}]}}),
            "endpoints",
        ),
        (
            json!({"endpoints": {"dns": {"host": "10.0.0.1", "port": 80}}}),
            "endpoints.dns.host",
        ),
        (
            json!({"endpoints": {"dns": {"host": "cart:80", "port": 80}}}),
            "endpoints.dns.host",
        ),
        (
            json!({"endpoints": {"dns": {"host": "-cart", "port": 80}}}),
            "endpoints.dns.host",
        ),
        (
            json!({"endpoints": {"dns": {"port": 80}}}),
            "endpoints.dns.host",
        ),
        (
            json!({"endpoints": {"dns": {"host": "cart"}}}),
            "endpoints.dns.port",
        ),
        (
            json!({"endpoints": {"dns": {"host": "cart", "port": 65536}}}),
            "endpoints.dns.port",
        ),
        (
            json!({"endpoints": {"dns": {"host": "cart", "port": 80, "refresh": "0.1s"}}}),
            "endpoints.dns.refresh",
        ),
        (
            json!({"endpoints": {"dns": {"host": "cart", "port": 80, "refresh": "0s"}}}),
            "endpoints.dns.refresh",
        ),
    ];
    for (extra, path) in cases {
        refuses_cluster(&extra, path);
    }
}

/// A cluster with these fields has one fault, at the path.
fn refuses_cluster(extra: &Value, path: &str) {
    let mut value = cluster("c");
    let spec = value["cluster"].as_object_mut().unwrap();
    spec.extend(extra.as_object().unwrap().clone());
    let found = faults(&value);
    assert_eq!(found.len(), 1, "{extra}: {found:?}");
    assert!(found[0].starts_with(&format!("{path}: ")), "{found:?}");
}

#[test]
fn what_only_forwarded_requests_have_is_refused_elsewhere() {
    let found = rule_faults(&json!({"respond": {"status": 200}, "retry": {"retries": 1},
        "timeouts": {"request": "1s"}, "filters": [{"urlRewrite": {"hostname": "a"}}]}));

    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn two_listeners_on_one_address_are_refused_unless_no_proxy_can_get_both() {
    let listeners = [listener("a", "0.0.0.0:80"), listener("b", "0.0.0.0:80")];
    let group = |name: &str, cluster: &str| json!({"name": name, "proxyGroup": {"selector": {"cluster": cluster}, "listeners": [name]}});
    let both = all_faults(&listeners);
    assert_eq!(both.len(), 1);
    assert!(both[0].starts_with("Listener/b: address: "), "{both:?}");

    let apart = [&listeners[..], &[group("a", "one"), group("b", "two")]].concat();
    assert!(all_faults(&apart).is_empty());

    let overlapping = [&listeners[..], &[group("a", "one"), group("b", "")]].concat();
    assert_eq!(all_faults(&overlapping).len(), 1);

    let any_port = [listener("a", "127.0.0.1:0"), listener("b", "127.0.0.1:0")];
    assert!(all_faults(&any_port).is_empty());
}

#[test]
fn rules_of_one_listener_do_not_share_a_name() {
    let route = |name: &str, listener: &str| {
        json!({"name": name, "route": {"listeners": [listener],
            "rules": [{"name": "api", "respond": {"status": 200}}]}})
    };
    let listeners = [listener("a", "127.0.0.1:1"), listener("b", "127.0.0.1:2")];
    let apart = [&listeners[..], &[route("r", "a"), route("s", "b")]].concat();
    assert!(all_faults(&apart).is_empty());

    let together = [&listeners[..], &[route("r", "a"), route("s", "a")]].concat();
    let found = all_faults(&together);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("Route/s: rules[0].name: "),
        "{found:?}"
    );
}

#[test]
fn a_resource_by_itself_is_checked_without_what_it_refers_to() {
    let route = json!({"name": "r", "route": {"listeners": ["elsewhere"], "rules": [
        {"clusters": [{"name": "elsewhere"}], "policy": "elsewhere", "rateLimit": {"burst": 3}}]}});
    assert!(faults(&route).is_empty());
}

#[test]
fn the_nearer_layer_wins_field_by_field() {
    let mut state = shop();
    let model = check(&state).unwrap();
    let ir::Action::Forward(forward) = &model.routes["shop"].rules[0].action else {
        panic!("does not forward");
    };
    let retry = forward.retry.clone().unwrap();
    assert_eq!(forward.timeout, Some(Duration::from_secs(30)));
    assert_eq!(retry.retries, 3);
    assert_eq!(retry.backoff.base, Duration::from_millis(50));
    assert_eq!(retry.backoff.max, Duration::from_millis(250));

    let shop = state.get_mut(&key(v1::Kind::Route, "shop")).unwrap();
    if let Some(Spec::Route(route)) = &mut shop.spec {
        route.rules[0].retry = Some(v1::Retry {
            retries: Some(0),
            ..v1::Retry::default()
        });
    }
    let model = check(&state).unwrap();
    let ir::Action::Forward(forward) = &model.routes["shop"].rules[0].action else {
        panic!("does not forward");
    };
    assert_eq!(forward.retry, None);
}

#[test]
fn layers_that_contradict_each_other_are_refused_where_they_meet() {
    let found = all_faults(&[
        listener("l", "127.0.0.1:1"),
        cluster("a"),
        json!({"name": "p", "policy": {"timeouts": {"perTry": "10s"}}}),
        json!({"name": "r", "route": {"listeners": ["l"], "rules": [
            {"clusters": [{"name": "a"}], "policy": "p", "timeouts": {"request": "8s"}}]}}),
    ]);
    assert_eq!(
        found,
        [
            "Route/r: rules[0].timeouts.perTry: invalid value 10s: must be at most `timeouts.request`, which is 8s"
        ]
    );
}

#[test]
fn the_faults_of_a_policy_are_told_once() {
    let found = all_faults(&[
        listener("l", "127.0.0.1:1"),
        cluster("a"),
        json!({"name": "p", "policy": {"retry": {"on": ["nonsense"]}}}),
        json!({"name": "r", "route": {"listeners": ["l"], "rules": [
            {"clusters": [{"name": "a"}], "policy": "p"}]}}),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("Policy/p: retry.on[0]: "));
}

#[test]
fn effective_values_say_where_they_come_from() {
    let state = shop();
    let shown = |kind, name: &str| {
        let lines: Vec<String> = effective(&state, &key(kind, name))
            .into_iter()
            .map(|value| format!("{} = {} ({})", value.path, value.value, value.origin))
            .collect();
        lines.join("\n")
    };
    let all = [
        shown(v1::Kind::Listener, "edge"),
        shown(v1::Kind::Route, "shop"),
        shown(v1::Kind::Cluster, "api"),
        shown(v1::Kind::Cluster, "api-canary"),
        shown(v1::Kind::Policy, "patient"),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn references_go_both_ways() {
    let state = shop();
    let (refers_to, referenced_by) = references(&state, &key(v1::Kind::Cluster, "api"));

    assert_eq!(
        refers_to,
        [
            key(v1::Kind::Policy, "patient"),
            key(v1::Kind::Endpoints, "api-hosts")
        ]
    );
    assert_eq!(referenced_by, [key(v1::Kind::Route, "shop")]);
}

#[test]
fn filters_fold_into_one_edit_with_the_effect_of_all() {
    let proto = resource(
        &json!({"name": "r", "route": {"listeners": ["l"], "rules": [{
        "filters": [
            {"requestHeaders": {"set": [{"name": "a", "value": "1"}], "add": [{"name": "b", "value": "1"}]}},
            {"requestHeaders": {"remove": ["B"], "add": [{"name": "a", "value": "2"}]}},
            {"requestHeaders": {"set": [{"name": "c", "value": "1"}]}},
            {"requestHeaders": {"set": [{"name": "C", "value": "2"}]}}],
        "respond": {"status": 200}}]}}),
    );
    let mut faults = Faults::new();
    let mut model = Model::default();
    model.read(&proto, &|_| Named::Nothing, Form::Stored, &mut faults);
    let value = |name: &str, value: &str| ir::HeaderValue {
        name: name.to_owned(),
        value: value.to_owned(),
    };

    assert!(faults.is_empty());
    assert_eq!(
        model.routes["r"].rules[0].request_headers,
        ir::HeaderEdits {
            remove: vec!["b".to_owned()],
            set: vec![value("a", "1"), value("c", "2")],
            add: vec![value("a", "2")],
        }
    );
}
