//! Settings in layers: what a nearer layer says holds, field by field, and what
//! it leaves open is taken from the next one. The order is the resource itself,
//! the policy it names, the defaults.
//!
//! An algorithm with its settings (`leastRequest: {…}`) and a rate-limit key
//! are one field: they come from one layer.

use evenkeel_shared::proto::v1;

/// Two layers of policies.
pub(super) fn policy(near: &v1::Policy, far: &v1::Policy) -> v1::Policy {
    v1::Policy {
        timeouts: part(near.timeouts.as_ref(), far.timeouts.as_ref(), timeouts),
        retry: part(near.retry.as_ref(), far.retry.as_ref(), retry),
        rate_limit: part(
            near.rate_limit.as_ref(),
            far.rate_limit.as_ref(),
            rate_limit,
        ),
        load_balancer: part(
            near.load_balancer.as_ref(),
            far.load_balancer.as_ref(),
            load_balancer,
        ),
        circuit_breakers: part(
            near.circuit_breakers.as_ref(),
            far.circuit_breakers.as_ref(),
            circuit_breakers,
        ),
        outlier_detection: part(
            near.outlier_detection.as_ref(),
            far.outlier_detection.as_ref(),
            outlier_detection,
        ),
        connection: part(
            near.connection.as_ref(),
            far.connection.as_ref(),
            connection,
        ),
    }
}

/// Two layers of listeners; the address and the upgrades are the near one's.
pub(super) fn listener(near: &v1::Listener, far: &v1::Listener) -> v1::Listener {
    let unspecified = near.protocol == i32::from(v1::ListenerProtocol::Unspecified);
    v1::Listener {
        tls: part(near.tls.as_ref(), far.tls.as_ref(), listener_tls),
        proxy_protocol: near.proxy_protocol.clone(),
        address: near.address.clone(),
        protocol: if unspecified {
            far.protocol
        } else {
            near.protocol
        },
        timeouts: part(
            near.timeouts.as_ref(),
            far.timeouts.as_ref(),
            |near, far| v1::ListenerTimeouts {
                header: near.header.or(far.header),
                idle: near.idle.or(far.idle),
                stream_idle: near.stream_idle.or(far.stream_idle),
            },
        ),
        limits: part(near.limits.as_ref(), far.limits.as_ref(), |near, far| {
            v1::ListenerLimits {
                connections: near.connections.or(far.connections),
                header_bytes: near.header_bytes.or(far.header_bytes),
                headers: near.headers.or(far.headers),
                body_bytes: near.body_bytes.or(far.body_bytes),
                concurrent_streams: near.concurrent_streams.or(far.concurrent_streams),
            }
        }),
        forwarded_headers: part(
            near.forwarded_headers.as_ref(),
            far.forwarded_headers.as_ref(),
            |near, far| v1::ForwardedHeaders {
                trusted_hops: near.trusted_hops.or(far.trusted_hops),
                trusted_addresses: near.trusted_addresses.clone(),
            },
        ),
        upgrades: near.upgrades.clone(),
        access_log: part(
            near.access_log.as_ref(),
            far.access_log.as_ref(),
            |near, far| v1::AccessLog {
                path: first_text(&near.path, &far.path),
            },
        ),
        tracing: part(near.tracing.as_ref(), far.tracing.as_ref(), |near, far| {
            v1::Tracing {
                sample_percent: near.sample_percent.or(far.sample_percent),
            }
        }),
    }
}

/// Which certificates and which clients is the near one's.
fn listener_tls(near: &v1::ListenerTls, far: &v1::ListenerTls) -> v1::ListenerTls {
    let unspecified = near.min_version == i32::from(v1::TlsVersion::Unspecified);
    v1::ListenerTls {
        certificates: near.certificates.clone(),
        min_version: if unspecified {
            far.min_version
        } else {
            near.min_version
        },
        client_certificates: near.client_certificates.clone(),
        handshake_timeout: near.handshake_timeout.or(far.handshake_timeout),
    }
}

fn part<T: Clone>(near: Option<&T>, far: Option<&T>, both: impl Fn(&T, &T) -> T) -> Option<T> {
    match (near, far) {
        (Some(near), Some(far)) => Some(both(near, far)),
        (one, other) => one.or(other).cloned(),
    }
}

fn first_text(near: &str, far: &str) -> String {
    if near.is_empty() { far } else { near }.to_owned()
}

fn first_list<T: Clone>(near: &[T], far: &[T]) -> Vec<T> {
    if near.is_empty() { far } else { near }.to_vec()
}

fn timeouts(near: &v1::RouteTimeouts, far: &v1::RouteTimeouts) -> v1::RouteTimeouts {
    v1::RouteTimeouts {
        request: near.request.or(far.request),
        per_try: near.per_try.or(far.per_try),
    }
}

fn retry(near: &v1::Retry, far: &v1::Retry) -> v1::Retry {
    v1::Retry {
        on: first_list(&near.on, &far.on),
        retries: near.retries.or(far.retries),
        status_codes: first_list(&near.status_codes, &far.status_codes),
        backoff: part(near.backoff.as_ref(), far.backoff.as_ref(), |near, far| {
            v1::Backoff {
                base: near.base.or(far.base),
                max: near.max.or(far.max),
            }
        }),
    }
}

fn rate_limit(near: &v1::RateLimit, far: &v1::RateLimit) -> v1::RateLimit {
    v1::RateLimit {
        tokens: if near.tokens == 0 {
            far.tokens
        } else {
            near.tokens
        },
        per: near.per.or(far.per),
        burst: near.burst.or(far.burst),
        key: near.key.clone().or_else(|| far.key.clone()),
    }
}

fn load_balancer(near: &v1::LoadBalancer, far: &v1::LoadBalancer) -> v1::LoadBalancer {
    v1::LoadBalancer {
        policy: near.policy.or(far.policy),
        panic_threshold: near.panic_threshold.or(far.panic_threshold),
    }
}

fn circuit_breakers(near: &v1::CircuitBreakers, far: &v1::CircuitBreakers) -> v1::CircuitBreakers {
    v1::CircuitBreakers {
        connections: near.connections.or(far.connections),
        pending_requests: near.pending_requests.or(far.pending_requests),
        requests: near.requests.or(far.requests),
        retry_budget: part(
            near.retry_budget.as_ref(),
            far.retry_budget.as_ref(),
            |near, far| v1::RetryBudget {
                percent: near.percent.or(far.percent),
                min_concurrency: near.min_concurrency.or(far.min_concurrency),
                min_per_second: near.min_per_second.or(far.min_per_second),
            },
        ),
    }
}

fn outlier_detection(
    near: &v1::OutlierDetection,
    far: &v1::OutlierDetection,
) -> v1::OutlierDetection {
    v1::OutlierDetection {
        consecutive_5xx: near.consecutive_5xx.or(far.consecutive_5xx),
        consecutive_gateway_failure: near
            .consecutive_gateway_failure
            .or(far.consecutive_gateway_failure),
        consecutive_local_origin_failure: near
            .consecutive_local_origin_failure
            .or(far.consecutive_local_origin_failure),
        interval: near.interval.or(far.interval),
        base_ejection_time: near.base_ejection_time.or(far.base_ejection_time),
        max_ejection_time: near.max_ejection_time.or(far.max_ejection_time),
        max_ejection_percent: near.max_ejection_percent.or(far.max_ejection_percent),
        success_rate: part(
            near.success_rate.as_ref(),
            far.success_rate.as_ref(),
            |near, far| v1::SuccessRateOutlier {
                minimum_hosts: near.minimum_hosts.or(far.minimum_hosts),
                request_volume: near.request_volume.or(far.request_volume),
                stdev_factor: near.stdev_factor.or(far.stdev_factor),
                enforcing: near.enforcing.or(far.enforcing),
            },
        ),
        failure_percentage: part(
            near.failure_percentage.as_ref(),
            far.failure_percentage.as_ref(),
            |near, far| v1::FailurePercentageOutlier {
                threshold: near.threshold.or(far.threshold),
                minimum_hosts: near.minimum_hosts.or(far.minimum_hosts),
                request_volume: near.request_volume.or(far.request_volume),
                enforcing: near.enforcing.or(far.enforcing),
            },
        ),
        return_when_healthy: near.return_when_healthy.or(far.return_when_healthy),
        latency: part(near.latency.as_ref(), far.latency.as_ref(), |near, far| {
            v1::LatencyOutlier {
                minimum_hosts: near.minimum_hosts.or(far.minimum_hosts),
                request_volume: near.request_volume.or(far.request_volume),
                mad_factor: near.mad_factor.or(far.mad_factor),
                minimum_difference: near.minimum_difference.or(far.minimum_difference),
                enforcing: near.enforcing.or(far.enforcing),
            }
        }),
    }
}

fn connection(near: &v1::Connection, far: &v1::Connection) -> v1::Connection {
    v1::Connection {
        max: near.max.or(far.max),
        connect_timeout: near.connect_timeout.or(far.connect_timeout),
        idle_timeout: near.idle_timeout.or(far.idle_timeout),
        max_requests: near.max_requests.or(far.max_requests),
    }
}

/// Two layers of health checks; what is asked is the near one's, and the far one
/// completes it if it asks the same.
pub(super) fn health_check(near: &v1::HealthCheck, far: &v1::HealthCheck) -> v1::HealthCheck {
    use v1::health_check::Probe;

    let probe = match (&near.probe, &far.probe) {
        (Some(Probe::Http(near)), Some(Probe::Http(far))) => Some(Probe::Http(v1::HttpProbe {
            path: first_text(&near.path, &far.path),
            host: first_text(&near.host, &far.host),
            statuses: first_list(&near.statuses, &far.statuses),
        })),
        (near, _) => near.clone(),
    };
    v1::HealthCheck {
        probe,
        interval: near.interval.or(far.interval),
        timeout: near.timeout.or(far.timeout),
        healthy_threshold: near.healthy_threshold.or(far.healthy_threshold),
        unhealthy_threshold: near.unhealthy_threshold.or(far.unhealthy_threshold),
        jitter_percent: near.jitter_percent.or(far.jitter_percent),
        no_traffic_interval: near.no_traffic_interval.or(far.no_traffic_interval),
    }
}
