//! `Route` to [`ir::RouteTable`].

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_shared::ir;
use evenkeel_shared::ir::RetryCondition;
use evenkeel_shared::names::RouteTableName;

use crate::model::{Route, Rule};

/// Methods that ask for nothing to be changed (RFC 9110 section 9.2.1).
const SAFE_METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

/// Everything that routes say about one listener.
///
/// Each host name gets the rules of all routes that name it, ordered by the
/// route's name; host names with the same routes share a virtual host.
pub(super) fn table(listener: &str, routes: &BTreeMap<String, Route>) -> ir::RouteTable {
    let mut by_domain: BTreeMap<&ir::Domain, Vec<&str>> = BTreeMap::new();
    for (name, route) in routes {
        if route.listeners.iter().any(|served| served == listener) {
            for domain in &route.hosts {
                by_domain.entry(domain).or_default().push(name);
            }
        }
    }
    let mut by_routes: BTreeMap<Vec<&str>, Vec<&ir::Domain>> = BTreeMap::new();
    for (domain, names) in by_domain {
        by_routes.entry(names).or_default().push(domain);
    }
    let mut groups: Vec<_> = by_routes.into_iter().collect();
    groups.sort_by(|(_, a), (_, b)| a.cmp(b));
    let hosts = groups.into_iter().map(|(names, domains)| ir::VirtualHost {
        name: domains
            .first()
            .map(|domain| label(domain))
            .unwrap_or_default(),
        domains: domains.into_iter().cloned().collect(),
        routes: names
            .into_iter()
            .filter_map(|name| routes.get(name))
            .flat_map(|route| &route.rules)
            .flat_map(rule)
            .collect(),
    });
    ir::RouteTable {
        name: RouteTableName::from(listener),
        hosts: hosts.collect(),
        ignore_port: true,
    }
}

/// A host name as it is written.
fn label(domain: &ir::Domain) -> String {
    match domain {
        ir::Domain::Exact(name) => name.clone(),
        ir::Domain::Suffix(parent) => format!("*{parent}"),
        ir::Domain::Prefix(start) => format!("{start}*"),
        ir::Domain::Any => "*".to_owned(),
    }
}

/// A rule becomes a route for each of its conditions, all of one name.
fn rule(rule: &Rule) -> Vec<ir::Route> {
    let one = |matches: &ir::RouteMatch| ir::Route {
        name: rule.name.clone(),
        matches: matches.clone(),
        action: rule.action.clone(),
        request_headers: rule.request_headers.clone(),
        response_headers: rule.response_headers.clone(),
        rate_limit: rule.rate_limit.clone(),
    };
    rule.matches
        .iter()
        .map(one)
        .flat_map(by_path)
        .flat_map(by_safety)
        .collect()
}

/// Makes a replaced prefix meet the rest of the path at exactly one slash.
///
/// A proxy replaces the text of the prefix and nothing more. So `/` becomes
/// the new prefix with a slash, and a prefix that disappears (`/api` to `/`)
/// needs two routes: one for the prefix alone, and one for what lies below it,
/// where the slash goes away with it.
fn by_path(route: ir::Route) -> Vec<ir::Route> {
    let Some(ir::PathRewrite::Prefix(new)) = rewrite_of(&route.action) else {
        return vec![route];
    };
    match &route.matches.path {
        ir::PathMatch::Prefix(_) => {
            let rewrite = ir::PathRewrite::Prefix(format!("{new}/"));
            let path = route.matches.path.clone();
            vec![with_path(&route, path, rewrite)]
        }
        ir::PathMatch::Segments(old) if new.is_empty() => {
            let whole = ir::PathRewrite::Full("/".to_owned());
            let below = ir::PathRewrite::Prefix("/".to_owned());
            vec![
                with_path(&route, ir::PathMatch::Exact(old.clone()), whole),
                with_path(&route, ir::PathMatch::Prefix(format!("{old}/")), below),
            ]
        }
        _ => vec![route],
    }
}

fn rewrite_of(action: &ir::Action) -> Option<&ir::PathRewrite> {
    match action {
        ir::Action::Forward(forward) => forward.path_rewrite.as_ref(),
        ir::Action::Redirect(redirect) => redirect.path.as_ref(),
        ir::Action::Respond(_) => None,
    }
}

fn with_path(route: &ir::Route, path: ir::PathMatch, rewrite: ir::PathRewrite) -> ir::Route {
    let mut route = route.clone();
    route.matches.path = path;
    match &mut route.action {
        ir::Action::Forward(forward) => forward.path_rewrite = Some(rewrite),
        ir::Action::Redirect(redirect) => redirect.path = Some(rewrite),
        ir::Action::Respond(_) => {}
    }
    route
}

/// Separates requests that may be executed twice from those that may not.
///
/// A proxy retries whatever method a policy covers, also a POST on a 5xx. So
/// the policy as written covers safe methods only, and the rest is tried again
/// only when it cannot have been executed.
fn by_safety(route: ir::Route) -> Vec<ir::Route> {
    let Some(full) = retry_of(&route.action).cloned() else {
        return vec![route];
    };
    let careful = careful(&full);
    if careful.as_ref() == Some(&full) {
        return vec![route];
    }
    let is_safe = |method: &String| SAFE_METHODS.contains(&method.as_str());
    if !route.matches.methods.is_empty() {
        let safe = route.matches.methods.iter().all(is_safe);
        let methods = route.matches.methods.clone();
        let retry = if safe { Some(full) } else { careful };
        return vec![with_retry(&route, methods, retry)];
    }
    let safe_methods = SAFE_METHODS.map(str::to_owned).to_vec();
    vec![
        with_retry(&route, safe_methods, Some(full)),
        with_retry(&route, Vec::new(), careful),
    ]
}

fn retry_of(action: &ir::Action) -> Option<&ir::RetryPolicy> {
    match action {
        ir::Action::Forward(forward) => forward.retry.as_ref(),
        ir::Action::Redirect(_) | ir::Action::Respond(_) => None,
    }
}

fn with_retry(
    route: &ir::Route,
    methods: Vec<String>,
    retry: Option<ir::RetryPolicy>,
) -> ir::Route {
    let mut route = route.clone();
    route.matches.methods = methods;
    if let ir::Action::Forward(forward) = &mut route.action {
        forward.retry = retry;
    }
    route
}

/// Of a policy, what holds for a request that must not be executed twice: no
/// connection came about, or the endpoint said that it did not begin. Nothing
/// that was not asked for is added, but a wider condition includes these.
fn careful(full: &ir::RetryPolicy) -> Option<ir::RetryPolicy> {
    use RetryCondition::{ConnectFailure, FiveXx, GatewayError, RefusedStream, Reset};

    let includes = |conditions: &[RetryCondition]| {
        conditions
            .iter()
            .any(|condition| full.on.contains(condition))
    };
    let mut on = BTreeSet::new();
    if includes(&[ConnectFailure, FiveXx, GatewayError]) {
        on.insert(ConnectFailure);
    }
    if includes(&[RefusedStream, FiveXx, Reset]) {
        on.insert(RefusedStream);
    }
    (!on.is_empty()).then(|| ir::RetryPolicy {
        on,
        status_codes: BTreeSet::new(),
        ..full.clone()
    })
}
