//! The HTTP version spoken with a cluster, and what goes with it.

use std::collections::HashMap;
use std::time::Duration;

use crate::ir::UpstreamProtocol;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::values::{timeout, unpack};
use crate::xds::wire::{UPSTREAM_HTTP, core, pb, upstream_http};
use upstream_http::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
};

/// Envoy closes a connection after this long without a request.
const DEFAULT_IDLE: Duration = Duration::from_hours(1);

/// What stood in the cluster itself before it had a message of its own; without
/// that message it still holds.
pub(super) struct Legacy {
    /// Idle timeout.
    pub(super) common: Option<core::HttpProtocolOptions>,
    /// Whether HTTP/2 is spoken.
    pub(super) http2: bool,
    /// Requests on a connection.
    pub(super) max_requests: Option<pb::UInt32Value>,
    /// Names derived from requests.
    pub(super) upstream: Option<core::UpstreamHttpProtocolOptions>,
}

/// What is spoken.
pub(super) struct Spoken {
    /// HTTP version.
    pub(super) version: UpstreamProtocol,
    /// As in [`crate::ir::Connection`].
    pub(super) idle_timeout: Option<Duration>,
    /// As in [`crate::ir::Connection`].
    pub(super) max_requests: Option<u32>,
}

/// Reads the options of a cluster by the name of their extension.
pub(super) fn protocol(
    mut extensions: HashMap<String, pb::Any>,
    legacy: Legacy,
    encrypted: bool,
    found: &mut Findings,
) -> Option<Spoken> {
    let ours = extensions.remove(UPSTREAM_HTTP);
    let mut unknown: Vec<String> = extensions.into_keys().collect();
    unknown.sort_unstable();
    for name in unknown {
        found.unsupported::<()>(&format!("typed_extension_protocol_options[{name:?}]"));
    }
    let Some(config) = ours else {
        derived_names(legacy.upstream, encrypted, found);
        let version = if legacy.http2 {
            UpstreamProtocol::Http2
        } else {
            UpstreamProtocol::Http1
        };
        return common(version, legacy.common, legacy.max_requests, found);
    };
    found.ignore_if([("upstream_http_protocol_options", set(&legacy.upstream))]);
    let field = format!("typed_extension_protocol_options[{UPSTREAM_HTTP:?}]");
    found.at(&field, |found| {
        let options = unpack(&config, found)?;
        explicit(options, legacy.max_requests, encrypted, found)
    })
}

/// The name that an endpoint is asked for, and that its certificate must carry,
/// is one for the whole cluster; in the clear there is none.
fn derived_names(
    from: Option<core::UpstreamHttpProtocolOptions>,
    encrypted: bool,
    found: &mut Findings,
) {
    let field = "upstream_http_protocol_options";
    if !encrypted {
        return found.ignore_if([(field, set(&from))]);
    }
    found.at(field, |found| {
        let core::UpstreamHttpProtocolOptions {
            auto_sni,
            auto_san_validation,
            // Says where those two look.
            override_auto_sni_header: _,
        } = from.unwrap_or_default();
        found.unsupported_if([
            ("auto_sni", auto_sni),
            ("auto_san_validation", auto_san_validation),
        ]);
    });
}

fn explicit(
    from: upstream_http::HttpProtocolOptions,
    max_requests: Option<pb::UInt32Value>,
    encrypted: bool,
    found: &mut Findings,
) -> Option<Spoken> {
    let upstream_http::HttpProtocolOptions {
        common_http_protocol_options,
        upstream_http_protocol_options,
        http_filters,
        header_validation_config,
        outlier_detection,
        request_mirror_policies,
        hash_policy,
        retry_policy,
        upstream_protocol_options,
    } = from;
    let codec = "envoy.filters.http.upstream_codec";
    found.unsupported_if([
        (
            "http_filters",
            http_filters.iter().any(|filter| filter.name != codec),
        ),
        ("request_mirror_policies", set(&request_mirror_policies)),
        ("retry_policy", set(&retry_policy)),
        ("outlier_detection", set(&outlier_detection)),
    ]);
    derived_names(upstream_http_protocol_options, encrypted, found);
    found.ignore_if([
        ("header_validation_config", set(&header_validation_config)),
        ("hash_policy", set(&hash_policy)),
    ]);
    let version = match upstream_protocol_options {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config,
        })) => found.at("explicit_http_config", |found| {
            version(protocol_config, found)
        }),
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(_)) => {
            found.unsupported("use_downstream_protocol_config")
        }
        Some(UpstreamProtocolOptions::AutoConfig(_)) => found.unsupported("auto_config"),
        None => found.fault("explicit_http_config", "is missing"),
    };
    common(version?, common_http_protocol_options, max_requests, found)
}

fn version(from: Option<ProtocolConfig>, found: &mut Findings) -> Option<UpstreamProtocol> {
    match from {
        Some(ProtocolConfig::HttpProtocolOptions(tuning)) => {
            found.ignore_if([("http_protocol_options", set(&tuning))]);
            Some(UpstreamProtocol::Http1)
        }
        Some(ProtocolConfig::Http2ProtocolOptions(tuning)) => {
            found.ignore_if([("http2_protocol_options", set(&tuning))]);
            Some(UpstreamProtocol::Http2)
        }
        Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
            found.unsupported("http3_protocol_options")
        }
        None => found.fault("", "must name an HTTP version"),
    }
}

fn common(
    version: UpstreamProtocol,
    from: Option<core::HttpProtocolOptions>,
    legacy_max_requests: Option<pb::UInt32Value>,
    found: &mut Findings,
) -> Option<Spoken> {
    found.at("common_http_protocol_options", |found| {
        let core::HttpProtocolOptions {
            idle_timeout,
            max_connection_duration,
            max_connection_duration_jitter,
            max_headers_count,
            max_response_headers_kb,
            max_stream_duration,
            headers_with_underscores_action: _,
            max_requests_per_connection,
        } = from.unwrap_or_default();
        found.ignore_if([
            ("max_connection_duration", set(&max_connection_duration)),
            (
                "max_connection_duration_jitter",
                set(&max_connection_duration_jitter),
            ),
            ("max_headers_count", set(&max_headers_count)),
            ("max_response_headers_kb", set(&max_response_headers_kb)),
            ("max_stream_duration", set(&max_stream_duration)),
        ]);
        let max = max_requests_per_connection.or(legacy_max_requests);
        Some(Spoken {
            version,
            idle_timeout: timeout(idle_timeout, "idle_timeout", DEFAULT_IDLE, found)?,
            max_requests: max.map(|max| max.value).filter(|max| *max > 0),
        })
    })
}
