//! What ties the requests of a rule to an endpoint.

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::hash_policy::Source;

use crate::model::fields::{self, within};

/// Reads the list of a rule.
pub(super) fn from_proto(protos: &[v1::HashPolicy], faults: &mut Faults) -> Vec<ir::HashPolicy> {
    let mut policies = Vec::with_capacity(protos.len());
    for (index, proto) in protos.iter().enumerate() {
        let v1::HashPolicy { source, terminal } = proto;
        let source = within(faults, &format!("hashPolicy[{index}]"), |faults| {
            read_source(source.as_ref(), faults)
        });
        policies.extend(source.map(|source| ir::HashPolicy {
            source,
            terminal: *terminal,
        }));
    }
    policies
}

fn read_source(source: Option<&Source>, faults: &mut Faults) -> Option<ir::HashSource> {
    match source {
        Some(Source::Header(v1::HashHeader { name })) => Some(ir::HashSource::Header(
            fields::header_name(name, "header.name", faults),
        )),
        Some(Source::ClientAddress(v1::HashClientAddress {})) => {
            Some(ir::HashSource::ClientAddress)
        }
        Some(Source::QueryParameter(v1::HashQueryParameter { name })) => {
            if name.is_empty() {
                faults.add("queryParameter.name", "required");
            }
            Some(ir::HashSource::Query(name.clone()))
        }
        Some(Source::Cookie(cookie)) => {
            Some(ir::HashSource::Cookie(within(faults, "cookie", |faults| {
                read_cookie(cookie, faults)
            })))
        }
        None => {
            faults.add(
                "",
                "required: one of `header`, `cookie`, `clientAddress` and `queryParameter`",
            );
            None
        }
    }
}

fn read_cookie(cookie: &v1::HashCookie, faults: &mut Faults) -> ir::HashCookie {
    let v1::HashCookie { name, ttl, path } = cookie;
    if name.is_empty() {
        faults.add("name", "required");
    } else if !fields::is_token(name) {
        faults.add(
            "name",
            format!("invalid value {name:?}: must be the name of a cookie"),
        );
    }
    if !path.is_empty() {
        fields::path(path, "path", faults);
        if path.contains(';') {
            faults.add("path", format!("invalid value {path:?}: must not have `;`"));
        }
    }
    // A lifetime of zero is one, too.
    let lifetime = fields::timeout(*ttl, "ttl", faults).unwrap_or_default();
    if lifetime.subsec_nanos() > 0 {
        faults.add("ttl", "must be whole seconds");
    }
    ir::HashCookie {
        name: name.clone(),
        ttl: ttl.map(|_| lifetime),
        path: (!path.is_empty()).then(|| path.clone()),
    }
}
