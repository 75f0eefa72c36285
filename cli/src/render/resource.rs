//! Resources as tables, names, JSON and YAML.

use std::io;

use evenkeel_shared::document;
use evenkeel_shared::proto::v1::load_balancer::Policy as Balancing;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::v1::{
    Cluster, ClusterProtocol, Endpoint, Endpoints, Kind, Listener, ListenerProtocol, LoadBalancer,
    Policy, ProxyGroup, Resource, Route, Secret, secret,
};
use serde_json::Value;

use crate::kind;
use crate::render::table::Columns;
use crate::render::{Format, Terminal, conceal};

/// Most names in one cell; the rest is counted.
const MAX_IN_CELL: usize = 3;

/// A resource as a document.
pub(crate) fn document(resource: &Resource) -> Value {
    document::to_json(&conceal::resource(resource))
}

/// A resource as a YAML document.
pub(crate) fn yaml(resource: &Resource) -> String {
    document::write_yaml(&[conceal::resource(resource).into_owned()])
}

/// Writes resources in any format. `all` says that they are of several kinds.
pub(crate) fn print(
    terminal: &mut Terminal,
    resources: &[Resource],
    format: Format,
    header: bool,
) -> io::Result<()> {
    match format {
        Format::Table | Format::Wide => tables(terminal, resources, format == Format::Wide, header),
        Format::Json => terminal.json(&document::list_json(&concealed(resources))),
        Format::Yaml => terminal.text(&document::write_yaml(&concealed(resources))),
        Format::Name => resources
            .iter()
            .try_for_each(|resource| terminal.line(kind::label_of(resource))),
    }
}

fn concealed(resources: &[Resource]) -> Vec<Resource> {
    let resources = resources.iter();
    resources
        .map(|resource| conceal::resource(resource).into_owned())
        .collect()
}

fn tables(
    terminal: &mut Terminal,
    resources: &[Resource],
    wide: bool,
    header: bool,
) -> io::Result<()> {
    let kinds: Vec<Kind> = kind::all()
        .filter(|kind| resources.iter().any(|resource| kind::of(resource) == *kind))
        .collect();
    for (index, &kind) in kinds.iter().enumerate() {
        if index > 0 {
            terminal.line("")?;
        }
        let of_kind = resources
            .iter()
            .filter(|resource| kind::of(resource) == kind);
        table(kind, of_kind, wide, kinds.len() > 1).print(terminal, header)?;
    }
    Ok(())
}

/// A table of resources of one kind; with the kind before the name where
/// several tables stand below each other.
fn table<'r>(
    kind: Kind,
    resources: impl Iterator<Item = &'r Resource>,
    wide: bool,
    label: bool,
) -> Columns {
    let mut columns = Columns::new(&heading(kind, wide));
    for resource in resources {
        let name = if label {
            kind::label_of(resource)
        } else {
            resource.name.clone()
        };
        let (mut cells, more) = row(resource);
        cells.insert(0, name);
        if wide {
            cells.extend(more);
        }
        columns.row(cells);
    }
    columns
}

fn heading(kind: Kind, wide: bool) -> Vec<&'static str> {
    let (narrow, more): (&[&str], &[&str]) = match kind {
        Kind::Unspecified => (&["NAME"], &[]),
        Kind::Listener => (
            &["NAME", "ADDRESS", "PROTOCOL"],
            &["UPGRADES", "ACCESS-LOG"],
        ),
        Kind::Route => (
            &["NAME", "HOSTNAMES", "RULES", "CLUSTERS"],
            &["LISTENERS", "POLICIES"],
        ),
        Kind::Cluster => (
            &["NAME", "ENDPOINTS", "PROTOCOL", "BALANCING"],
            &["POLICY", "ADDRESSES"],
        ),
        Kind::Policy => (&["NAME", "SETS"], &[]),
        Kind::Endpoints => (&["NAME", "ENDPOINTS"], &["ADDRESSES"]),
        Kind::ProxyGroup => (&["NAME", "LISTENERS", "SELECTS"], &[]),
        Kind::Secret => (&["NAME", "HOLDS"], &[]),
    };
    let mut columns = narrow.to_vec();
    if wide {
        columns.extend(more);
    }
    columns
}

/// The cells after the name, and those that only the wide table has.
fn row(resource: &Resource) -> (Vec<String>, Vec<String>) {
    match &resource.spec {
        None => (Vec::new(), Vec::new()),
        Some(Spec::Listener(listener)) => listener_row(listener),
        Some(Spec::Route(route)) => route_row(route),
        Some(Spec::Cluster(cluster)) => cluster_row(cluster),
        Some(Spec::Policy(policy)) => (vec![policy_parts(policy)], Vec::new()),
        Some(Spec::Endpoints(endpoints)) => endpoints_row(endpoints),
        Some(Spec::ProxyGroup(group)) => group_row(group),
        Some(Spec::Secret(secret)) => (vec![secret_holds(secret).to_owned()], Vec::new()),
    }
}

fn listener_row(listener: &Listener) -> (Vec<String>, Vec<String>) {
    let protocol = match listener.protocol() {
        ListenerProtocol::Unspecified | ListenerProtocol::Http => "HTTP",
        ListenerProtocol::Http1 => "HTTP1",
        ListenerProtocol::Http2 => "HTTP2",
    };
    let log = match &listener.access_log {
        None => String::new(),
        Some(log) if log.path.is_empty() => "stdout".to_owned(),
        Some(log) => log.path.clone(),
    };
    (
        vec![listener.address.clone(), protocol.to_owned()],
        vec![names(&listener.upgrades), log],
    )
}

fn route_row(route: &Route) -> (Vec<String>, Vec<String>) {
    let hostnames = if route.hostnames.is_empty() {
        "*".to_owned()
    } else {
        names(&route.hostnames)
    };
    let unique = |mut list: Vec<String>| {
        list.sort();
        list.dedup();
        list.retain(|name| !name.is_empty());
        names(&list)
    };
    let clusters = route
        .rules
        .iter()
        .flat_map(|rule| rule.clusters.iter().map(|cluster| cluster.name.clone()));
    let policies = route.rules.iter().map(|rule| rule.policy.clone());
    (
        vec![
            hostnames,
            route.rules.len().to_string(),
            unique(clusters.collect()),
        ],
        vec![names(&route.listeners), unique(policies.collect())],
    )
}

fn cluster_row(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
    let endpoints = cluster.endpoints.clone().unwrap_or_default();
    let (count, addresses) = if let Some(dns) = &endpoints.dns {
        (format!("dns/{}:{}", dns.host, dns.port), String::new())
    } else if endpoints.r#ref.is_empty() {
        (
            endpoints.r#static.len().to_string(),
            addresses(&endpoints.r#static),
        )
    } else {
        (format!("endpoints/{}", endpoints.r#ref), String::new())
    };
    let protocol = match cluster.protocol() {
        ClusterProtocol::Unspecified | ClusterProtocol::Http1 => "HTTP1",
        ClusterProtocol::Http2 => "HTTP2",
    };
    let balancing = balancing(cluster.load_balancer.as_ref());
    (
        vec![count, protocol.to_owned(), balancing.to_owned()],
        vec![cluster.policy.clone(), addresses],
    )
}

fn balancing(balancer: Option<&LoadBalancer>) -> &'static str {
    match balancer.and_then(|balancer| balancer.policy.as_ref()) {
        None => "",
        Some(Balancing::RoundRobin(_)) => "roundRobin",
        Some(Balancing::LeastRequest(_)) => "leastRequest",
        Some(Balancing::Random(_)) => "random",
        Some(Balancing::RingHash(_)) => "ringHash",
        Some(Balancing::Maglev(_)) => "maglev",
        Some(Balancing::PeakEwma(_)) => "peakEwma",
    }
}

fn policy_parts(policy: &Policy) -> String {
    let parts = [
        ("timeouts", policy.timeouts.is_some()),
        ("retry", policy.retry.is_some()),
        ("rateLimit", policy.rate_limit.is_some()),
        ("loadBalancer", policy.load_balancer.is_some()),
        ("circuitBreakers", policy.circuit_breakers.is_some()),
        ("outlierDetection", policy.outlier_detection.is_some()),
        ("connection", policy.connection.is_some()),
    ];
    let set: Vec<&str> = parts
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect();
    set.join(",")
}

fn endpoints_row(endpoints: &Endpoints) -> (Vec<String>, Vec<String>) {
    (
        vec![endpoints.endpoints.len().to_string()],
        vec![addresses(&endpoints.endpoints)],
    )
}

fn secret_holds(secret: &Secret) -> &'static str {
    match &secret.content {
        Some(secret::Content::Certificate(_)) => "certificate",
        Some(secret::Content::Trust(_)) => "trust",
        None => "nothing",
    }
}

fn group_row(group: &ProxyGroup) -> (Vec<String>, Vec<String>) {
    let mut conditions = Vec::new();
    if let Some(selector) = &group.selector {
        if !selector.cluster.is_empty() {
            conditions.push(format!("cluster={}", selector.cluster));
        }
        conditions.extend(selector.ids.iter().map(|id| format!("id={id}")));
        let metadata = selector.metadata.iter();
        conditions.extend(metadata.map(|(key, value)| format!("{key}={value}")));
    }
    if conditions.is_empty() {
        conditions.push("*".to_owned());
    }
    (
        vec![names(&group.listeners), names(&conditions)],
        Vec::new(),
    )
}

fn addresses(endpoints: &[Endpoint]) -> String {
    let addresses: Vec<String> = endpoints
        .iter()
        .map(|endpoint| endpoint.address.clone())
        .collect();
    names(&addresses)
}

/// Names in one cell.
fn names(names: &[String]) -> String {
    if names.len() > MAX_IN_CELL {
        let shown = &names[..MAX_IN_CELL];
        format!("{} + {} more", shown.join(","), names.len() - MAX_IN_CELL)
    } else {
        names.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::captured;

    const SHOP: &str = "\
kind: Cluster
name: cart
spec:
  endpoints:
    static:
      - address: 127.0.0.1:9001
      - address: 127.0.0.1:9002
---
kind: Route
name: shop
spec:
  listeners: [web]
  hostnames: [shop.example.com]
  rules:
    - clusters: [{name: cart}]
    - clusters: [{name: cart}, {name: web}]
      policy: strict
";

    fn resources() -> Vec<Resource> {
        document::read("test", SHOP)
            .unwrap()
            .into_iter()
            .map(|document| document.resource)
            .collect()
    }

    fn printed(format: Format) -> String {
        let (mut terminal, memory) = captured();
        print(&mut terminal, &resources(), format, true).unwrap();
        memory.out()
    }

    #[test]
    fn several_kinds_are_several_tables() {
        insta::assert_snapshot!(printed(Format::Wide), @r"
        NAME         HOSTNAMES          RULES   CLUSTERS   LISTENERS   POLICIES
        route/shop   shop.example.com   2       cart,web   web         strict

        NAME           ENDPOINTS   PROTOCOL   BALANCING   POLICY   ADDRESSES
        cluster/cart   2           HTTP1      -           -        127.0.0.1:9001,127.0.0.1:9002
        ");
    }

    #[test]
    fn names_can_be_fed_to_other_verbs() {
        assert_eq!(printed(Format::Name), "cluster/cart\nroute/shop\n");
    }

    #[test]
    fn yaml_can_be_applied_again() {
        let again = document::read("again", &printed(Format::Yaml)).unwrap();
        let again: Vec<Resource> = again
            .into_iter()
            .map(|document| document.resource)
            .collect();
        assert_eq!(again, resources());
    }

    #[test]
    fn json_is_a_list_of_documents() {
        let value: Value = serde_json::from_str(&printed(Format::Json)).unwrap();
        assert_eq!(value["kind"], "List");
        assert_eq!(value["items"][1]["kind"], "Route");
        assert_eq!(value["items"][1]["spec"]["listeners"][0], "web");
    }

    #[test]
    fn long_lists_are_cut() {
        let list: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(names(&list), "a,b,c + 2 more");
    }
}
