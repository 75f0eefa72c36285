//! The defaults, as the layer behind every resource and policy. The comments of
//! the protocol files state the same values.

use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::load_balancer::Policy as Algorithm;

const fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

const fn millis(millis: i32) -> prost_types::Duration {
    prost_types::Duration {
        seconds: 0,
        nanos: millis * 1_000_000,
    }
}

/// In which time latency is forgotten.
pub(super) const DECAY: prost_types::Duration = seconds(10);
/// What a failure costs beside its time.
pub(super) const FAILURE_PENALTY: prost_types::Duration = seconds(5);

/// What holds where `explicit` says nothing. A default that depends on another
/// value follows it: an attempt may not take longer than its request, and a
/// bucket is as large as what fills it.
pub(super) fn policy(explicit: &v1::Policy) -> v1::Policy {
    v1::Policy {
        timeouts: Some(timeouts(explicit.timeouts.as_ref())),
        retry: Some(v1::Retry {
            on: [
                "gateway-error",
                "reset",
                "connect-failure",
                "refused-stream",
            ]
            .map(str::to_owned)
            .to_vec(),
            retries: Some(2),
            status_codes: Vec::new(),
            backoff: Some(v1::Backoff {
                base: Some(millis(25)),
                max: Some(millis(250)),
            }),
        }),
        rate_limit: explicit.rate_limit.as_ref().map(|limit| v1::RateLimit {
            tokens: 0,
            per: Some(seconds(1)),
            burst: Some(limit.tokens),
            key: None,
        }),
        load_balancer: Some(load_balancer(explicit.load_balancer.as_ref())),
        circuit_breakers: Some(v1::CircuitBreakers {
            connections: Some(1024),
            pending_requests: Some(1024),
            requests: Some(1024),
            retry_budget: Some(v1::RetryBudget {
                percent: Some(20.0),
                min_concurrency: Some(10),
                min_per_second: Some(10),
            }),
        }),
        outlier_detection: Some(outlier_detection(explicit.outlier_detection.as_ref())),
        connection: Some(v1::Connection {
            max: None,
            connect_timeout: Some(seconds(1)),
            idle_timeout: Some(seconds(60)),
            max_requests: Some(0),
        }),
    }
}

/// What compares endpoints needs more requests than come in a second.
fn outlier_detection(explicit: Option<&v1::OutlierDetection>) -> v1::OutlierDetection {
    let explicit = explicit.copied().unwrap_or_default();
    let compares = explicit.success_rate.is_some()
        || explicit.failure_percentage.is_some()
        || explicit.latency.is_some();
    v1::OutlierDetection {
        consecutive_5xx: Some(5),
        consecutive_gateway_failure: Some(5),
        consecutive_local_origin_failure: Some(5),
        interval: Some(seconds(if compares { 10 } else { 1 })),
        base_ejection_time: Some(seconds(30)),
        max_ejection_time: Some(seconds(300)),
        max_ejection_percent: Some(50),
        success_rate: explicit.success_rate.map(|_| v1::SuccessRateOutlier {
            minimum_hosts: Some(5),
            request_volume: Some(100),
            stdev_factor: Some(1900),
            enforcing: Some(100),
        }),
        failure_percentage: explicit
            .failure_percentage
            .map(|_| v1::FailurePercentageOutlier {
                threshold: Some(85),
                minimum_hosts: Some(5),
                request_volume: Some(50),
                enforcing: Some(100),
            }),
        latency: explicit.latency.map(|_| v1::LatencyOutlier {
            minimum_hosts: Some(3),
            request_volume: Some(50),
            mad_factor: Some(5000),
            minimum_difference: Some(millis(50)),
            enforcing: Some(100),
        }),
        return_when_healthy: Some(true),
    }
}

/// The settings of the algorithm that is meant. A full scan draws nothing.
fn load_balancer(explicit: Option<&v1::LoadBalancer>) -> v1::LoadBalancer {
    let policy = match explicit.and_then(|balancer| balancer.policy) {
        Some(Algorithm::RingHash(_)) => Algorithm::RingHash(v1::RingHash {
            min_size: Some(ir::RingHash::DEFAULT_MIN_SIZE),
            max_size: Some(ir::RingHash::MAX_SIZE),
            balance_factor: None,
        }),
        Some(Algorithm::Maglev(_)) => Algorithm::Maglev(v1::Maglev {
            table_size: Some(ir::Maglev::DEFAULT_TABLE_SIZE),
            balance_factor: None,
        }),
        Some(Algorithm::PeakEwma(_)) => Algorithm::PeakEwma(v1::PeakEwma {
            decay: Some(DECAY),
            failure_penalty: Some(FAILURE_PENALTY),
        }),
        other => {
            let full_scan =
                matches!(other, Some(Algorithm::LeastRequest(least)) if least.full_scan);
            Algorithm::LeastRequest(v1::LeastRequest {
                choices: (!full_scan).then_some(2),
                full_scan: false,
            })
        }
    };
    v1::LoadBalancer {
        policy: Some(policy),
        panic_threshold: Some(50.0),
    }
}

fn timeouts(explicit: Option<&v1::RouteTimeouts>) -> v1::RouteTimeouts {
    const PER_TRY: i64 = 5;
    let request = explicit.and_then(|timeouts| timeouts.request);
    let shorter = request.filter(|request| {
        let off = request.seconds == 0 && request.nanos == 0;
        !off && request.seconds < PER_TRY
    });
    v1::RouteTimeouts {
        request: Some(seconds(15)),
        per_try: shorter.or(Some(seconds(PER_TRY))),
    }
}

/// Where most systems keep the authorities they trust.
pub(super) const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What holds where `explicit` says nothing and no policy can. That it is a file
/// tells the default of `tls.trust` from the name of a secret.
pub(super) fn cluster(explicit: &v1::Cluster) -> v1::Cluster {
    let tls = explicit.tls.as_ref().map(|tls| v1::ClusterTls {
        trust: if tls.insecure_skip_verify {
            String::new()
        } else {
            SYSTEM_TRUST.to_owned()
        },
        min_version: v1::TlsVersion::Tls12.into(),
        ..v1::ClusterTls::default()
    });
    v1::Cluster {
        protocol: v1::ClusterProtocol::Http1.into(),
        tls,
        health_check: explicit.health_check.as_ref().map(health_check),
        proxy_protocol: v1::ProxyProtocolVersion::None.into(),
        ..v1::Cluster::default()
    }
}

/// What holds where `explicit` says nothing. Before the first request, an
/// endpoint is asked as often as later.
pub(super) fn health_check(explicit: &v1::HealthCheck) -> v1::HealthCheck {
    use v1::health_check::Probe;

    let probe = explicit.probe.as_ref().map(|probe| match probe {
        Probe::Http(_) => Probe::Http(v1::HttpProbe {
            path: "/".to_owned(),
            host: String::new(),
            statuses: vec![200],
        }),
        Probe::Tcp(tcp) => Probe::Tcp(*tcp),
        Probe::Grpc(_) => Probe::Grpc(v1::GrpcProbe::default()),
    });
    let interval = explicit.interval.or(Some(seconds(5)));
    v1::HealthCheck {
        probe,
        interval,
        timeout: Some(seconds(1)),
        healthy_threshold: Some(2),
        unhealthy_threshold: Some(3),
        jitter_percent: Some(10),
        no_traffic_interval: interval,
    }
}

/// What holds where `explicit` says nothing.
pub(super) fn listener(explicit: &v1::Listener) -> v1::Listener {
    v1::Listener {
        tls: explicit.tls.as_ref().map(|_| v1::ListenerTls {
            min_version: v1::TlsVersion::Tls12.into(),
            handshake_timeout: Some(seconds(10)),
            ..v1::ListenerTls::default()
        }),
        proxy_protocol: None,
        address: String::new(),
        protocol: v1::ListenerProtocol::Http.into(),
        timeouts: Some(v1::ListenerTimeouts {
            header: Some(seconds(10)),
            idle: Some(seconds(60)),
            stream_idle: Some(seconds(300)),
        }),
        limits: Some(v1::ListenerLimits {
            connections: Some(10_000),
            header_bytes: Some(61_440),
            headers: Some(100),
            body_bytes: Some(0),
            concurrent_streams: Some(100),
        }),
        forwarded_headers: Some(v1::ForwardedHeaders {
            trusted_hops: Some(0),
            trusted_addresses: Vec::new(),
        }),
        upgrades: Vec::new(),
        access_log: explicit.access_log.as_ref().map(|_| v1::AccessLog {
            path: "stdout".to_owned(),
        }),
        tracing: Some(v1::Tracing {
            sample_percent: Some(1.0),
        }),
    }
}
