//! HTTP versions of a listener, and what goes with them.

use std::time::Duration;

use crate::ir::HttpProtocol;
use crate::units::Percent;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::text;
use crate::xds::decode::values::{is_false, number_or, percent_or, timeout};
use crate::xds::wire::{MAX_CONCURRENT_STREAMS, core, hcm};
use hcm::http_connection_manager as parts;

/// Envoy closes a connection after this long without a request.
const DEFAULT_IDLE: Duration = Duration::from_hours(1);
/// Envoy's bound on the header fields of a request.
const DEFAULT_HEADERS: u32 = 100;
/// Envoy's bound on HTTP/2 streams.
const DEFAULT_STREAMS: u32 = 1024;

/// Reads the HTTP versions.
pub(super) fn codec(from: i32, found: &mut Findings) -> Option<HttpProtocol> {
    match parts::CodecType::try_from(from) {
        Ok(parts::CodecType::Auto) => Some(HttpProtocol::Auto),
        Ok(parts::CodecType::Http1) => Some(HttpProtocol::Http1),
        Ok(parts::CodecType::Http2) => Some(HttpProtocol::Http2),
        Ok(parts::CodecType::Http3) => {
            found.invalid("codec_type", "HTTP3", "not supported by evenkeel")
        }
        Err(_) => found.invalid("codec_type", from, "must be a known codec"),
    }
}

/// The idle timeout and the bound on header fields.
pub(super) fn common(
    from: Option<core::HttpProtocolOptions>,
    found: &mut Findings,
) -> Option<(Option<Duration>, u32)> {
    use core::http_protocol_options::HeadersWithUnderscoresAction;

    found.at("common_http_protocol_options", |found| {
        let core::HttpProtocolOptions {
            idle_timeout,
            max_connection_duration,
            max_connection_duration_jitter,
            max_headers_count,
            max_response_headers_kb,
            max_stream_duration,
            headers_with_underscores_action,
            max_requests_per_connection,
        } = from.unwrap_or_default();
        let underscores = i32::from(HeadersWithUnderscoresAction::Allow);
        found.unsupported_if([(
            "headers_with_underscores_action",
            headers_with_underscores_action != underscores,
        )]);
        found.ignore_if([
            ("max_connection_duration", set(&max_connection_duration)),
            (
                "max_connection_duration_jitter",
                set(&max_connection_duration_jitter),
            ),
            ("max_response_headers_kb", set(&max_response_headers_kb)),
            ("max_stream_duration", set(&max_stream_duration)),
            (
                "max_requests_per_connection",
                set(&max_requests_per_connection),
            ),
        ]);
        let idle = timeout(idle_timeout, "idle_timeout", DEFAULT_IDLE, found);
        let headers = number_or(max_headers_count, DEFAULT_HEADERS);
        if headers == 0 {
            return found.invalid("max_headers_count", headers, "must be at least 1");
        }
        Some((idle?, headers))
    })
}

/// The bound on HTTP/2 streams.
pub(super) fn concurrent_streams(
    from: Option<core::Http2ProtocolOptions>,
    found: &mut Findings,
) -> Option<u32> {
    let mut rest = from.unwrap_or_default();
    let streams = number_or(rest.max_concurrent_streams.take(), DEFAULT_STREAMS);
    found.ignore_if([("http2_protocol_options", set(&rest))]);
    if !(1..=MAX_CONCURRENT_STREAMS).contains(&streams) {
        let field = "http2_protocol_options.max_concurrent_streams";
        return found.invalid(field, streams, "must be between 1 and 2147483647");
    }
    Some(streams)
}

/// A protocol that may be upgraded to; `Some(None)` if it is switched off.
pub(super) fn upgrade(from: parts::UpgradeConfig, found: &mut Findings) -> Read<Option<String>> {
    let parts::UpgradeConfig {
        upgrade_type,
        filters,
        enabled,
    } = from;
    if is_false(enabled.as_ref()) {
        return Some(None);
    }
    found.unsupported_if([("filters", set(&filters))]);
    let name = upgrade_type.to_ascii_lowercase();
    if name == "connect" || name == "connect-udp" {
        return found.invalid("upgrade_type", name, "not supported by evenkeel");
    }
    // A protocol may carry a version (RFC 9110, 7.8).
    if !name.split('/').all(text::is_token) {
        return found.invalid("upgrade_type", name, "must be the name of a protocol");
    }
    Some(Some(name))
}

/// The share of requests that start a trace; none without tracing.
pub(super) fn sampling(from: Option<parts::Tracing>, found: &mut Findings) -> Option<Percent> {
    let Some(from) = from else {
        return Some(Percent::ZERO);
    };
    found.at("tracing", |found| {
        let parts::Tracing {
            client_sampling,
            random_sampling,
            overall_sampling,
            verbose,
            max_path_tag_length,
            custom_tags,
            provider,
            spawn_upstream_span,
            operation,
            upstream_operation,
            no_context_propagation,
        } = from;
        let all = Percent::HUNDRED;
        let client = percent_or(client_sampling, "client_sampling", all, found);
        let random = percent_or(random_sampling, "random_sampling", all, found);
        let overall = percent_or(overall_sampling, "overall_sampling", all, found);
        found.ignore_if([
            ("client_sampling", client.is_some_and(|share| share != all)),
            ("verbose", verbose),
            ("max_path_tag_length", set(&max_path_tag_length)),
            ("custom_tags", set(&custom_tags)),
            ("provider", set(&provider)),
            ("spawn_upstream_span", set(&spawn_upstream_span)),
            ("operation", set(&operation)),
            ("upstream_operation", set(&upstream_operation)),
            ("no_context_propagation", no_context_propagation),
        ]);
        Some(random?.min(overall?))
    })
}
