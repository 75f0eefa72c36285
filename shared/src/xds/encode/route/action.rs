//! What a route does with a request.

use envoy_types::util::pack_any;

use crate::ir;
use crate::xds::encode::values::{duration, duration_or_zero, number, regex};
use crate::xds::wire::{
    HOST_SELECTION_ATTEMPTS, PREVIOUS_HOSTS, RETRY_TOKENS, core, matcher, previous_hosts, route,
};

/// Writes an action, and says whether a prefix is removed (see
/// [`crate::xds::extras::RouteExtras::removes_prefix`]).
pub(super) fn action(from: &ir::Action, path: &ir::PathMatch) -> (route::route::Action, bool) {
    match from {
        ir::Action::Forward(forward) => {
            let rewrite = forward.path_rewrite.as_ref().map(|to| rewrite(to, path));
            let removes = matches!(rewrite, Some(Rewrite::RemovePrefix(_)));
            let action = route::route::Action::Route(route_action(forward, rewrite));
            (action, removes)
        }
        ir::Action::Redirect(to) => {
            let rewrite = to.path.as_ref().map(|to| rewrite(to, path));
            let removes = matches!(rewrite, Some(Rewrite::RemovePrefix(_)));
            (
                route::route::Action::Redirect(redirect(to, rewrite)),
                removes,
            )
        }
        ir::Action::Respond(to) => (
            route::route::Action::DirectResponse(direct_response(to)),
            false,
        ),
    }
}

/// The ways in which a path is rewritten on the wire.
enum Rewrite {
    /// The prefix that matched is replaced.
    Prefix(String),
    /// The prefix that matched is removed, which Envoy can only be told with an
    /// expression.
    RemovePrefix(matcher::RegexMatchAndSubstitute),
    /// The path is replaced.
    Full(String),
}

fn rewrite(to: &ir::PathRewrite, path: &ir::PathMatch) -> Rewrite {
    match to {
        ir::PathRewrite::Full(path) => Rewrite::Full(path.clone()),
        ir::PathRewrite::Prefix(prefix) if !prefix.is_empty() => Rewrite::Prefix(prefix.clone()),
        ir::PathRewrite::Prefix(_) => {
            let (ir::PathMatch::Exact(text)
            | ir::PathMatch::Prefix(text)
            | ir::PathMatch::Segments(text)
            | ir::PathMatch::Regex(text)) = path;
            let pattern = format!("^{}/?", ::regex::escape(text));
            Rewrite::RemovePrefix(substitute(&pattern, "/"))
        }
    }
}

fn substitute(pattern: &str, literal: &str) -> matcher::RegexMatchAndSubstitute {
    matcher::RegexMatchAndSubstitute {
        pattern: Some(regex(pattern)),
        substitution: literal.replace('\\', "\\\\"),
    }
}

fn route_action(from: &ir::Forward, rewrite: Option<Rewrite>) -> route::RouteAction {
    let (prefix_rewrite, regex_rewrite) = match rewrite {
        None => (String::new(), None),
        Some(Rewrite::Prefix(prefix)) => (prefix, None),
        Some(Rewrite::RemovePrefix(removal)) => (String::new(), Some(removal)),
        Some(Rewrite::Full(path)) => (String::new(), Some(substitute("^.*$", &path))),
    };
    let host = from
        .host_rewrite
        .clone()
        .map(route::route_action::HostRewriteSpecifier::HostRewriteLiteral);
    route::RouteAction {
        cluster_specifier: Some(clusters(&from.clusters)),
        timeout: duration_or_zero(from.timeout),
        retry_policy: retry(from),
        prefix_rewrite,
        regex_rewrite,
        host_rewrite_specifier: host,
        hash_policy: from.hash_policy.iter().map(hash_policy).collect(),
        ..route::RouteAction::default()
    }
}

fn hash_policy(from: &ir::HashPolicy) -> route::route_action::HashPolicy {
    use route::route_action::hash_policy::{
        ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter,
    };

    let specifier = match &from.source {
        ir::HashSource::Header(name) => PolicySpecifier::Header(Header {
            header_name: name.clone(),
            regex_rewrite: None,
        }),
        ir::HashSource::Cookie(cookie) => PolicySpecifier::Cookie(Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.and_then(duration),
            path: cookie.path.clone().unwrap_or_default(),
            attributes: Vec::new(),
        }),
        ir::HashSource::ClientAddress => {
            PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
        }
        ir::HashSource::Query(name) => {
            PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() })
        }
    };
    route::route_action::HashPolicy {
        terminal: from.terminal,
        policy_specifier: Some(specifier),
    }
}

fn clusters(from: &[ir::WeightedCluster]) -> route::route_action::ClusterSpecifier {
    use route::route_action::ClusterSpecifier;

    if let [ir::WeightedCluster { name, weight: 1 }] = from {
        return ClusterSpecifier::Cluster(name.as_str().to_owned());
    }
    let clusters = from
        .iter()
        .map(|part| route::weighted_cluster::ClusterWeight {
            name: part.name.as_str().to_owned(),
            weight: number(part.weight),
            ..route::weighted_cluster::ClusterWeight::default()
        });
    ClusterSpecifier::WeightedClusters(route::WeightedCluster {
        clusters: clusters.collect(),
        ..route::WeightedCluster::default()
    })
}

/// A per-try timeout needs a policy to stand in, even one that never retries.
fn retry(from: &ir::Forward) -> Option<route::RetryPolicy> {
    let per_try_timeout = from.per_try_timeout.and_then(duration);
    let Some(policy) = &from.retry else {
        return per_try_timeout.map(|timeout| route::RetryPolicy {
            num_retries: number(0),
            per_try_timeout: Some(timeout),
            ..route::RetryPolicy::default()
        });
    };
    let tokens: Vec<&str> = RETRY_TOKENS
        .iter()
        .filter(|(condition, _)| policy.on.contains(condition))
        .map(|(_, token)| *token)
        .collect();
    let predicate = route::retry_policy::RetryHostPredicate {
        name: PREVIOUS_HOSTS.to_owned(),
        config_type: Some(
            route::retry_policy::retry_host_predicate::ConfigType::TypedConfig(pack_any(
                previous_hosts::PreviousHostsPredicate {},
            )),
        ),
    };
    let avoid = policy.avoid_previous_hosts;
    Some(route::RetryPolicy {
        retry_on: tokens.join(","),
        num_retries: number(policy.retries),
        per_try_timeout,
        retriable_status_codes: policy.status_codes.iter().copied().map(u32::from).collect(),
        retry_back_off: Some(route::retry_policy::RetryBackOff {
            base_interval: duration(policy.backoff.base),
            max_interval: duration(policy.backoff.max),
        }),
        retry_host_predicate: avoid.then_some(predicate).into_iter().collect(),
        host_selection_retry_max_attempts: if avoid { HOST_SELECTION_ATTEMPTS } else { 0 },
        ..route::RetryPolicy::default()
    })
}

fn redirect(from: &ir::Redirect, rewrite: Option<Rewrite>) -> route::RedirectAction {
    use route::redirect_action::{
        PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
    };

    let status = match from.status {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    let path = rewrite.map(|rewrite| match rewrite {
        Rewrite::Prefix(prefix) => PathRewriteSpecifier::PrefixRewrite(prefix),
        Rewrite::RemovePrefix(removal) => PathRewriteSpecifier::RegexRewrite(removal),
        Rewrite::Full(path) => PathRewriteSpecifier::PathRedirect(path),
    });
    route::RedirectAction {
        host_redirect: from.host.clone().unwrap_or_default(),
        port_redirect: from.port.unwrap_or(0).into(),
        response_code: status.into(),
        strip_query: false,
        scheme_rewrite_specifier: from
            .scheme
            .clone()
            .map(SchemeRewriteSpecifier::SchemeRedirect),
        path_rewrite_specifier: path,
    }
}

fn direct_response(from: &ir::Respond) -> route::DirectResponseAction {
    let body = (!from.body.is_empty()).then(|| core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(
            from.body.clone(),
        )),
        watched_directory: None,
    });
    route::DirectResponseAction {
        status: from.status.into(),
        body,
        body_format: None,
    }
}
