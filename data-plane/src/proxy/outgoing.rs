//! What an endpoint gets to see of a request.

use evenkeel_shared::ir;

use crate::filter::{self, forwarded};
use crate::head::{Head, HeadEdits, HeaderChange};
use crate::message::name::Names;
use crate::message::{Fields, Known};
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
    hop::strip(&mut intake.head.fields);
    say_from(live, intake);
    let head = &mut intake.head;
    edit(&mut head.fields, &route.spec.request_headers);
    if let Some(rewrite) = &to.path_rewrite {
        let target = filter::rewrite_target(rewrite, head.target(), matched);
        head.set_target(&target);
    }
    if let Some(host) = &to.host_rewrite {
        head.set_authority(host.as_bytes());
    }
}

/// Says where the request came from.
fn say_from(live: &Live, intake: &mut Intake) {
    let (conn, hops) = (&live.conn, intake.hops);
    let head = &mut intake.head;
    if hops == 0 {
        let client = conn.peer_name.as_bytes();
        head.fields.put_plain(Known::ForwardedFor, client);
        let host = head.authority_at();
        head.fields.put_again(Known::ForwardedHost, host);
    } else {
        let chain = forwarded::x_forwarded_for(head, conn.peer.ip(), hops);
        let host = forwarded::x_forwarded_host(head, hops).to_owned();
        head.fields.put(Known::ForwardedFor, chain.as_bytes());
        head.fields.put(Known::ForwardedHost, host.as_bytes());
    }
    let scheme = intake.scheme.as_bytes();
    head.fields.put_plain(Known::ForwardedProto, scheme);
}

/// Applies the changes of a configuration.
pub(super) fn edit(fields: &mut Fields, edits: &ir::HeaderEdits) {
    if edits.is_empty() {
        return;
    }
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
    fields.put_plain(Known::Traceparent, trace.traceparent(span).as_bytes());
    match &trace.state {
        Some(state) => fields.put(Known::Tracestate, state.as_bytes()),
        None => fields.remove_all(Names::of(&[Known::Tracestate])),
    }
}
