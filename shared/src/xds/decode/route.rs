//! `RouteConfiguration` and the virtual hosts in it.

mod action;
mod entry;
mod hashing;
mod headers;
pub(super) mod limit;
mod matching;
mod retry;
mod rewrite;

use std::collections::{BTreeSet, HashMap};

use super::findings::{Findings, set};
use super::text;
use super::values::number_or;
use crate::ir;
use crate::names::RouteTableName;
use crate::xds::wire::{DEFAULT_DIRECT_BODY_BYTES, pb, route};
use headers::Edits;

/// What the routes of a table have in common.
struct Scope {
    /// Edits of the table itself.
    table: Edits,
    /// Whether the edits of a route come last, and so win.
    most_specific_last: bool,
    /// Longest body of a direct response, in bytes.
    max_body: u32,
    /// Names of routes that were taken.
    names: BTreeSet<String>,
}

/// Reads a route table.
pub(in crate::xds) fn route_table(
    from: route::RouteConfiguration,
    found: &mut Findings,
) -> Option<ir::RouteTable> {
    let route::RouteConfiguration {
        name,
        virtual_hosts,
        vhds,
        internal_only_headers,
        response_headers_to_add,
        response_headers_to_remove,
        request_headers_to_add,
        request_headers_to_remove,
        most_specific_header_mutations_wins,
        // A cluster that is not there yet fails its own routes only.
        validate_clusters: _,
        max_direct_response_body_size_bytes,
        cluster_specifier_plugins,
        request_mirror_policies,
        ignore_port_in_host_matching,
        vhost_header,
        ignore_path_parameters_in_path_matching,
        typed_per_filter_config,
        metadata: _,
        route_specifiers,
    } = from;
    found.unsupported_if([
        ("vhds", set(&vhds)),
        ("internal_only_headers", set(&internal_only_headers)),
        ("request_mirror_policies", set(&request_mirror_policies)),
        ("vhost_header", set(&vhost_header)),
        (
            "ignore_path_parameters_in_path_matching",
            ignore_path_parameters_in_path_matching,
        ),
        ("route_specifiers", set(&route_specifiers)),
    ]);
    found.ignore_if([("cluster_specifier_plugins", set(&cluster_specifier_plugins))]);
    limit::none_here(typed_per_filter_config, found);
    let name = text::name(name, "name", found);
    let table = headers::Wire {
        request_add: request_headers_to_add,
        request_remove: request_headers_to_remove,
        response_add: response_headers_to_add,
        response_remove: response_headers_to_remove,
    };
    let mut scope = Scope {
        table: table.read(found)?,
        most_specific_last: most_specific_header_mutations_wins,
        max_body: number_or(
            max_direct_response_body_size_bytes,
            DEFAULT_DIRECT_BODY_BYTES,
        ),
        names: BTreeSet::new(),
    };
    let hosts = found.each("virtual_hosts", virtual_hosts, |host, found| {
        virtual_host(host, &mut scope, found)
    });
    let hosts = hosts?;
    check_unique(&hosts, found);
    Some(ir::RouteTable {
        name: RouteTableName::new(name?),
        hosts,
        ignore_port: ignore_port_in_host_matching,
    })
}

fn check_unique(hosts: &[ir::VirtualHost], found: &mut Findings) {
    let mut names = BTreeSet::new();
    let mut domains: HashMap<&ir::Domain, &str> = HashMap::new();
    for (index, host) in hosts.iter().enumerate() {
        if !names.insert(&host.name) {
            let field = format!("virtual_hosts[{index}].name");
            found.invalid::<()>(&field, &host.name, "must be unique");
        }
        for (place, domain) in host.domains.iter().enumerate() {
            if let Some(other) = domains.insert(domain, &host.name) {
                let field = format!("virtual_hosts[{index}].domains[{place}]");
                let rule = format!("already belongs to virtual host {other:?}");
                found.invalid::<()>(&field, written(domain), &rule);
            }
        }
    }
}

fn written(domain: &ir::Domain) -> String {
    match domain {
        ir::Domain::Exact(name) => name.clone(),
        ir::Domain::Suffix(suffix) => format!("*{suffix}"),
        ir::Domain::Prefix(prefix) => format!("{prefix}*"),
        ir::Domain::Any => "*".to_owned(),
    }
}

#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
fn virtual_host(
    from: route::VirtualHost,
    scope: &mut Scope,
    found: &mut Findings,
) -> Option<ir::VirtualHost> {
    let route::VirtualHost {
        name,
        domains,
        routes,
        matcher,
        require_tls,
        virtual_clusters,
        rate_limits,
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        cors,
        typed_per_filter_config,
        include_request_attempt_count,
        include_attempt_count_in_response,
        retry_policy,
        retry_policy_typed_config,
        hedge_policy,
        include_is_timeout_retry_header,
        per_request_buffer_limit_bytes,
        request_body_buffer_limit,
        request_mirror_policies,
        metadata: _,
        route_specifiers,
    } = from;
    found.unsupported_if([
        ("matcher", set(&matcher)),
        ("require_tls", set(&require_tls)),
        ("retry_policy_typed_config", set(&retry_policy_typed_config)),
        ("request_mirror_policies", set(&request_mirror_policies)),
        ("route_specifiers", set(&route_specifiers)),
    ]);
    found.ignore_if([
        ("virtual_clusters", set(&virtual_clusters)),
        ("rate_limits", set(&rate_limits)),
        ("cors", set(&cors)),
        (
            "include_request_attempt_count",
            include_request_attempt_count,
        ),
        (
            "include_attempt_count_in_response",
            include_attempt_count_in_response,
        ),
        ("hedge_policy", set(&hedge_policy)),
        (
            "include_is_timeout_retry_header",
            include_is_timeout_retry_header,
        ),
        (
            "per_request_buffer_limit_bytes",
            set(&per_request_buffer_limit_bytes),
        ),
        ("request_body_buffer_limit", set(&request_body_buffer_limit)),
    ]);
    limit::none_here(typed_per_filter_config, found);
    let name = text::name(name, "name", found);
    if domains.is_empty() {
        found.fault::<()>("domains", "must not be empty");
    }
    let domains = found.each("domains", domains, domain);
    let wire = headers::Wire {
        request_add: request_headers_to_add,
        request_remove: request_headers_to_remove,
        response_add: response_headers_to_add,
        response_remove: response_headers_to_remove,
    };
    let edits = wire.read(found);
    let mut inherited = entry::Inherited {
        host: name.clone().unwrap_or_default(),
        edits: edits.unwrap_or_default(),
        retry: retry_policy,
        scope,
    };
    let routes = found.each("routes", routes, |from, found| {
        entry::entry(from, &mut inherited, found)
    });
    Some(ir::VirtualHost {
        name: name?,
        domains: domains?,
        routes: routes?,
    })
}

fn domain(from: String, found: &mut Findings) -> Option<ir::Domain> {
    let name = from.to_ascii_lowercase();
    let domain = if name == "*" {
        return Some(ir::Domain::Any);
    } else if let Some(suffix) = name.strip_prefix('*') {
        ir::Domain::Suffix(suffix.to_owned())
    } else if let Some(prefix) = name.strip_suffix('*') {
        ir::Domain::Prefix(prefix.to_owned())
    } else {
        ir::Domain::Exact(name)
    };
    let (ir::Domain::Exact(text) | ir::Domain::Suffix(text) | ir::Domain::Prefix(text)) = &domain
    else {
        return Some(domain);
    };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'*') {
        let rule = "must be a host name, *.suffix, prefix.* or *";
        return found.invalid("", from, rule);
    }
    Some(domain)
}

/// The configurations of filters, in the order of their names.
fn sorted(configs: HashMap<String, pb::Any>) -> Vec<(String, pb::Any)> {
    let mut sorted: Vec<_> = configs.into_iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    sorted
}
