//! What is wrong is said with place, field, rule and advice, all at once.

use super::{complaint, complaints};
use crate::document::{read, read_all, refuse_duplicates};
use crate::error::Invalid;

#[test]
fn five_mistakes_are_five_errors_in_one_run() {
    let text = "\
kind: Listener
name: edge
spec:
  address: \"0.0.0.0:8080\"
  protocol: HTTP4
---
kind: Route
name: shop
spec:
  listeners: [edge]
  rules:
  - retry:
      retris: 3
      backoff: {base: 25}
    respond: {status: \"302\"}
---
kind: Cluster
name: api
spec:
  circuitBreakers: {requests: 4294967296}
";
    assert_eq!(
        complaints(text),
        [
            "shop.yaml:5:13: Listener/edge: protocol: invalid value \"HTTP4\": must be one of HTTP, HTTP1, HTTP2; did you mean \"HTTP\"?",
            "shop.yaml:13:7: Route/shop: rules[0].retry.retris: unknown field; did you mean \"retries\"?",
            "shop.yaml:14:23: Route/shop: rules[0].retry.backoff.base: invalid value 25: must be a duration such as 250ms, 1.5s, 2m or 1h; a unit is missing: ns, us, ms, s, m or h",
            "shop.yaml:15:23: Route/shop: rules[0].respond.status: invalid value \"302\": must be a whole number from 0 to 4294967295; write 302 without quotes",
            "shop.yaml:20:31: Cluster/api: circuitBreakers.requests: invalid value 4294967296: must be a whole number from 0 to 4294967295",
        ]
    );
}

#[test]
fn an_error_knows_the_bytes_it_means() {
    let text = "kind: Route\nname: größe\nspec:\n  hostnames: [\"é\", 12]\n";
    let errors = read_all("shop.yaml", text).errors;
    let location = &errors[0].location;
    assert_eq!((location.line, location.column), (4, 20));
    assert_eq!(
        &text[location.offset..location.offset + location.length],
        "12"
    );
    assert_eq!(errors[0].path, "hostnames[1]");
    assert_eq!(errors[0].resource.as_deref(), Some("Route/größe"));
    assert_eq!(
        errors[0].hint.as_deref(),
        Some("write it in quotes: \"12\"")
    );
}

#[test]
fn an_unknown_field_with_no_near_name_lists_what_is_allowed() {
    assert_eq!(
        complaint("kind: Endpoints\nname: e\nspec: {endpoints: [{zone: a}]}\n"),
        "shop.yaml:3:21: Endpoints/e: endpoints[0].zone: unknown field; allowed: address, weight, health"
    );
}

#[test]
fn a_merge_key_is_refused_with_advice() {
    assert_eq!(
        complaint("kind: Route\nname: r\nspec:\n  <<: {}\n"),
        "shop.yaml:4:3: Route/r: [\"<<\"]: unknown field; merge keys are no part of YAML 1.2: repeat the fields, or use a Policy"
    );
}

#[test]
fn two_members_of_a_group_are_both_named() {
    assert_eq!(
        complaint("kind: Cluster\nname: c\nspec: {loadBalancer: {random: {}, leastRequest: {}}}\n"),
        "shop.yaml:3:35: Cluster/c: loadBalancer.leastRequest: random and leastRequest are both set: must be at most one of roundRobin, leastRequest, random, ringHash, maglev, peakEwma"
    );
}

#[test]
fn a_field_set_twice_is_refused_in_either_spelling() {
    assert_eq!(
        complaint(
            "kind: Route\nname: r\nspec:\n  rules:\n  - timeouts:\n      perTry: 1s\n      per_try: 2s\n"
        ),
        "shop.yaml:7:7: Route/r: rules[0].timeouts.perTry: set twice: first on line 6"
    );
    assert_eq!(
        complaint("kind: ProxyGroup\nname: g\nspec: {selector: {metadata: {a.b: x, a.b: y}}}\n"),
        "shop.yaml:3:38: ProxyGroup/g: selector.metadata[\"a.b\"]: set twice: first on line 3"
    );
}

#[test]
fn the_wrong_shape_is_refused_with_advice() {
    let text = "\
kind: Cluster
name: c
spec:
  loadBalancer: leastRequest
  endpoints:
    static: {address: a}
    ref: [e]
  policy:
";
    assert_eq!(
        complaints(text),
        [
            "shop.yaml:4:17: Cluster/c: loadBalancer: invalid value \"leastRequest\": must be a mapping; write {leastRequest: {}}",
            "shop.yaml:6:5: Cluster/c: endpoints.static: must be a list, not a mapping; write `- ` before it",
            "shop.yaml:7:5: Cluster/c: endpoints.ref: must be text, not a list",
            "shop.yaml:8:3: Cluster/c: policy: empty value: must be text; write \"\" for an empty text",
        ]
    );
}

#[test]
fn numbers_and_booleans_must_be_ones() {
    for (value, rule) in [
        ("-1", "must be a whole number from 0 to 4294967295"),
        ("1.5", "must be a whole number from 0 to 4294967295"),
        ("1e3", "must be a whole number from 0 to 4294967295"),
        (
            "99999999999999999999999999999999999999999",
            "must be a whole number",
        ),
        ("ten", "must be a whole number"),
        ("true", "must be a whole number"),
        (
            "{}",
            "must be a whole number from 0 to 4294967295, not a mapping",
        ),
    ] {
        let text =
            format!("kind: Route\nname: r\nspec: {{rules: [{{retry: {{retries: {value}}}}}]}}\n");
        let line = complaint(&text);
        assert!(line.contains(rule), "{line}");
    }
    for value in [".nan", ".inf", "1e999", "\"5\"", "0x10", "5%"] {
        let text =
            format!("kind: Listener\nname: l\nspec: {{tracing: {{samplePercent: {value}}}}}\n");
        let line = complaint(&text);
        assert!(line.contains("must be a number"), "{line}");
    }
    assert!(
        complaint(
            "kind: Cluster\nname: c\nspec: {loadBalancer: {leastRequest: {fullScan: yes}}}\n"
        )
        .ends_with("invalid value \"yes\": must be true or false; write true")
    );
}

#[test]
fn the_envelope_is_checked_as_strictly() {
    assert_eq!(
        complaints("kind: Rout\nnmae: shop\nspec: {}\n"),
        [
            "shop.yaml:1:1: name: required field is missing",
            "shop.yaml:1:7: kind: unknown kind \"Rout\"; did you mean \"Route\"?",
            "shop.yaml:2:1: nmae: unknown field; did you mean \"name\"?",
        ]
    );
    assert_eq!(
        complaint("- a\n"),
        "shop.yaml:1:3: must be a mapping of kind, name and spec, not a list"
    );
    assert_eq!(
        complaint("kind: Route\nname: 12\nspec: {}\n"),
        "shop.yaml:2:7: Route: name: invalid value 12: must be text; write it in quotes: \"12\""
    );
}

#[test]
fn errors_in_a_list_name_the_item_or_the_resource() {
    assert_eq!(
        complaints(
            "kind: List\nitems:\n- {kind: Route, name: r, spec: {rule: []}}\n- {kind: List, items: []}\n- 5\n"
        ),
        [
            "shop.yaml:3:33: Route/r: rule: unknown field; did you mean \"rules\"?",
            "shop.yaml:4:16: items[1].items: a List cannot hold another List",
            "shop.yaml:5:3: items[2]: invalid value 5: must be a mapping of kind, name and spec",
        ]
    );
}

#[test]
fn a_resource_defined_twice_is_shown_with_its_first_place() {
    let text = "kind: Endpoints\nname: e\nspec: {}\n---\nkind: Endpoints\nname: e\nspec: {}\n";
    assert_eq!(
        complaint(text),
        "shop.yaml:6:7: Endpoints/e: defined twice: first at shop.yaml:2:7"
    );
    let mut documents = read("a.yaml", "kind: Endpoints\nname: e\nspec: {}\n").unwrap();
    documents.extend(read("b.yaml", "kind: Endpoints\nname: e\nspec: {}\n").unwrap());
    let (kept, errors) = refuse_duplicates(documents);
    assert_eq!(kept.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "b.yaml:2:7: Endpoints/e: defined twice: first at a.yaml:2:7"
    );
}

#[test]
fn broken_yaml_is_reported_with_its_place_and_the_rest_is_read() {
    let text =
        "kind: Route\nname: [a\n---\nkind: Route\nname: r\nspec: {rulez: []}\n---\nkind: \"x\n";
    let lines = complaints(text);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains(": not YAML: "), "{lines:#?}");
    assert!(lines[1].contains("did you mean \"rules\"?"), "{lines:#?}");
    assert!(lines[2].contains(": not YAML: "), "{lines:#?}");
}

#[test]
fn a_later_fault_is_shown_where_its_field_stands() {
    let text = "\
kind: Route
name: shop
spec:
  listeners: [edge]
  rules:
  - timeouts:
      per_try: 5s
    clusters:
    - name: api
      weight: 4000
";
    let document = read("shop.yaml", text).unwrap().remove(0);
    let at = |path: &str| {
        let location = document.locate(path);
        let end = location.offset + location.length;
        (location.line, &text[location.offset..end])
    };
    assert_eq!(at("rules[0].clusters[0].weight"), (10, "4000"));
    assert_eq!(at("rules[0].timeouts.perTry"), (7, "5s"));
    assert_eq!(at("rules[0].timeouts.request"), (6, "timeouts"));
    assert_eq!(at("rules[0].clusters[0]"), (9, "name"));
    assert_eq!(at("rules[7].name"), (5, "rules"));
    assert_eq!(at("hostnames"), (2, "shop"));
    assert_eq!(at(""), (2, "shop"));
    assert_eq!(at("name"), (2, "shop"));
    assert_eq!(at("kind"), (1, "Route"));
    let fault = Invalid::new(
        "rules[0].clusters[0].weight",
        "invalid value 4000: must be at most 1000",
    );
    assert_eq!(
        document.error(fault).to_string(),
        "shop.yaml:10:15: Route/shop: rules[0].clusters[0].weight: invalid value 4000: must be at most 1000"
    );
}
