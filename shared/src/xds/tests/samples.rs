//! Small valid resources and messages to start from.

use std::time::Duration;

use prost::{Message as _, Name};

use crate::ir::*;
use crate::units::Percent;
use crate::xds::wire::{cluster as cds, core, endpoint as eds, hcm, listener as lds, route as rds};
use crate::xds::{Decoded, Resource, ResourceType, Undecodable, decode, encode};

pub(super) fn cluster() -> Cluster {
    Cluster {
        tls: None,
        proxy_protocol: None,
        name: "api".into(),
        discovery: Discovery::Named("api".into()),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing {
            policy: LbPolicy::LeastRequest { choices: 2 },
            panic_threshold: Percent::whole(50),
        },
        breakers: Breakers {
            connections: 100,
            pending: 10,
            requests: 200,
            retries: RetryBudget {
                share: Percent::whole(20),
                min_concurrency: 3,
                min_per_second: Some(10),
            },
        },
        outlier: Some(Outlier {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 5,
            split_local_origin: false,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_mins(5),
            max_ejection_percent: 50,
            always_eject_one: true,
            success_rate: None,
            failure_percentage: None,
            latency: None,
            return_when_healthy: true,
        }),
        health_check: None,
        connection: Connection {
            max: Some(10),
            connect_timeout: Duration::from_secs(1),
            idle_timeout: None,
            max_requests: None,
        },
    }
}

pub(super) fn assignment() -> Assignment {
    let endpoint = |address: &str, zone: &str| Endpoint {
        address: address.parse().unwrap(),
        weight: 2,
        health: Health::Healthy,
        locality: Locality {
            zone: zone.to_owned(),
            ..Locality::default()
        },
    };
    Assignment {
        name: "api".into(),
        endpoints: vec![
            endpoint("127.0.0.1:9001", "a"),
            endpoint("127.0.0.1:9002", "b"),
        ],
    }
}

pub(super) fn route_table() -> RouteTable {
    RouteTable {
        name: "edge".into(),
        hosts: vec![VirtualHost {
            name: "shop".to_owned(),
            domains: vec![Domain::Exact("shop.example.com".to_owned())],
            routes: vec![route()],
        }],
        ignore_port: true,
    }
}

pub(super) fn route() -> Route {
    Route {
        name: "shop".to_owned(),
        matches: RouteMatch {
            path: PathMatch::Prefix("/".to_owned()),
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Forward(Box::new(Forward {
            clusters: vec![WeightedCluster {
                name: "api".into(),
                weight: 1,
            }],
            timeout: Some(Duration::from_secs(15)),
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

pub(super) fn listener() -> Listener {
    Listener {
        tls: None,
        proxy_protocol_from: Vec::new(),
        trusted_addresses: Vec::new(),
        name: "edge".into(),
        address: "127.0.0.1:8080".parse().unwrap(),
        protocol: HttpProtocol::Auto,
        routes: RouteSource::Named("edge".into()),
        timeouts: Timeouts {
            header: Some(Duration::from_secs(10)),
            idle: None,
            stream_idle: None,
        },
        limits: Limits {
            connections: 5000,
            header_bytes: 65_000,
            headers: 100,
            body_bytes: Some(1 << 60),
            concurrent_streams: 100,
        },
        trusted_hops: 1,
        upgrades: vec!["websocket".to_owned()],
        access_log: Some(AccessLog {
            path: "/dev/stdout".to_owned(),
        }),
        trace_sampling: Percent::whole(1),
    }
}

pub(super) fn cluster_message() -> cds::Cluster {
    cds::Cluster::decode(encode(&Resource::Cluster(cluster())).value.as_slice()).unwrap()
}

/// A cluster whose endpoints are looked up.
pub(super) fn dns_cluster_message() -> cds::Cluster {
    let mut cluster = cluster();
    cluster.discovery = Discovery::Dns(DnsTarget {
        host: "cart".to_owned(),
        port: 8080,
        refresh: DnsTarget::DEFAULT_REFRESH,
        respect_ttl: false,
        family: DnsFamily::All,
    });
    cds::Cluster::decode(encode(&Resource::Cluster(cluster)).value.as_slice()).unwrap()
}

pub(super) fn assignment_message() -> eds::ClusterLoadAssignment {
    let value = encode(&Resource::Assignment(assignment())).value;
    eds::ClusterLoadAssignment::decode(value.as_slice()).unwrap()
}

pub(super) fn table_message() -> rds::RouteConfiguration {
    let value = encode(&Resource::RouteTable(route_table())).value;
    rds::RouteConfiguration::decode(value.as_slice()).unwrap()
}

pub(super) fn listener_message() -> lds::Listener {
    lds::Listener::decode(encode(&Resource::Listener(listener())).value.as_slice()).unwrap()
}

/// The sample listener with a connection manager that was changed.
pub(super) fn listener_with(change: impl FnOnce(&mut hcm::HttpConnectionManager)) -> lds::Listener {
    let mut message = listener_message();
    let filter = &mut message.filter_chains[0].filters[0];
    let Some(lds::filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else {
        panic!("no connection manager");
    };
    let mut manager = hcm::HttpConnectionManager::decode(any.value.as_slice()).unwrap();
    change(&mut manager);
    any.value = manager.encode_to_vec();
    message
}

/// The sample table with a route that was changed.
pub(super) fn table_with(change: impl FnOnce(&mut rds::Route)) -> rds::RouteConfiguration {
    let mut message = table_message();
    change(&mut message.virtual_hosts[0].routes[0]);
    message
}

/// The sample table with a forwarding action that was changed.
pub(super) fn forward_with(change: impl FnOnce(&mut rds::RouteAction)) -> rds::RouteConfiguration {
    table_with(|route| {
        let Some(rds::route::Action::Route(action)) = &mut route.action else {
            panic!("no forwarding action");
        };
        change(action);
    })
}

pub(super) fn read<M: prost::Message + Name>(message: &M) -> Result<Decoded, Undecodable> {
    let kind = ResourceType::from_type_url(&M::type_url()).unwrap();
    decode(kind, &message.encode_to_vec())
}

/// Every fault of a message, as people read them.
pub(super) fn faults<M: prost::Message + Name>(message: &M) -> Vec<String> {
    match read(message) {
        Ok(decoded) => panic!("was accepted: {decoded:#?}"),
        Err(refused) => refused.faults.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn accepted<M: prost::Message + Name>(message: &M) -> Decoded {
    read(message).unwrap_or_else(|refused| panic!("{:#?}", refused.faults))
}

pub(super) fn tls() -> core::TransportSocket {
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: None,
    }
}
