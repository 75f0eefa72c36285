//! Small configurations for tests.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource as Wrapper};
use evenkeel_shared::ir::{
    Action, Assignment, Breakers, Cluster, Connection, Discovery, DnsFamily, DnsTarget, Domain,
    Endpoint, Forward, HeaderEdits, Health, HttpProtocol, LbPolicy, Limits, Listener,
    LoadBalancing, Locality, PathMatch, RetryBudget, Route, RouteMatch, RouteSource, RouteTable,
    Timeouts, UpstreamProtocol, VirtualHost, WeightedCluster,
};
use evenkeel_shared::units::Percent;
use evenkeel_shared::xds::{Resource, ResourceType, encode, version};

pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster {
        tls: None,
        proxy_protocol: None,
        name: name.into(),
        discovery: Discovery::Named(name.into()),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing {
            policy: LbPolicy::RoundRobin,
            panic_threshold: Percent::whole(50),
        },
        breakers: Breakers {
            connections: 1_024,
            pending: 1_024,
            requests: 1_024,
            retries: RetryBudget {
                share: Percent::whole(20),
                min_concurrency: 3,
                min_per_second: None,
            },
        },
        outlier: None,
        health_check: None,
        connection: Connection {
            max: None,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: None,
            max_requests: None,
        },
    }
}

pub(crate) fn dns_target(host: &str, port: u16) -> DnsTarget {
    DnsTarget {
        host: host.to_owned(),
        port,
        refresh: DnsTarget::MIN_REFRESH,
        respect_ttl: false,
        family: DnsFamily::V4,
    }
}

pub(crate) fn assignment(name: &str, ports: &[u16]) -> Assignment {
    let endpoints = ports.iter().map(|port| Endpoint {
        address: SocketAddr::from(([127, 0, 0, 1], *port)),
        weight: 1,
        health: Health::Healthy,
        locality: Locality::default(),
    });
    Assignment {
        name: name.into(),
        endpoints: endpoints.collect(),
    }
}

/// A table with a route of the same name for each cluster.
pub(crate) fn table(name: &str, clusters: &[&str]) -> RouteTable {
    RouteTable {
        name: name.into(),
        hosts: vec![VirtualHost {
            name: "all".to_owned(),
            domains: vec![Domain::Any],
            routes: clusters.iter().map(|cluster| route(cluster)).collect(),
        }],
        ignore_port: false,
    }
}

pub(crate) fn route(cluster: &str) -> Route {
    Route {
        name: cluster.to_owned(),
        matches: RouteMatch {
            path: PathMatch::Prefix(format!("/{cluster}")),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Forward(Box::new(Forward {
            clusters: vec![WeightedCluster {
                name: cluster.into(),
                weight: 1,
            }],
            timeout: None,
            per_try_timeout: None,
            retry: None,
            path_rewrite: None,
            host_rewrite: None,
            hash_policy: Vec::new(),
        })),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        rate_limit: None,
    }
}

pub(crate) fn listener(name: &str, port: u16) -> Listener {
    Listener {
        tls: None,
        proxy_protocol_from: Vec::new(),
        trusted_addresses: Vec::new(),
        name: name.into(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        protocol: HttpProtocol::Auto,
        routes: RouteSource::Named(name.into()),
        timeouts: Timeouts {
            header: Some(Duration::from_secs(10)),
            idle: None,
            stream_idle: None,
        },
        limits: Limits {
            connections: 1_000,
            header_bytes: 65_536,
            headers: 100,
            body_bytes: None,
            concurrent_streams: 100,
        },
        trusted_hops: 0,
        upgrades: Vec::new(),
        access_log: None,
        trace_sampling: Percent::ZERO,
    }
}

pub(crate) fn wrap(resource: &Resource) -> Wrapper {
    Wrapper {
        name: resource.name().to_owned(),
        version: version(resource),
        resource: Some(encode(resource)),
        ..Wrapper::default()
    }
}

/// A response of one type; its nonce is its revision.
pub(crate) fn response(
    kind: ResourceType,
    revision: u64,
    resources: &[Resource],
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        system_version_info: revision.to_string(),
        type_url: kind.type_url().to_owned(),
        nonce: revision.to_string(),
        resources: resources.iter().map(wrap).collect(),
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}
