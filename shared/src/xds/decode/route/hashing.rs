//! What ties a request to an endpoint.

use crate::ir;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::text;
use crate::xds::decode::values::duration;
use crate::xds::wire::route;
use route::route_action::HashPolicy;
use route::route_action::hash_policy::{
    ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter,
};

/// Reads a list. A part that says nothing is left out.
pub(super) fn policies(from: Vec<HashPolicy>, found: &mut Findings) -> Option<Vec<ir::HashPolicy>> {
    let policies = found.each("hash_policy", from, policy)?;
    Some(policies.into_iter().flatten().collect())
}

fn policy(from: HashPolicy, found: &mut Findings) -> Read<Option<ir::HashPolicy>> {
    let HashPolicy {
        terminal,
        policy_specifier,
    } = from;
    let source = match policy_specifier {
        Some(PolicySpecifier::Header(Header {
            header_name,
            regex_rewrite,
        })) => found.at("header", |found| {
            found.unsupported_if([("regex_rewrite", set(&regex_rewrite))]);
            text::field_name(&header_name, "header_name", found).map(ir::HashSource::Header)
        }),
        Some(PolicySpecifier::Cookie(from)) => found
            .at("cookie", |found| cookie(from, found))
            .map(ir::HashSource::Cookie),
        Some(PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip })) => {
            if !source_ip {
                return Some(None);
            }
            Some(ir::HashSource::ClientAddress)
        }
        Some(PolicySpecifier::QueryParameter(QueryParameter { name })) => {
            text::name(name, "query_parameter.name", found).map(ir::HashSource::Query)
        }
        Some(PolicySpecifier::FilterState(_)) => found.unsupported("filter_state"),
        None => found.fault("", "must say what is hashed"),
    };
    Some(Some(ir::HashPolicy {
        source: source?,
        terminal,
    }))
}

fn cookie(from: Cookie, found: &mut Findings) -> Option<ir::HashCookie> {
    let Cookie {
        name,
        ttl,
        path,
        attributes,
    } = from;
    found.unsupported_if([("attributes", set(&attributes))]);
    if !text::is_token(&name) {
        found.invalid::<()>("name", &name, "must be the name of a cookie");
    }
    if !text::is_field_value(&path) || path.contains([';', '\t']) {
        found.invalid::<()>(
            "path",
            &path,
            "must be visible ASCII characters without `;`",
        );
    }
    let ttl = duration(ttl, "ttl", found)?;
    Some(ir::HashCookie {
        name,
        ttl,
        path: (!path.is_empty()).then_some(path),
    })
}
