//! `Route`, checked and complete.

mod action;
mod filters;
mod hashing;
mod matching;

use std::collections::BTreeSet;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;

use super::fields::{self, within};
use super::policy::{self, Named};

/// Which requests go where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Names of the listeners that serve it.
    pub listeners: Vec<String>,
    /// Host names; [`ir::Domain::Any`] alone stands for every host.
    pub hosts: Vec<ir::Domain>,
    /// Rules; the first with a match is taken.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Name for logs, metrics and traces.
    pub name: String,
    /// It applies when any of these matches; never empty.
    pub matches: Vec<ir::RouteMatch>,
    /// Changes to the request's header fields.
    pub request_headers: ir::HeaderEdits,
    /// Changes to the response's header fields.
    pub response_headers: ir::HeaderEdits,
    /// What is done. A retry policy holds for safe methods, and prefixes in
    /// rewrites have no slash at their end.
    pub action: ir::Action,
    /// Limit on the rate of its requests.
    pub rate_limit: Option<ir::RateLimit>,
}

/// The settings of a rule that a policy can also carry.
pub(super) fn settings(rule: &v1::RouteRule) -> v1::Policy {
    v1::Policy {
        timeouts: rule.timeouts,
        retry: rule.retry.clone(),
        rate_limit: rule.rate_limit.clone(),
        load_balancer: None,
        circuit_breakers: None,
        outlier_detection: None,
        connection: None,
    }
}

/// Reads a route called `name`; `named` tells what the policy of a name is.
pub(super) fn from_proto<'a>(
    name: &str,
    proto: &v1::Route,
    named: &dyn Fn(&str) -> Named<'a>,
    faults: &mut Faults,
) -> Option<Route> {
    let v1::Route {
        listeners,
        hostnames,
        rules,
    } = proto;
    if listeners.is_empty() {
        faults.add("listeners", "required: at least one listener");
    }
    fields::distinct(listeners.iter().map(String::as_str), "listeners", faults);
    let hosts = read_hosts(hostnames, faults);
    if rules.is_empty() {
        faults.add("rules", "required: at least one rule");
    }
    let mut read = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let default = format!("{name}/{index}");
        let named = named(&rule.policy);
        read.push(within(faults, &format!("rules[{index}]"), |faults| {
            read_rule(rule, default, named, faults)
        }));
    }
    Some(Route {
        listeners: listeners.clone(),
        hosts,
        rules: read.into_iter().collect::<Option<_>>()?,
    })
}

fn read_hosts(hostnames: &[String], faults: &mut Faults) -> Vec<ir::Domain> {
    if hostnames.is_empty() {
        return vec![ir::Domain::Any];
    }
    let mut seen = BTreeSet::new();
    let mut hosts = Vec::with_capacity(hostnames.len());
    for (index, text) in hostnames.iter().enumerate() {
        let path = format!("hostnames[{index}]");
        let domain = read_host(text, &path, faults);
        if domain.clone().is_some_and(|domain| !seen.insert(domain)) {
            faults.add(path, format!("invalid value {text:?}: is given twice"));
        }
        hosts.extend(domain);
    }
    hosts
}

fn read_host(text: &str, path: &str, faults: &mut Faults) -> Option<ir::Domain> {
    if text == "*" {
        faults.add(
            path,
            "invalid value \"*\": leave `hostnames` out for every host",
        );
        return None;
    }
    let name = text.to_ascii_lowercase();
    if let Some(parent) = name.strip_prefix("*.")
        && fields::is_hostname(parent)
    {
        return Some(ir::Domain::Suffix(format!(".{parent}")));
    }
    if name.contains('*') {
        faults.add(
            path,
            format!("invalid value {text:?}: a wildcard stands only in front, as in *.example.com"),
        );
        return None;
    }
    Some(ir::Domain::Exact(fields::hostname(text, path, faults)))
}

fn read_rule(
    proto: &v1::RouteRule,
    default_name: String,
    named: Named<'_>,
    faults: &mut Faults,
) -> Option<Rule> {
    let name = read_name(&proto.name, default_name, faults);
    let matches = matching::from_proto(&proto.matches, faults);
    let filters = filters::from_proto(&proto.filters, &matches, faults);
    let layers = policy::layered(&settings(proto), named, faults);
    let settings = policy::rule_settings(&layers, &mut Faults::new());
    let rate_limit = settings.rate_limit.clone();
    let action = action::from_proto(proto, &filters, settings, &matches, faults);
    Some(Rule {
        name,
        matches,
        request_headers: filters.request_headers,
        response_headers: filters.response_headers,
        action: action?,
        rate_limit,
    })
}

fn read_name(text: &str, default: String, faults: &mut Faults) -> String {
    if text.is_empty() {
        return default;
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    if text.len() > 253 || !text.bytes().all(allowed) {
        faults.add(
            "name",
            format!(
                "invalid value {text:?}: must be 1 to 253 letters, digits, '-', '_', '.' or '/'"
            ),
        );
    }
    text.to_owned()
}
