//! The configuration that the fleet has, and how it changes.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::wire::{ApplyRequest, Endpoint, Endpoints, Wanted};

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Clusters, each with a route by host name.
    pub(super) clusters: usize,
    /// Endpoints of each.
    pub(super) endpoints: usize,
}

/// Everything, as documents.
pub(super) fn documents(sizes: Sizes) -> String {
    let mut text = String::from("kind: Listener\nname: web\nspec: {address: \"127.0.0.1:1\"}\n");
    for cluster in 0..sizes.clusters {
        let name = name(cluster);
        let _ = write!(
            text,
            "---\nkind: Cluster\nname: {name}\nspec: {{endpoints: {{ref: {name}}}}}\n\
             ---\nkind: Route\nname: {name}\nspec:\n  listeners: [web]\n  hostnames: [\"{name}.test\"]\n\
             \x20 rules:\n  - clusters: [{{name: {name}}}]\n\
             ---\nkind: Endpoints\nname: {name}\nspec:\n  endpoints:\n"
        );
        for endpoint in 0..sizes.endpoints {
            let address = address(cluster, endpoint, 0);
            let _ = writeln!(text, "  - address: \"{address}\"");
        }
    }
    text
}

/// The `number`-th change, from 1: another port of one endpoint of one cluster.
pub(super) fn change(sizes: Sizes, number: usize) -> ApplyRequest {
    let cluster = number % sizes.clusters;
    let endpoints = (0..sizes.endpoints).map(|endpoint| Endpoint {
        address: address(cluster, endpoint, if endpoint == 0 { number } else { 0 }),
    });
    ApplyRequest {
        resources: vec![Wanted {
            name: name(cluster),
            endpoints: Some(Endpoints {
                endpoints: endpoints.collect(),
            }),
        }],
    }
}

/// Where a proxy connects from: no two at one address.
pub(super) fn source(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 77, high, low))
}

fn name(cluster: usize) -> String {
    format!("shop-{cluster}")
}

/// Of an endpoint that was never changed, or was by the `change`-th change.
fn address(cluster: usize, endpoint: usize, change: usize) -> String {
    let (high, low) = (cluster / 250 % 250, cluster % 250);
    match change {
        0 => format!("10.{high}.{low}.1:{}", 1_000 + endpoint % 60_000),
        _ => format!("10.{high}.{low}.2:{}", 1_000 + change % 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_changes_one_endpoint() {
        let sizes = Sizes {
            clusters: 3,
            endpoints: 2,
        };
        let addresses = |number: usize| {
            let change = change(sizes, number).resources.remove(0);
            let endpoints = change.endpoints.unwrap_or_default().endpoints;
            let endpoints = endpoints.into_iter().map(|endpoint| endpoint.address);
            (change.name, endpoints.collect::<Vec<_>>())
        };
        let (name, first) = addresses(1);
        let (same, second) = addresses(4);
        assert_eq!(name, same);
        assert!(documents(sizes).contains(&format!("name: {name}\n")));
        assert_ne!(first[0], second[0]);
        assert_eq!(first[1], second[1]);
        assert_eq!(documents(sizes).matches(&first[1]).count(), 1);
        assert_eq!(documents(sizes).matches(&first[0]).count(), 0);
    }
}
