//! `Cluster`, checked and complete.

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;

use super::fields::within;
use super::policy::Named;
use super::{endpoints, health_check, policy, tls};

/// A group of interchangeable endpoints and how to treat them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Where the endpoints come from.
    pub source: Source,
    /// HTTP version spoken with them.
    pub protocol: ir::UpstreamProtocol,
    /// How one is chosen.
    pub load_balancing: ir::LoadBalancing,
    /// Upper bounds on what is open at once.
    pub breakers: ir::Breakers,
    /// When an endpoint is taken out; `None` is never.
    pub outlier: Option<ir::Outlier>,
    /// How endpoints are asked whether they are well; `None` is never.
    pub health_check: Option<ir::HealthCheck>,
    /// Connections to endpoints.
    pub connection: ir::Connection,
    /// TLS with endpoints; `None` is in the clear.
    pub tls: Option<ir::UpstreamTls>,
    /// Header in front of each connection.
    pub proxy_protocol: Option<ir::ProxyProtocol>,
}

/// Where the endpoints of a cluster come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// They are its own, ordered by address.
    Static(Vec<ir::Endpoint>),
    /// They are those of the `Endpoints` resource of this name.
    Shared(String),
    /// They are the addresses of a name, which proxies look up.
    Dns(ir::DnsTarget),
}

/// The settings of a cluster that a policy can also carry.
pub(super) fn settings(proto: &v1::Cluster) -> v1::Policy {
    v1::Policy {
        timeouts: None,
        retry: None,
        rate_limit: None,
        load_balancer: proto.load_balancer,
        circuit_breakers: proto.circuit_breakers,
        outlier_detection: proto.outlier_detection,
        connection: proto.connection,
    }
}

pub(super) fn from_proto(
    proto: &v1::Cluster,
    named: Named<'_>,
    faults: &mut Faults,
) -> Option<Cluster> {
    if proto.endpoints.is_none() {
        faults.add("endpoints", "required: one of `static`, `dns` and `ref`");
    }
    let endpoints = proto.endpoints.as_ref();
    let source = endpoints.and_then(|endpoints| read_source(endpoints, faults));
    let protocol = read_protocol(proto.protocol, faults);
    // A fault in it is noted, and then it does not matter what stands here.
    let tls = proto
        .tls
        .as_ref()
        .and_then(|tls| within(faults, "tls", |faults| tls::of_cluster(tls, faults)));
    let proxy_protocol = read_proxy_protocol(proto.proxy_protocol, faults);
    // As with TLS.
    let health_check = proto.health_check.as_ref().and_then(|check| {
        let spoken = protocol.unwrap_or(ir::UpstreamProtocol::Http1);
        within(faults, "healthCheck", |faults| {
            health_check::from_proto(check, spoken, faults)
        })
    });
    let layers = policy::layered(&settings(proto), named, faults);
    let settings = policy::cluster_settings(&layers, &mut Faults::new());
    Some(Cluster {
        source: source?,
        protocol: protocol?,
        load_balancing: settings.load_balancing,
        breakers: settings.breakers,
        outlier: settings.outlier,
        health_check,
        connection: settings.connection,
        tls,
        proxy_protocol,
    })
}

fn read_source(proto: &v1::ClusterEndpoints, faults: &mut Faults) -> Option<Source> {
    let v1::ClusterEndpoints {
        r#static,
        r#ref,
        dns,
    } = proto;
    let own = endpoints::from_proto(r#static, "endpoints.static", faults);
    let dns = dns.as_ref().map(|dns| {
        within(faults, "endpoints.dns", |faults| {
            endpoints::dns(dns, faults)
        })
    });
    match (r#static.is_empty(), dns, r#ref.is_empty()) {
        (_, None, true) => Some(Source::Static(own)),
        (true, None, false) => Some(Source::Shared(r#ref.clone())),
        (true, Some(target), true) => target.map(Source::Dns),
        _ => {
            let rule = "must be one of `static`, `dns` and `ref`, not several";
            faults.add("endpoints", rule);
            None
        }
    }
}

fn read_protocol(protocol: i32, faults: &mut Faults) -> Option<ir::UpstreamProtocol> {
    match v1::ClusterProtocol::try_from(protocol) {
        Ok(v1::ClusterProtocol::Unspecified | v1::ClusterProtocol::Http1) => {
            Some(ir::UpstreamProtocol::Http1)
        }
        Ok(v1::ClusterProtocol::Http2) => Some(ir::UpstreamProtocol::Http2),
        Err(_) => {
            faults.add(
                "protocol",
                format!("invalid value {protocol}: must be HTTP1 or HTTP2"),
            );
            None
        }
    }
}

fn read_proxy_protocol(version: i32, faults: &mut Faults) -> Option<ir::ProxyProtocol> {
    match v1::ProxyProtocolVersion::try_from(version) {
        Ok(v1::ProxyProtocolVersion::Unspecified | v1::ProxyProtocolVersion::None) => None,
        Ok(v1::ProxyProtocolVersion::V1) => Some(ir::ProxyProtocol::V1),
        Ok(v1::ProxyProtocolVersion::V2) => Some(ir::ProxyProtocol::V2),
        Err(_) => {
            faults.add(
                "proxyProtocol",
                format!("invalid value {version}: must be NONE, V1 or V2"),
            );
            None
        }
    }
}
