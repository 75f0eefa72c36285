//! One route.

use super::headers::{self, Edits};
use super::{Scope, action, limit, matching};
use crate::ir;
use crate::xds::decode::findings::{Findings, set};
use crate::xds::extras::{self, RouteExtras};
use crate::xds::wire::route;

/// What a route has from its virtual host and table.
pub(super) struct Inherited<'a> {
    /// Name of the host.
    pub(super) host: String,
    /// Edits of the host.
    pub(super) edits: Edits,
    /// The policy of routes that have none.
    pub(super) retry: Option<route::RetryPolicy>,
    /// What is common to the table.
    pub(super) scope: &'a mut Scope,
}

impl Inherited<'_> {
    /// The edits that come about when a route makes `own`: in Envoy those of
    /// the route come first, and the others may undo them, unless it is told to
    /// go the other way.
    fn around(&self, own: Edits) -> Edits {
        if self.scope.most_specific_last {
            self.scope.table.clone().then(&self.edits).then(&own)
        } else {
            own.then(&self.edits).then(&self.scope.table)
        }
    }

    /// A name for a route that has none, or one that another limit goes by:
    /// routes of one name share a limit, and on the wire none do.
    fn name(&mut self, given: String, must_be_unique: bool) -> String {
        let taken = given.is_empty() || (must_be_unique && self.scope.names.contains(&given));
        let name = if taken {
            let stem = if given.is_empty() { &self.host } else { &given };
            // One more than there are names taken: one of them is free.
            let first = self.scope.names.len();
            (first..=first.saturating_mul(2).saturating_add(1))
                .map(|number| format!("{stem}#{number}"))
                .find(|name| !self.scope.names.contains(name))
                .unwrap_or_default()
        } else {
            given
        };
        self.scope.names.insert(name.clone());
        name
    }
}

/// Reads a route.
#[expect(
    deprecated,
    clippy::too_many_lines,
    reason = "names every field of the message once"
)]
pub(super) fn entry(
    from: route::Route,
    inherited: &mut Inherited<'_>,
    found: &mut Findings,
) -> Option<ir::Route> {
    let route::Route {
        name,
        r#match,
        metadata,
        decorator,
        typed_per_filter_config,
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        tracing,
        per_request_buffer_limit_bytes,
        stat_prefix,
        request_body_buffer_limit,
        route_specifiers,
        action,
    } = from;
    found.unsupported_if([("route_specifiers", set(&route_specifiers))]);
    found.ignore_if([
        ("decorator", set(&decorator)),
        ("tracing", set(&tracing)),
        (
            "per_request_buffer_limit_bytes",
            set(&per_request_buffer_limit_bytes),
        ),
        ("stat_prefix", set(&stat_prefix)),
        ("request_body_buffer_limit", set(&request_body_buffer_limit)),
    ]);
    let extras: Option<RouteExtras> = match extras::read(metadata.as_ref()) {
        Ok(extras) => Some(extras),
        Err(reason) => found.fault(extras::PATH, reason),
    };
    let wire = headers::Wire {
        request_add: request_headers_to_add,
        request_remove: request_headers_to_remove,
        response_add: response_headers_to_add,
        response_remove: response_headers_to_remove,
    };
    let edits = wire.read(found);
    let matches = match r#match {
        Some(from) => found.at("match", |found| matching::route_match(from, found)),
        None => found.fault("match", "is missing"),
    };
    let on_wire = limit::per_route(typed_per_filter_config, found);
    let (extras, matches) = (extras?, matches?);
    let context = action::Context {
        path: &matches.path,
        removes_prefix: extras.removes_prefix,
        retry: inherited.retry.as_ref(),
        max_body: inherited.scope.max_body,
    };
    let action = action::action(action, &context, found);
    let (rate_limit, own) = match extras.rate_limit {
        Some(limit) => (
            found
                .at(extras::PATH, |found| limit::checked(limit, found))
                .map(Some),
            true,
        ),
        None => (on_wire, false),
    };
    let (edits, action, rate_limit) = (edits?, action?, rate_limit?);
    let edits = inherited.around(edits);
    Some(ir::Route {
        name: inherited.name(name, rate_limit.is_some() && !own),
        matches,
        action,
        request_headers: edits.request,
        response_headers: edits.response,
        rate_limit,
    })
}
