//! `RouteConfiguration`.

mod action;
mod limit;
mod matching;

use super::values::{boolean, number};
use crate::ir;
use crate::xds::extras::{self, RouteExtras};
use crate::xds::wire::{DEFAULT_DIRECT_BODY_BYTES, core, route};

/// Writes a route table.
pub(in crate::xds) fn route_table(from: &ir::RouteTable) -> route::RouteConfiguration {
    route::RouteConfiguration {
        name: from.name.as_str().to_owned(),
        virtual_hosts: from.hosts.iter().map(virtual_host).collect(),
        ignore_port_in_host_matching: from.ignore_port,
        // A cluster that is not there yet fails its own routes, not the table.
        validate_clusters: boolean(false),
        max_direct_response_body_size_bytes: number(longest_body(from)),
        ..route::RouteConfiguration::default()
    }
}

/// Envoy refuses a table with a longer body than it was told to expect.
fn longest_body(from: &ir::RouteTable) -> u32 {
    let routes = from.hosts.iter().flat_map(|host| &host.routes);
    let longest = routes
        .filter_map(|route| match &route.action {
            ir::Action::Respond(respond) => Some(respond.body.len()),
            ir::Action::Forward(_) | ir::Action::Redirect(_) => None,
        })
        .max()
        .unwrap_or(0);
    u32::try_from(longest)
        .unwrap_or(u32::MAX)
        .max(DEFAULT_DIRECT_BODY_BYTES)
}

fn virtual_host(from: &ir::VirtualHost) -> route::VirtualHost {
    route::VirtualHost {
        name: from.name.clone(),
        domains: from.domains.iter().map(domain).collect(),
        routes: from.routes.iter().map(one_route).collect(),
        ..route::VirtualHost::default()
    }
}

fn domain(from: &ir::Domain) -> String {
    match from {
        ir::Domain::Exact(name) => name.clone(),
        ir::Domain::Suffix(suffix) => format!("*{suffix}"),
        ir::Domain::Prefix(prefix) => format!("{prefix}*"),
        ir::Domain::Any => "*".to_owned(),
    }
}

fn one_route(from: &ir::Route) -> route::Route {
    let (action, removes_prefix) = action::action(&from.action, &from.matches.path);
    route::Route {
        name: from.name.clone(),
        r#match: Some(matching::route_match(&from.matches)),
        metadata: extras::write(&RouteExtras {
            rate_limit: from.rate_limit.clone(),
            removes_prefix,
        }),
        typed_per_filter_config: limit::per_filter_config(from.rate_limit.as_ref()),
        request_headers_to_remove: from.request_headers.remove.clone(),
        request_headers_to_add: header_options(&from.request_headers),
        response_headers_to_remove: from.response_headers.remove.clone(),
        response_headers_to_add: header_options(&from.response_headers),
        action: Some(action),
        ..route::Route::default()
    }
}

fn header_options(from: &ir::HeaderEdits) -> Vec<core::HeaderValueOption> {
    use core::header_value_option::HeaderAppendAction;

    let option = |field: &ir::HeaderValue, action: HeaderAppendAction| core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: field.name.clone(),
            // Envoy reads `%…%` as a variable; doubled, it is a percent sign.
            value: field.value.replace('%', "%%"),
            raw_value: Vec::new(),
        }),
        append_action: action.into(),
        keep_empty_value: true,
        ..core::HeaderValueOption::default()
    };
    let set = from
        .set
        .iter()
        .map(|field| option(field, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = from
        .add
        .iter()
        .map(|field| option(field, HeaderAppendAction::AppendIfExistsOrAdd));
    set.chain(add).collect()
}
