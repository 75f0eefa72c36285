//! `HttpConnectionManager`.

use std::time::Duration;

use super::{access_log, filters, protocol};
use crate::ir::{AccessLog, HttpProtocol, RouteSource, Timeouts};
use crate::names::RouteTableName;
use crate::units::Percent;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::decode::route::route_table;
use crate::xds::decode::text;
use crate::xds::decode::values::{duration, is_false, is_true, number_or, own_stream, timeout};
use crate::xds::wire::{MAX_HEADERS_KIB, hcm, pb};
use hcm::http_connection_manager as parts;

/// Envoy's bound on a stream without a byte.
const DEFAULT_STREAM_IDLE: Duration = Duration::from_mins(5);
/// Envoy's bound on the bytes of a request's header fields.
const DEFAULT_HEADERS_KIB: u32 = 60;

/// What a connection manager says of its listener.
pub(super) struct Manager {
    pub(super) protocol: HttpProtocol,
    pub(super) routes: RouteSource,
    pub(super) timeouts: Timeouts,
    pub(super) header_bytes: u32,
    pub(super) headers: u32,
    pub(super) concurrent_streams: u32,
    pub(super) trusted_hops: u32,
    pub(super) upgrades: Vec<String>,
    pub(super) access_log: Option<AccessLog>,
    pub(super) trace_sampling: Percent,
}

/// Reads a connection manager. Paths are always normalised and escaped slashes
/// always kept, so a wish for anything looser has no effect, and one for
/// anything else is refused. Endpoints learn who a client is where certificates
/// of clients are `verified`, and only from the proxy.
#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(super) fn manager(
    from: hcm::HttpConnectionManager,
    verified: bool,
    found: &mut Findings,
) -> Option<Manager> {
    let hcm::HttpConnectionManager {
        codec_type,
        // Names statistics.
        stat_prefix: _,
        http_filters,
        add_user_agent,
        tracing,
        common_http_protocol_options,
        http1_safe_max_connection_duration,
        http_protocol_options,
        http2_protocol_options,
        http3_protocol_options,
        server_name,
        server_header_transformation,
        scheme_header_transformation,
        max_request_headers_kb,
        stream_idle_timeout,
        stream_flush_timeout,
        request_timeout,
        request_headers_timeout,
        drain_timeout,
        drain_timeout_jitter,
        delayed_close_timeout,
        access_log,
        access_log_flush_interval,
        flush_access_log_on_new_request,
        access_log_options,
        use_remote_address,
        xff_num_trusted_hops,
        original_ip_detection_extensions,
        early_header_mutation_extensions,
        internal_address_config,
        skip_xff_append,
        via,
        generate_request_id,
        preserve_external_request_id,
        always_set_request_id_in_response,
        forward_client_cert_details,
        set_current_client_cert_details,
        forward_client_cert_matcher,
        proxy_100_continue,
        represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        upgrade_configs,
        normalize_path,
        merge_slashes,
        path_with_escaped_slashes_action,
        request_id_extension,
        local_reply_config,
        strip_matching_host_port,
        stream_error_on_invalid_http_message,
        path_normalization_options,
        strip_trailing_host_dot,
        proxy_status_config,
        typed_header_validation_config,
        append_x_forwarded_port,
        append_local_overload,
        add_proxy_protocol_connection_state,
        forward_proto_config,
        route_specifier,
        strip_port_mode,
    } = from;
    let slashes = parts::PathWithEscapedSlashesAction::try_from(path_with_escaped_slashes_action);
    let keeps_slashes = matches!(
        slashes,
        Ok(
            parts::PathWithEscapedSlashesAction::ImplementationSpecificDefault
                | parts::PathWithEscapedSlashesAction::KeepUnchanged
        )
    );
    found.unsupported_if([
        (
            "original_ip_detection_extensions",
            set(&original_ip_detection_extensions),
        ),
        (
            "early_header_mutation_extensions",
            set(&early_header_mutation_extensions),
        ),
        ("skip_xff_append", skip_xff_append),
        (
            "forward_client_cert_matcher",
            set(&forward_client_cert_matcher),
        ),
        ("merge_slashes", merge_slashes),
        ("path_with_escaped_slashes_action", !keeps_slashes),
        (
            "path_normalization_options",
            set(&path_normalization_options),
        ),
        ("strip_matching_host_port", strip_matching_host_port),
        ("strip_port_mode", set(&strip_port_mode)),
        ("strip_trailing_host_dot", strip_trailing_host_dot),
        ("forward_proto_config", set(&forward_proto_config)),
    ]);
    found.ignore_if([
        ("add_user_agent", is_true(add_user_agent.as_ref())),
        (
            "http1_safe_max_connection_duration",
            http1_safe_max_connection_duration,
        ),
        ("http_protocol_options", set(&http_protocol_options)),
        ("http3_protocol_options", set(&http3_protocol_options)),
        ("server_name", set(&server_name)),
        (
            "server_header_transformation",
            set(&server_header_transformation),
        ),
        (
            "scheme_header_transformation",
            set(&scheme_header_transformation),
        ),
        ("stream_flush_timeout", set(&stream_flush_timeout)),
        ("request_timeout", lasting(request_timeout)),
        ("drain_timeout", set(&drain_timeout)),
        ("drain_timeout_jitter", set(&drain_timeout_jitter)),
        ("delayed_close_timeout", set(&delayed_close_timeout)),
        ("access_log_flush_interval", set(&access_log_flush_interval)),
        (
            "flush_access_log_on_new_request",
            flush_access_log_on_new_request,
        ),
        ("access_log_options", set(&access_log_options)),
        ("use_remote_address", !is_true(use_remote_address.as_ref())),
        ("internal_address_config", set(&internal_address_config)),
        ("via", set(&via)),
        (
            "generate_request_id",
            is_false(generate_request_id.as_ref()),
        ),
        ("preserve_external_request_id", preserve_external_request_id),
        (
            "always_set_request_id_in_response",
            always_set_request_id_in_response,
        ),
        ("proxy_100_continue", proxy_100_continue),
        (
            "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
            represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        ),
        ("normalize_path", is_false(normalize_path.as_ref())),
        ("request_id_extension", set(&request_id_extension)),
        ("local_reply_config", set(&local_reply_config)),
        (
            "stream_error_on_invalid_http_message",
            set(&stream_error_on_invalid_http_message),
        ),
        ("proxy_status_config", set(&proxy_status_config)),
        (
            "typed_header_validation_config",
            set(&typed_header_validation_config),
        ),
        ("append_x_forwarded_port", append_x_forwarded_port),
        ("append_local_overload", append_local_overload),
        (
            "add_proxy_protocol_connection_state",
            set(&add_proxy_protocol_connection_state),
        ),
    ]);
    client_certificates(
        forward_client_cert_details,
        set_current_client_cert_details,
        verified,
        found,
    );
    filters::check(http_filters, found);
    let codec = protocol::codec(codec_type, found);
    let http1 = protocol::common(common_http_protocol_options, found);
    let http2 = protocol::concurrent_streams(http2_protocol_options, found);
    let header = duration(request_headers_timeout, "request_headers_timeout", found);
    let stream_idle = timeout(
        stream_idle_timeout,
        "stream_idle_timeout",
        DEFAULT_STREAM_IDLE,
        found,
    );
    let header_bytes = header_bytes(max_request_headers_kb, found);
    let upgrades = found.each("upgrade_configs", upgrade_configs, protocol::upgrade);
    let access_log = access_log::access_log(access_log, found);
    let trace_sampling = protocol::sampling(tracing, found);
    let routes = routes(route_specifier, found);
    let (idle, headers) = http1?;
    Some(Manager {
        protocol: codec?,
        routes: routes?,
        timeouts: Timeouts {
            header: header?.filter(|timeout| !timeout.is_zero()),
            idle,
            stream_idle: stream_idle?,
        },
        header_bytes: header_bytes?,
        headers,
        concurrent_streams: http2?,
        trusted_hops: xff_num_trusted_hops,
        upgrades: upgrades?.into_iter().flatten().collect(),
        access_log: access_log?,
        trace_sampling: trace_sampling?,
    })
}

fn lasting(timeout: Option<pb::Duration>) -> bool {
    timeout.is_some_and(|timeout| set(&timeout))
}

/// Checks that endpoints are told nothing of a client but what its certificate
/// says. They are told so wherever certificates are verified.
fn client_certificates(
    forward: i32,
    details: Option<parts::SetCurrentClientCertDetails>,
    verified: bool,
    found: &mut Findings,
) {
    use parts::ForwardClientCertDetails::{Sanitize, SanitizeSet};

    let field = "forward_client_cert_details";
    let told = match parts::ForwardClientCertDetails::try_from(forward) {
        Ok(SanitizeSet) => verified,
        Ok(Sanitize) => {
            found.ignore_if([(field, verified)]);
            false
        }
        _ => {
            found.unsupported::<()>(field);
            return;
        }
    };
    let whole = parts::SetCurrentClientCertDetails {
        subject: Some(pb::BoolValue { value: true }),
        dns: true,
        uri: true,
        ..parts::SetCurrentClientCertDetails::default()
    };
    let differs = if told {
        details != Some(whole)
    } else {
        set(&details)
    };
    found.ignore_if([("set_current_client_cert_details", differs)]);
}

fn header_bytes(from: Option<pb::UInt32Value>, found: &mut Findings) -> Option<u32> {
    let kib = number_or(from, DEFAULT_HEADERS_KIB);
    if !(1..=MAX_HEADERS_KIB).contains(&kib) {
        let rule = "must be between 1 and 8192";
        return found.invalid("max_request_headers_kb", kib, rule);
    }
    Some(kib * 1024)
}

fn routes(from: Option<parts::RouteSpecifier>, found: &mut Findings) -> Option<RouteSource> {
    match from {
        Some(parts::RouteSpecifier::Rds(hcm::Rds {
            config_source,
            route_config_name,
        })) => found.at("rds", |found| {
            let source = own_stream(config_source, "config_source", found);
            let name = text::name(route_config_name, "route_config_name", found);
            source?;
            Some(RouteSource::Named(RouteTableName::new(name?)))
        }),
        Some(parts::RouteSpecifier::RouteConfig(table)) => found
            .at("route_config", |found| route_table(table, found))
            .map(RouteSource::Inline),
        Some(parts::RouteSpecifier::ScopedRoutes(_)) => found.unsupported("scoped_routes"),
        None => found.fault("rds", "is missing"),
    }
}
