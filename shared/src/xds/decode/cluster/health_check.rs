//! Active health checks.

use std::time::Duration;

use crate::ir::{HealthCheck, Probe, UpstreamProtocol};
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::values::positive_duration_or;
use crate::xds::wire::{core, pb, units};
use core::health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck};

/// Envoy's interval before the first request.
const DEFAULT_NO_TRAFFIC: Duration = Duration::from_mins(1);
/// What Envoy expects unless told otherwise.
const DEFAULT_EXPECTED: (u16, u16) = (200, 200);

/// Reads the check of a cluster; there is one at the most, as in Envoy.
pub(super) fn health_check(
    from: Vec<core::HealthCheck>,
    found: &mut Findings,
) -> Read<Option<HealthCheck>> {
    let mut checks = from.into_iter();
    let Some(check) = checks.next() else {
        return Some(None);
    };
    if checks.next().is_some() {
        return found.fault("health_checks", "must be one at the most");
    }
    found
        .at("health_checks[0]", |found| one(check, found))
        .map(Some)
}

#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
fn one(from: core::HealthCheck, found: &mut Findings) -> Option<HealthCheck> {
    let core::HealthCheck {
        timeout,
        interval,
        initial_jitter,
        interval_jitter,
        interval_jitter_percent,
        unhealthy_threshold,
        healthy_threshold,
        alt_port,
        reuse_connection,
        no_traffic_interval,
        no_traffic_healthy_interval,
        unhealthy_interval,
        unhealthy_edge_interval,
        healthy_edge_interval,
        event_log_path,
        event_logger,
        event_service,
        always_log_health_check_failures,
        always_log_health_check_success,
        tls_options,
        transport_socket_match_criteria,
        health_checker,
    } = from;
    found.unsupported_if([
        ("alt_port", set(&alt_port)),
        ("tls_options", set(&tls_options)),
        (
            "transport_socket_match_criteria",
            set(&transport_socket_match_criteria),
        ),
    ]);
    found.ignore_if([
        ("initial_jitter", set(&initial_jitter)),
        ("interval_jitter", set(&interval_jitter)),
        ("reuse_connection", set(&reuse_connection)),
        (
            "no_traffic_healthy_interval",
            set(&no_traffic_healthy_interval),
        ),
        ("unhealthy_interval", set(&unhealthy_interval)),
        ("unhealthy_edge_interval", set(&unhealthy_edge_interval)),
        ("healthy_edge_interval", set(&healthy_edge_interval)),
        ("event_log_path", set(&event_log_path)),
        ("event_logger", set(&event_logger)),
        ("event_service", set(&event_service)),
        (
            "always_log_health_check_failures",
            always_log_health_check_failures,
        ),
        (
            "always_log_health_check_success",
            always_log_health_check_success,
        ),
    ]);
    let probe = match health_checker {
        Some(HealthChecker::HttpHealthCheck(http)) => {
            found.at("http_health_check", |found| self::http(http, found))
        }
        Some(HealthChecker::TcpHealthCheck(tcp)) => {
            Some(found.at("tcp_health_check", |found| self::tcp(tcp, found)))
        }
        Some(HealthChecker::GrpcHealthCheck(grpc)) => {
            Some(found.at("grpc_health_check", |found| self::grpc(grpc, found)))
        }
        Some(HealthChecker::CustomHealthCheck(_)) => found.unsupported("custom_health_check"),
        None => found.fault("health_checker", "is missing"),
    };
    let timeout = needed(timeout, "timeout", found);
    let interval = needed(interval, "interval", found);
    let no_traffic = "no_traffic_interval";
    let no_traffic_interval =
        positive_duration_or(no_traffic_interval, no_traffic, DEFAULT_NO_TRAFFIC, found);
    let healthy_threshold = threshold(healthy_threshold, "healthy_threshold", found);
    let unhealthy_threshold = threshold(unhealthy_threshold, "unhealthy_threshold", found);
    Some(HealthCheck {
        probe: probe?,
        interval: interval?,
        no_traffic_interval: no_traffic_interval?,
        jitter_percent: interval_jitter_percent,
        timeout: timeout?,
        healthy_threshold: healthy_threshold?,
        unhealthy_threshold: unhealthy_threshold?,
    })
}

fn http(from: HttpHealthCheck, found: &mut Findings) -> Option<Probe> {
    let HttpHealthCheck {
        host,
        path,
        send,
        receive,
        response_buffer_size,
        request_headers_to_add,
        request_headers_to_remove,
        expected_statuses,
        retriable_statuses,
        codec_client_type,
        service_name_matcher,
        method,
    } = from;
    let get = [
        i32::from(core::RequestMethod::MethodUnspecified),
        i32::from(core::RequestMethod::Get),
    ];
    found.unsupported_if([
        ("send", set(&send)),
        ("receive", set(&receive)),
        ("request_headers_to_add", set(&request_headers_to_add)),
        ("request_headers_to_remove", set(&request_headers_to_remove)),
        ("retriable_statuses", set(&retriable_statuses)),
        ("service_name_matcher", set(&service_name_matcher)),
        ("method", !get.contains(&method)),
    ]);
    found.ignore_if([("response_buffer_size", set(&response_buffer_size))]);
    let protocol = match units::CodecClientType::try_from(codec_client_type) {
        Ok(units::CodecClientType::Http1) => UpstreamProtocol::Http1,
        Ok(units::CodecClientType::Http2) => UpstreamProtocol::Http2,
        _ => {
            let rule = "not supported by evenkeel: must be HTTP1 or HTTP2";
            return found.invalid("codec_client_type", codec_client_type, rule);
        }
    };
    if !path.starts_with('/') {
        return found.invalid("path", path, "must begin with '/'");
    }
    let mut expected = Vec::new();
    for range in expected_statuses {
        expected.push(statuses(range, found)?);
    }
    if expected.is_empty() {
        expected.push(DEFAULT_EXPECTED);
    }
    Some(Probe::Http {
        protocol,
        host: (!host.is_empty()).then_some(host),
        path,
        expected,
    })
}

fn statuses(range: units::Int64Range, found: &mut Findings) -> Option<(u16, u16)> {
    let units::Int64Range { start, end } = range;
    let first = u16::try_from(start).ok().filter(|first| *first >= 100);
    let last = u16::try_from(end.saturating_sub(1))
        .ok()
        .filter(|last| *last < 600);
    match (first, last) {
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        _ => found.fault(
            "expected_statuses",
            "must be ranges within 100 and 600, without their end",
        ),
    }
}

fn tcp(from: TcpHealthCheck, found: &mut Findings) -> Probe {
    let TcpHealthCheck {
        send,
        receive,
        proxy_protocol_config,
    } = from;
    found.unsupported_if([
        ("send", set(&send)),
        ("receive", set(&receive)),
        ("proxy_protocol_config", set(&proxy_protocol_config)),
    ]);
    Probe::Tcp
}

fn grpc(from: GrpcHealthCheck, found: &mut Findings) -> Probe {
    let GrpcHealthCheck {
        service_name,
        authority,
        initial_metadata,
    } = from;
    found.unsupported_if([("initial_metadata", set(&initial_metadata))]);
    Probe::Grpc {
        service: service_name,
        authority: (!authority.is_empty()).then_some(authority),
    }
}

fn needed(from: Option<pb::Duration>, field: &str, found: &mut Findings) -> Option<Duration> {
    if from.is_none() {
        return found.fault(field, "is missing");
    }
    positive_duration_or(from, field, Duration::ZERO, found)
}

fn threshold(from: Option<pb::UInt32Value>, field: &str, found: &mut Findings) -> Option<u32> {
    match from {
        Some(pb::UInt32Value { value }) if value > 0 => Some(value),
        Some(pb::UInt32Value { value }) => found.invalid(field, value, "must be at least 1"),
        None => found.fault(field, "is missing"),
    }
}
