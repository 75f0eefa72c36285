//! Active health checks.

use super::super::values::{duration, number};
use crate::ir;
use crate::xds::wire::{core, units};
use core::health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck};

/// Writes all of it, because Envoy's interval before the first request is a
/// minute unless told otherwise.
pub(super) fn health_check(from: &ir::HealthCheck) -> core::HealthCheck {
    core::HealthCheck {
        timeout: duration(from.timeout),
        interval: duration(from.interval),
        interval_jitter_percent: from.jitter_percent,
        unhealthy_threshold: number(from.unhealthy_threshold),
        healthy_threshold: number(from.healthy_threshold),
        no_traffic_interval: duration(from.no_traffic_interval),
        health_checker: Some(checker(&from.probe)),
        ..core::HealthCheck::default()
    }
}

fn checker(probe: &ir::Probe) -> HealthChecker {
    match probe {
        ir::Probe::Http {
            protocol,
            host,
            path,
            expected,
        } => HealthChecker::HttpHealthCheck(HttpHealthCheck {
            host: host.clone().unwrap_or_default(),
            path: path.clone(),
            // Envoy leaves the end of a range out.
            expected_statuses: expected
                .iter()
                .map(|(first, last)| units::Int64Range {
                    start: i64::from(*first),
                    end: i64::from(*last) + 1,
                })
                .collect(),
            codec_client_type: match protocol {
                ir::UpstreamProtocol::Http1 => units::CodecClientType::Http1,
                ir::UpstreamProtocol::Http2 => units::CodecClientType::Http2,
            }
            .into(),
            ..HttpHealthCheck::default()
        }),
        ir::Probe::Tcp => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
        ir::Probe::Grpc { service, authority } => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
            service_name: service.clone(),
            authority: authority.clone().unwrap_or_default(),
            ..GrpcHealthCheck::default()
        }),
    }
}
