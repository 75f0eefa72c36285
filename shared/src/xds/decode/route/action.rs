//! What a route does with a request.

use std::time::Duration;

use super::headers;
use super::{hashing, retry, rewrite};
use crate::ir;
use crate::names::ClusterName;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::text;
use crate::xds::decode::values::{is_true, number_or, timeout};
use crate::xds::wire::{core, pb, route};
use route::route_action::{ClusterSpecifier, HostRewriteSpecifier};

/// Envoy's bound on a whole request.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// What an action depends on.
pub(super) struct Context<'a> {
    /// The condition on the path.
    pub(super) path: &'a ir::PathMatch,
    /// See [`crate::xds::extras::RouteExtras::removes_prefix`].
    pub(super) removes_prefix: bool,
    /// The virtual host's policy, for routes without one.
    pub(super) retry: Option<&'a route::RetryPolicy>,
    /// Longest body of a direct response, in bytes.
    pub(super) max_body: u32,
}

/// Reads an action.
pub(super) fn action(
    from: Option<route::route::Action>,
    context: &Context<'_>,
    found: &mut Findings,
) -> Option<ir::Action> {
    use route::route::Action;

    match from {
        Some(Action::Route(from)) => found
            .at("route", |found| forward(from, context, found))
            .map(|forward| ir::Action::Forward(Box::new(forward))),
        Some(Action::Redirect(from)) => found
            .at("redirect", |found| redirect(from, context, found))
            .map(ir::Action::Redirect),
        Some(Action::DirectResponse(from)) => found
            .at("direct_response", |found| respond(from, context, found))
            .map(ir::Action::Respond),
        Some(Action::FilterAction(_)) => found.unsupported("filter_action"),
        Some(Action::NonForwardingAction(_)) => found.unsupported("non_forwarding_action"),
        None => found.fault("route", "is missing"),
    }
}

#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
fn forward(
    from: route::RouteAction,
    context: &Context<'_>,
    found: &mut Findings,
) -> Option<ir::Forward> {
    let route::RouteAction {
        cluster_not_found_response_code,
        metadata_match,
        prefix_rewrite,
        regex_rewrite,
        path_rewrite_policy,
        path_rewrite,
        append_x_forwarded_host,
        timeout: whole,
        idle_timeout,
        flush_timeout,
        early_data_policy,
        retry_policy,
        retry_policy_typed_config,
        request_mirror_policies,
        priority,
        rate_limits,
        include_vh_rate_limits,
        hash_policy,
        cors,
        max_grpc_timeout,
        grpc_timeout_offset,
        upgrade_configs,
        internal_redirect_policy,
        internal_redirect_action,
        max_internal_redirects,
        hedge_policy,
        max_stream_duration,
        cluster_specifier,
        host_rewrite_specifier,
    } = from;
    let lasts = |duration: Option<pb::Duration>| duration.is_some_and(|value| set(&value));
    let bounded = max_stream_duration.is_some_and(|bounds| {
        lasts(bounds.max_stream_duration)
            || lasts(bounds.grpc_timeout_header_max)
            || lasts(bounds.grpc_timeout_header_offset)
    });
    found.unsupported_if([
        ("metadata_match", set(&metadata_match)),
        ("path_rewrite_policy", set(&path_rewrite_policy)),
        ("append_x_forwarded_host", append_x_forwarded_host),
        ("retry_policy_typed_config", set(&retry_policy_typed_config)),
        ("request_mirror_policies", set(&request_mirror_policies)),
        ("upgrade_configs", set(&upgrade_configs)),
        ("internal_redirect_policy", set(&internal_redirect_policy)),
        ("internal_redirect_action", set(&internal_redirect_action)),
    ]);
    found.ignore_if([
        (
            "cluster_not_found_response_code",
            set(&cluster_not_found_response_code),
        ),
        ("idle_timeout", lasts(idle_timeout)),
        ("flush_timeout", set(&flush_timeout)),
        ("early_data_policy", set(&early_data_policy)),
        ("priority", set(&priority)),
        ("rate_limits", set(&rate_limits)),
        ("include_vh_rate_limits", set(&include_vh_rate_limits)),
        ("cors", set(&cors)),
        ("max_grpc_timeout", set(&max_grpc_timeout)),
        ("grpc_timeout_offset", set(&grpc_timeout_offset)),
        ("max_internal_redirects", set(&max_internal_redirects)),
        ("hedge_policy", set(&hedge_policy)),
        ("max_stream_duration", bounded),
    ]);
    let clusters = clusters(cluster_specifier, found);
    let timeout = timeout(whole, "timeout", DEFAULT_TIMEOUT, found);
    let policy = retry_policy.or_else(|| context.retry.cloned());
    let attempts = match policy {
        Some(policy) => found.at("retry_policy", |found| retry::attempts(policy, found)),
        None => Some(retry::Attempts::default()),
    };
    let rewrites = [
        set(&prefix_rewrite),
        regex_rewrite.is_some(),
        set(&path_rewrite),
    ];
    let path_rewrite = if rewrites.into_iter().filter(|used| *used).count() > 1 {
        found.fault(
            "",
            "must have at most one of prefix_rewrite, regex_rewrite, path_rewrite",
        )
    } else if set(&prefix_rewrite) {
        rewrite::prefix(prefix_rewrite, context.path, found).map(Some)
    } else if let Some(from) = regex_rewrite {
        rewrite::regex(from, context.removes_prefix, context.path, found).map(Some)
    } else if set(&path_rewrite) {
        rewrite::formatted(&path_rewrite, found).map(Some)
    } else {
        Some(None)
    };
    let host_rewrite = host_rewrite(host_rewrite_specifier, found);
    let hash_policy = hashing::policies(hash_policy, found);
    let attempts = attempts?;
    Some(ir::Forward {
        clusters: clusters?,
        timeout: timeout?,
        per_try_timeout: attempts.per_try_timeout,
        retry: attempts.retry,
        path_rewrite: path_rewrite?,
        host_rewrite: host_rewrite?,
        hash_policy: hash_policy?,
    })
}

fn clusters(
    from: Option<ClusterSpecifier>,
    found: &mut Findings,
) -> Option<Vec<ir::WeightedCluster>> {
    match from {
        Some(ClusterSpecifier::Cluster(name)) => {
            let name = ClusterName::new(text::name(name, "cluster", found)?);
            Some(vec![ir::WeightedCluster { name, weight: 1 }])
        }
        Some(ClusterSpecifier::WeightedClusters(from)) => {
            found.at("weighted_clusters", |found| weighted_clusters(from, found))
        }
        Some(ClusterSpecifier::ClusterHeader(_)) => found.unsupported("cluster_header"),
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => {
            found.unsupported("cluster_specifier_plugin")
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
            found.unsupported("inline_cluster_specifier_plugin")
        }
        None => found.fault("cluster", "is missing"),
    }
}

#[expect(deprecated, reason = "names every field of the message once")]
fn weighted_clusters(
    from: route::WeightedCluster,
    found: &mut Findings,
) -> Option<Vec<ir::WeightedCluster>> {
    let route::WeightedCluster {
        clusters,
        total_weight,
        runtime_key_prefix,
        random_value_specifier,
    } = from;
    found.unsupported_if([("random_value_specifier", set(&random_value_specifier))]);
    found.ignore_if([("runtime_key_prefix", set(&runtime_key_prefix))]);
    let clusters = found.each("clusters", clusters, cluster_weight)?;
    let sum: u64 = clusters.iter().map(|part| u64::from(part.weight)).sum();
    if sum == 0 || u32::try_from(sum).is_err() {
        let rule = "the sum of weights must be between 1 and 4294967295";
        return found.invalid("clusters", sum, rule);
    }
    if let Some(total) = total_weight.filter(|total| u64::from(total.value) != sum) {
        let rule = "must be the sum of weights";
        return found.invalid("total_weight", total.value, rule);
    }
    Some(clusters)
}

fn cluster_weight(
    from: route::weighted_cluster::ClusterWeight,
    found: &mut Findings,
) -> Option<ir::WeightedCluster> {
    let route::weighted_cluster::ClusterWeight {
        name,
        cluster_header,
        weight,
        metadata_match,
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        typed_per_filter_config,
        host_rewrite_specifier,
    } = from;
    let edits = headers::Wire {
        request_add: request_headers_to_add,
        request_remove: request_headers_to_remove,
        response_add: response_headers_to_add,
        response_remove: response_headers_to_remove,
    };
    found.unsupported_if([
        ("cluster_header", set(&cluster_header)),
        ("metadata_match", set(&metadata_match)),
        ("request_headers_to_add", !edits.is_empty()),
        ("typed_per_filter_config", set(&typed_per_filter_config)),
        ("host_rewrite_specifier", set(&host_rewrite_specifier)),
    ]);
    Some(ir::WeightedCluster {
        name: ClusterName::new(text::name(name, "name", found)?),
        weight: number_or(weight, 0),
    })
}

fn host_rewrite(from: Option<HostRewriteSpecifier>, found: &mut Findings) -> Read<Option<String>> {
    match from {
        None => Some(None),
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            text::host(host, "host_rewrite_literal", found).map(Some)
        }
        Some(HostRewriteSpecifier::HostRewrite(host)) => {
            let host = text::without_variables(&host, "host_rewrite", found)?;
            text::host(host, "host_rewrite", found).map(Some)
        }
        Some(HostRewriteSpecifier::AutoHostRewrite(auto)) if !is_true(Some(&auto)) => Some(None),
        Some(HostRewriteSpecifier::AutoHostRewrite(_)) => found.unsupported("auto_host_rewrite"),
        Some(HostRewriteSpecifier::HostRewriteHeader(_)) => {
            found.unsupported("host_rewrite_header")
        }
        Some(HostRewriteSpecifier::HostRewritePathRegex(_)) => {
            found.unsupported("host_rewrite_path_regex")
        }
    }
}

fn redirect(
    from: route::RedirectAction,
    context: &Context<'_>,
    found: &mut Findings,
) -> Option<ir::Redirect> {
    use route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode};

    let route::RedirectAction {
        host_redirect,
        port_redirect,
        response_code,
        strip_query,
        scheme_rewrite_specifier,
        path_rewrite_specifier,
    } = from;
    found.unsupported_if([("strip_query", strip_query)]);
    let scheme = scheme(scheme_rewrite_specifier, found);
    let host = match host_redirect {
        host if host.is_empty() => Some(None),
        host => text::host(host, "host_redirect", found).map(Some),
    };
    let port = match u16::try_from(port_redirect) {
        Ok(port) => Some((port > 0).then_some(port)),
        Err(_) => found.invalid("port_redirect", port_redirect, "must be at most 65535"),
    };
    let status = match RedirectResponseCode::try_from(response_code) {
        Ok(RedirectResponseCode::MovedPermanently) => Some(301),
        Ok(RedirectResponseCode::Found) => Some(302),
        Ok(RedirectResponseCode::SeeOther) => Some(303),
        Ok(RedirectResponseCode::TemporaryRedirect) => Some(307),
        Ok(RedirectResponseCode::PermanentRedirect) => Some(308),
        Err(_) => found.invalid("response_code", response_code, "must be a known status"),
    };
    let path = match path_rewrite_specifier {
        None => Some(None),
        Some(PathRewriteSpecifier::PrefixRewrite(to)) if to.is_empty() => Some(None),
        Some(PathRewriteSpecifier::PathRedirect(to)) if to.is_empty() => Some(None),
        Some(PathRewriteSpecifier::PrefixRewrite(to)) => {
            rewrite::prefix(to, context.path, found).map(Some)
        }
        Some(PathRewriteSpecifier::PathRedirect(to)) => {
            rewrite::full(to, "path_redirect", found).map(Some)
        }
        Some(PathRewriteSpecifier::RegexRewrite(from)) => {
            rewrite::regex(from, context.removes_prefix, context.path, found).map(Some)
        }
        Some(PathRewriteSpecifier::PathRewrite(to)) => rewrite::formatted(&to, found).map(Some),
    };
    Some(ir::Redirect {
        scheme: scheme?,
        host: host?,
        port: port?,
        path: path?,
        status: status?,
    })
}

fn scheme(
    from: Option<route::redirect_action::SchemeRewriteSpecifier>,
    found: &mut Findings,
) -> Read<Option<String>> {
    use route::redirect_action::SchemeRewriteSpecifier;

    match from {
        None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => Some(None),
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some(Some("https".to_owned())),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => {
            let lower = scheme.to_ascii_lowercase();
            match lower.as_str() {
                "" => Some(None),
                "http" | "https" => Some(Some(lower)),
                _ => found.invalid("scheme_redirect", scheme, "must be http or https"),
            }
        }
    }
}

fn respond(
    from: route::DirectResponseAction,
    context: &Context<'_>,
    found: &mut Findings,
) -> Option<ir::Respond> {
    use core::data_source::Specifier;

    let route::DirectResponseAction {
        status,
        body,
        body_format,
    } = from;
    found.unsupported_if([("body_format", set(&body_format))]);
    let code = u16::try_from(status)
        .ok()
        .filter(|status| (200..600).contains(status))
        .or_else(|| found.invalid("status", status, "must be between 200 and 599"));
    let body = match body.and_then(|body| body.specifier) {
        None => Some(String::new()),
        Some(Specifier::InlineString(text)) => Some(text),
        Some(Specifier::InlineBytes(bytes)) => String::from_utf8(bytes)
            .ok()
            .or_else(|| found.fault("body.inline_bytes", "must be text")),
        Some(Specifier::Filename(_)) => found.unsupported("body.filename"),
        Some(Specifier::EnvironmentVariable(_)) => found.unsupported("body.environment_variable"),
    };
    let body = body?;
    if u32::try_from(body.len()).map_or(true, |length| length > context.max_body) {
        let rule = format!("must be at most {} bytes", context.max_body);
        return found.fault("body", rule);
    }
    Some(ir::Respond {
        status: code?,
        body,
    })
}
