//! How endpoints are asked whether they are well.

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::health_check::Probe;

use super::fields::{self, within};
use super::{defaults, merge};

/// A check, complete; `None` if nothing is asked.
pub(super) fn from_proto(
    proto: &v1::HealthCheck,
    protocol: ir::UpstreamProtocol,
    faults: &mut Faults,
) -> Option<ir::HealthCheck> {
    let complete = merge::health_check(proto, &defaults::health_check(proto));
    let v1::HealthCheck {
        probe,
        interval,
        timeout,
        healthy_threshold,
        unhealthy_threshold,
        jitter_percent,
        no_traffic_interval,
    } = &complete;
    if proto.probe.is_none() {
        faults.add("probe", "required: one of `http`, `tcp` and `grpc`");
    }
    let probe = probe
        .as_ref()
        .map(|probe| read_probe(probe, protocol, faults));
    let jitter = jitter_percent.unwrap_or_default();
    // One that follows the interval has its faults told there.
    let mut told = Faults::new();
    let blamed = if proto.no_traffic_interval.is_some() {
        &mut *faults
    } else {
        &mut told
    };
    let no_traffic_interval = fields::positive(*no_traffic_interval, "noTrafficInterval", blamed);
    let read = ir::HealthCheck {
        probe: probe?,
        interval: fields::positive(*interval, "interval", faults),
        no_traffic_interval,
        jitter_percent: fields::range(jitter, 0..=100, "jitterPercent", faults),
        timeout: fields::positive(*timeout, "timeout", faults),
        healthy_threshold: fields::at_least(*healthy_threshold, 1, "healthyThreshold", faults),
        unhealthy_threshold: fields::at_least(
            *unhealthy_threshold,
            1,
            "unhealthyThreshold",
            faults,
        ),
    };
    Some(read)
}

fn read_probe(probe: &Probe, protocol: ir::UpstreamProtocol, faults: &mut Faults) -> ir::Probe {
    match probe {
        Probe::Http(http) => within(faults, "http", |faults| read_http(http, protocol, faults)),
        Probe::Tcp(v1::TcpProbe {}) => ir::Probe::Tcp,
        Probe::Grpc(v1::GrpcProbe { service }) => {
            if protocol == ir::UpstreamProtocol::Http1 {
                faults.add("grpc", "needs a cluster whose `protocol` is HTTP2");
            }
            ir::Probe::Grpc {
                service: service.clone(),
                authority: None,
            }
        }
    }
}

fn read_http(
    http: &v1::HttpProbe,
    protocol: ir::UpstreamProtocol,
    faults: &mut Faults,
) -> ir::Probe {
    let v1::HttpProbe {
        path,
        host,
        statuses,
    } = http;
    fields::path(path, "path", faults);
    let host = (!host.is_empty()).then(|| fields::hostname(host, "host", faults));
    let mut expected = Vec::with_capacity(statuses.len());
    for (index, status) in statuses.iter().enumerate() {
        let at = format!("statuses[{index}]");
        let status = fields::range(*status, 200..=599, &at, faults);
        let status = u16::try_from(status).unwrap_or_default();
        expected.push((status, status));
    }
    ir::Probe::Http {
        protocol,
        host,
        path: path.clone(),
        expected,
    }
}
