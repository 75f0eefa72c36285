//! State as text and JSON. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evenkeel_shared::ir;
use serde::Serialize;
use serde_json::{Value, json};

use super::Admin;
use super::certificates::certificates;
use crate::dns::shown::Shown;
use crate::fleet::endpoints;
use crate::runtime::snapshot::Snapshot;
use crate::tick::Tick;
use crate::tls::Place;
use crate::xds::state::{Accepted, Key, Value as Resource};

/// The configuration: what is accepted, refused, awaited and held back.
pub(super) fn config(admin: &Admin) -> Value {
    let config = admin.status.config.load();
    let known = admin.secrets.shown();
    let mut resources: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for (kind, name, accepted) in config.held.iter() {
        let of_kind = resources.entry(kind.label()).or_default();
        let mut shown = resource(accepted);
        if let Resource::Secret(secret) = &accepted.value {
            let place = Place::Secret(secret.name.clone());
            let found = known.places.iter().find(|found| found.place == place);
            shown["certificates"] = json!(found.map(certificates));
        }
        of_kind.insert(name, shown);
    }
    let rejected = config.rejected.iter().map(|(key, rejected)| {
        json!({
            "type": key.kind.label(),
            "name": key.name.as_ref(),
            "version": rejected.version.as_ref(),
            "faults": rejected.faults,
        })
    });
    let held = config
        .mass_removal
        .as_ref()
        .map(|held| json!({ "reason": held.reason, "resources": texts(&held.resources) }));
    json!({
        "node": admin.node,
        "version": config.version.as_ref(),
        "resources": resources,
        "rejected": rejected.collect::<Vec<Value>>(),
        "waiting": texts(&config.waiting),
        "held": held,
    })
}

fn resource(accepted: &Accepted) -> Value {
    let value = match &accepted.value {
        Resource::Listener(listener) => serde_json::to_value(listener),
        Resource::RouteTable(table) => serde_json::to_value(table),
        Resource::Cluster(cluster) => serde_json::to_value(cluster),
        Resource::Assignment(assignment) => serde_json::to_value(assignment),
        Resource::Secret(secret) => serde_json::to_value(secret),
        Resource::RemovalGrant(revision) => serde_json::to_value(revision),
    };
    json!({
        "version": accepted.version.as_ref(),
        "ignored": accepted.ignored.as_ref(),
        "value": value.unwrap_or_default(),
    })
}

fn texts(keys: &[Key]) -> Vec<String> {
    keys.iter().map(Key::to_string).collect()
}

/// A host as it is shown.
#[derive(Serialize)]
struct Host {
    address: String,
    weight: u32,
    healthy: bool,
    reason: String,
    ejected_for_seconds: Option<i64>,
    in_flight: u32,
    connections: u32,
    requests: u64,
    failures: u64,
}

/// A name in the place of endpoints, as it is shown.
#[derive(Serialize)]
struct Name {
    host: String,
    port: u16,
    answered_seconds_ago: Option<u64>,
    failures: u64,
    failing_for_seconds: Option<u64>,
    reason: Option<String>,
    left_out: usize,
}

fn name_of(spec: &ir::Cluster, names: &Shown, now: Tick) -> Option<Name> {
    let ir::Discovery::Dns(target) = &spec.discovery else {
        return None;
    };
    let seen = names.get(target).cloned().unwrap_or_default();
    let ago = |since: Tick| now.since(since).as_secs();
    Some(Name {
        host: target.host.clone(),
        port: target.port,
        answered_seconds_ago: seen.answered.map(ago),
        failures: seen.failures,
        failing_for_seconds: seen.failing.as_ref().map(|(since, _)| ago(*since)),
        reason: seen.failing.map(|(_, reason)| reason.as_ref().to_owned()),
        left_out: seen.left_out,
    })
}

/// A cluster as it is shown.
#[derive(Serialize)]
pub(super) struct Cluster {
    panic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<Name>,
    hosts: Vec<Host>,
}

/// The clusters and their hosts.
pub(super) fn clusters(snapshot: &Snapshot, names: &Shown, now: Tick) -> BTreeMap<String, Cluster> {
    let clusters = snapshot.clusters.iter().map(|(name, cluster)| {
        let seen = endpoints(cluster, now);
        let hosts = seen.endpoints.into_iter().map(|host| Host {
            address: host.address,
            weight: host.weight,
            healthy: host.healthy,
            reason: host.reason,
            ejected_for_seconds: host.ejected_for.map(|time| time.seconds),
            in_flight: host.in_flight,
            connections: host.connections,
            requests: host.requests,
            failures: host.failures,
        });
        let shown = Cluster {
            panic: seen.panic,
            dns: name_of(&cluster.spec, names, now),
            hosts: hosts.collect(),
        };
        (name.as_str().to_owned(), shown)
    });
    clusters.collect()
}

/// The same, a line for each host.
pub(super) fn clusters_text(clusters: BTreeMap<String, Cluster>) -> String {
    let mut text = String::new();
    for (name, cluster) in clusters {
        let panic = if cluster.panic { " (panic)" } else { "" };
        // Writing into a String does not fail.
        let _ = writeln!(text, "{name}{panic}");
        if let Some(dns) = cluster.dns {
            let answered = match dns.answered_seconds_ago {
                Some(seconds) => format!("answered {seconds} s ago"),
                None => "not answered".to_owned(),
            };
            let (host, port, failures) = (dns.host, dns.port, dns.failures);
            let _ = write!(text, "  dns {host}:{port} {answered} failures={failures}");
            if let Some(reason) = dns.reason {
                let _ = write!(text, " failing: {reason}");
            }
            text.push('\n');
        }
        for host in cluster.hosts {
            let health = if host.healthy {
                "healthy".to_owned()
            } else {
                host.reason
            };
            let _ = writeln!(
                text,
                "  {} weight={} {health} in_flight={} connections={} requests={} failures={}",
                host.address,
                host.weight,
                host.in_flight,
                host.connections,
                host.requests,
                host.failures,
            );
        }
    }
    text
}
