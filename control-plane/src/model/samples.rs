//! Resources for tests, written as JSON, and whole states made at random.

use std::collections::BTreeMap;

use evenkeel_shared::proto::{DESCRIPTORS, v1};
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use crate::store::{DesiredState, ResourceKey};

/// Reads `{"name": …, "<kind>": {…}}`.
pub(crate) fn resource(value: &Value) -> v1::Resource {
    read(value, &descriptor())
}

fn descriptor() -> MessageDescriptor {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    pool.get_message_by_name("evenkeel.v1.Resource").unwrap()
}

fn read(value: &Value, descriptor: &MessageDescriptor) -> v1::Resource {
    let message = DynamicMessage::deserialize(descriptor.clone(), value.clone())
        .unwrap_or_else(|fault| panic!("{fault} in {value}"));
    message.transcode_to().unwrap()
}

/// A certificate of its own for a host name with its private key, in PEM.
pub(crate) fn certificate(host: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

pub(crate) fn state(values: &[Value]) -> DesiredState {
    let descriptor = descriptor();
    values
        .iter()
        .map(|value| read(value, &descriptor))
        .map(|resource| (ResourceKey::of(&resource), resource))
        .collect()
}

/// A shop behind one listener, with a canary, a policy, and shared endpoints.
pub(crate) fn shop() -> DesiredState {
    state(&[
        json!({"name": "edge", "listener": {
            "address": "0.0.0.0:8080", "upgrades": ["WebSocket"], "accessLog": {},
            "forwardedHeaders": {"trustedHops": 1}}}),
        json!({"name": "patient", "policy": {
            "timeouts": {"request": "30s"}, "retry": {"retries": 3, "backoff": {"base": "0.05s"}},
            "connection": {"max": 64}}}),
        json!({"name": "api-hosts", "endpoints": {"endpoints": [
            {"address": "10.0.0.2:9001", "weight": 2},
            {"address": "10.0.0.1:9001"},
            {"address": "10.0.0.3:9001", "health": "ENDPOINT_HEALTH_DRAINING"}]}}),
        json!({"name": "api", "cluster": {"endpoints": {"ref": "api-hosts"}, "policy": "patient"}}),
        json!({"name": "api-canary", "cluster": {
            "endpoints": {"static": [{"address": "10.0.1.1:9001"}]},
            "protocol": "CLUSTER_PROTOCOL_HTTP2",
            "loadBalancer": {"roundRobin": {}},
            "outlierDetection": {"consecutive5xx": 0, "consecutiveGatewayFailure": 0,
                "consecutiveLocalOriginFailure": 0}}}),
        json!({"name": "pages", "cluster": {"endpoints": {"static": [
            {"address": "[::1]:9003"}, {"address": "127.0.0.1:9002"}]}}}),
        json!({"name": "shop", "route": {
            "listeners": ["edge"], "hostnames": ["Shop.example.com", "*.shop.example.com"],
            "rules": [
                {"name": "orders", "policy": "patient",
                 "matches": [{"path": {"prefix": "/api/"}},
                             {"path": {"exact": "/order"}, "method": "POST",
                              "headers": [{"name": "X-Beta", "present": true}]}],
                 "filters": [{"requestHeaders": {"set": [{"name": "X-Env", "value": "prod"}],
                                                 "remove": ["x-debug"]}}],
                 "rateLimit": {"tokens": 100, "key": {"clientAddress": {}}},
                 "clusters": [{"name": "api", "weight": 90}, {"name": "api-canary", "weight": 10}]},
                {"matches": [{"path": {"prefix": "/old"}}],
                 "redirect": {"path": {"replacePrefix": "/"}, "status": 301}},
                {"matches": [{"path": {"exact": "/health"}}], "respond": {"status": 200, "body": "ok"}},
                {"clusters": [{"name": "pages"}]}]}}),
        json!({"name": "fallback", "route": {
            "listeners": ["edge"],
            "rules": [{"respond": {"status": 404, "body": "no such shop"}}]}}),
    ])
}

/// States of up to some resources of each kind: mostly sound, with every choice
/// of the schema that leads to different compiled resources.
pub(crate) fn states() -> impl Strategy<Value = DesiredState> {
    let names = |count: usize| proptest::sample::subsequence(vec!["a", "b", "c"], 1..=count);
    (
        names(2),
        proptest::collection::vec(cluster(), 3),
        proptest::collection::vec(rule(), 1..5),
        proptest::collection::vec(any::<[bool; 4]>(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(listeners, clusters, rules, routes, grouped)| {
            let mut values = vec![
                json!({"name": "p", "policy": {"retry": {"retries": 1}, "timeouts": {"perTry": "2s"}}}),
                json!({"name": "e", "endpoints": {"endpoints": [{"address": "127.0.0.1:1"}]}}),
            ];
            for (port, name) in listeners.iter().enumerate() {
                let address = format!("127.0.0.1:{}", 8000 + port);
                values.push(json!({"name": name, "listener": {"address": address}}));
            }
            for (name, cluster) in ["a", "b", "c"].iter().zip(clusters) {
                values.push(json!({"name": name, "cluster": cluster}));
            }
            for (index, [exact, wildcard, all, reverse]) in routes.into_iter().enumerate() {
                let mut hostnames = Vec::new();
                hostnames.extend(exact.then_some("a.example"));
                hostnames.extend(wildcard.then_some("*.example"));
                let served = if all { &listeners[..] } else { &listeners[..1] };
                let mut rules = rules.clone();
                if reverse {
                    rules.reverse();
                }
                values.push(json!({"name": format!("r{index}"), "route": {
                    "listeners": served, "hostnames": hostnames, "rules": rules}}));
            }
            if grouped {
                values.push(json!({"name": "g", "proxyGroup": {
                    "selector": {"cluster": "edge"}, "listeners": &listeners[..1]}}));
            }
            state(&values)
        })
}

fn cluster() -> impl Strategy<Value = Value> {
    let addresses = proptest::collection::btree_map(1_u16..500, 1_u32..1000, 0..6);
    (addresses, any::<[bool; 4]>()).prop_map(
        |(addresses, [shared, policy, full_scan, compares])| {
            let own: Vec<Value> = addresses
            .into_iter()
            .rev()
            .map(|(port, weight)| json!({"address": format!("127.0.0.1:{port}"), "weight": weight}))
            .collect();
            let endpoints = if shared {
                json!({"ref": "e"})
            } else {
                json!({"static": own})
            };
            let policy = if policy { "p" } else { "" };
            let detection = if compares {
                json!({"successRate": {}, "failurePercentage": {}, "latency": {}})
            } else {
                json!({})
            };
            json!({"endpoints": endpoints, "policy": policy, "outlierDetection": detection,
            "loadBalancer": {"leastRequest": {"fullScan": full_scan}}})
        },
    )
}

fn rule() -> impl Strategy<Value = Value> {
    let path = prop_oneof![
        Just(json!({"prefix": "/"})),
        Just(json!({"prefix": "/api"})),
        Just(json!({"prefix": "/api/v1/"})),
        Just(json!({"exact": "/api"})),
        Just(json!({"regex": "/a.*"})),
    ];
    let method = prop_oneof![Just(""), Just("GET"), Just("POST"), Just("PURGE")];
    let matches = proptest::collection::vec(
        (path, method).prop_map(|(path, method)| json!({"path": path, "method": method})),
        0..3,
    );
    let on = proptest::sample::subsequence(
        vec![
            "5xx",
            "gateway-error",
            "reset",
            "connect-failure",
            "refused-stream",
            "retriable-4xx",
        ],
        0..4,
    );
    let action = prop_oneof![
        proptest::collection::btree_map(
            proptest::sample::select(vec!["a", "b", "c"]),
            0_u32..5,
            1..3
        )
        .prop_map(Some),
        Just(None::<BTreeMap<&str, u32>>),
    ];
    let rewrite = prop_oneof![
        Just(None),
        Just(Some(json!({"replacePrefix": "/"}))),
        Just(Some(json!({"replacePrefix": "/new"}))),
        Just(Some(json!({"replaceFull": "/new"}))),
    ];
    (matches, on, 0_u32..4, action, rewrite).prop_map(
        |(matches, on, retries, clusters, rewrite)| {
            let mut rule = json!({"matches": matches});
            if let Some(clusters) = clusters {
                let clusters: Vec<Value> = clusters
                    .into_iter()
                    .map(|(name, weight)| json!({"name": name, "weight": weight}))
                    .collect();
                rule["clusters"] = json!(clusters);
                rule["retry"] = json!({"on": on, "retries": retries});
                if let Some(path) = rewrite {
                    rule["filters"] = json!([{"urlRewrite": {"path": path}}]);
                }
            } else if let Some(path) = rewrite {
                rule["redirect"] = json!({"path": path});
            } else {
                rule["respond"] = json!({"status": 404});
            }
            rule
        },
    )
}
