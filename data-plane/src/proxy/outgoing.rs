//! What an endpoint gets to see of a request.

use evenkeel_shared::ir;

use crate::filter::{self, forwarded};
use crate::head::{Head, HeadEdits, HeaderChange};
use crate::message::Fields;
use crate::proxy::Live;
use crate::proxy::hop;
use crate::proxy::intake::Intake;
use crate::runtime::snapshot::Route;
use crate::telemetry::trace::TraceContext;

/// Changes the head of a request for the endpoint, as the route says.
pub(super) fn rewrite(
    live: &Live,
    intake: &mut Intake,
    route: &Route,
    (to, matched): (&ir::Forward, usize),
) {
    let hops = intake.hops;
    let peer = live.conn.peer.ip();
    let head = &mut intake.head;
    let forwarded_for = forwarded::x_forwarded_for(head, peer, hops);
    let host = forwarded::x_forwarded_host(head, hops).to_owned();
    hop::strip(&mut head.fields);
    head.fields.set("x-forwarded-for", forwarded_for.as_bytes());
    head.fields
        .set("x-forwarded-proto", intake.scheme.as_bytes());
    head.fields.set("x-forwarded-host", host.as_bytes());
    edit(&mut head.fields, &route.spec.request_headers);
    if let Some(rewrite) = &to.path_rewrite {
        let target = filter::rewrite_target(rewrite, head.target(), matched);
        head.set_target(&target);
    }
    if let Some(host) = &to.host_rewrite {
        head.set_authority(host);
    }
}

/// Applies the changes of a configuration.
pub(super) fn edit(fields: &mut Fields, edits: &ir::HeaderEdits) {
    let mut changes = HeadEdits::default();
    filter::request_edits(edits, &mut changes);
    for change in changes.headers {
        match change {
            HeaderChange::Remove(name) => fields.remove(name),
            HeaderChange::Set(name, value) => fields.set(name, value.as_bytes()),
            HeaderChange::Add(name, value) => fields.add(name.as_bytes(), value.as_bytes()),
        }
    }
}

/// Says which trace an attempt belongs to. `span` is the attempt's own.
pub(super) fn name_trace(fields: &mut Fields, trace: &TraceContext, span: u64) {
    if !trace.is_present() {
        return;
    }
    fields.set("traceparent", trace.traceparent(span).as_bytes());
    match &trace.state {
        Some(state) => fields.set("tracestate", state.as_bytes()),
        None => fields.remove("tracestate"),
    }
}
