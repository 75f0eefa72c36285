//! What an endpoint gets to see of a request.

use evenkeel_shared::ir;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Request, Uri, Version};

use crate::filter::{self, forwarded};
use crate::head::{HeadEdits, HeaderChange};
use crate::proxy::Live;
use crate::proxy::hop;
use crate::proxy::intake::Intake;
use crate::runtime::snapshot::Route;
use crate::telemetry::trace::TraceContext;
use crate::upstream::body::AttemptBody;
use crate::upstream::cluster::Cluster;

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
    hop::strip(&mut head.headers);
    set(&mut head.headers, "x-forwarded-for", &forwarded_for);
    set(&mut head.headers, "x-forwarded-proto", intake.scheme);
    set(&mut head.headers, "x-forwarded-host", &host);
    head.headers
        .insert("x-request-id", intake.request_id.clone());
    edit(&mut head.headers, &route.spec.request_headers);
    if let Some(rewrite) = &to.path_rewrite {
        head.target = filter::rewrite_target(rewrite, &head.target, matched);
    }
    if let Some(host) = &to.host_rewrite {
        head.authority.clone_from(host);
    }
}

/// Applies the changes of a configuration.
pub(super) fn edit(headers: &mut HeaderMap, edits: &ir::HeaderEdits) {
    let mut changes = HeadEdits::default();
    filter::request_edits(edits, &mut changes);
    for change in changes.headers {
        match change {
            HeaderChange::Remove(name) => {
                headers.remove(name);
            }
            HeaderChange::Set(name, value) => set(headers, name, value),
            HeaderChange::Add(name, value) => {
                if let Some((name, value)) = field(name, value) {
                    headers.append(name, value);
                }
            }
        }
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let Some((name, value)) = field(name, value) {
        headers.insert(name, value);
    }
}

/// `None` for what cannot be a field; configuration was checked for that.
fn field(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_str(value).ok()?))
}

/// The request of one attempt. `None` if the rewritten target or authority
/// cannot stand in a request.
pub(super) fn request(
    intake: &Intake,
    cluster: &Cluster,
    body: AttemptBody,
    trace: (&TraceContext, u64),
) -> Option<Request<AttemptBody>> {
    let head = &intake.head;
    let mut headers = head.headers.clone();
    name_trace(&mut headers, trace);
    let mut uri = Uri::builder().path_and_query(head.target.as_str());
    let version = match cluster.spec.protocol {
        ir::UpstreamProtocol::Http1 => {
            headers.insert(HOST, HeaderValue::from_str(&head.authority).ok()?);
            frame(&mut headers, intake);
            Version::HTTP_11
        }
        ir::UpstreamProtocol::Http2 => {
            headers.remove(HOST);
            // What the connection is: endpoints may refuse a request for `http`
            // that comes under TLS (RFC 9110, section 7.4).
            let scheme = cluster.tls.as_ref().map_or("http", |_| "https");
            uri = uri.scheme(scheme).authority(head.authority.as_str());
            Version::HTTP_2
        }
    };
    let mut request = Request::new(body);
    *request.uri_mut() = uri.build().ok()?;
    request.method_mut().clone_from(&head.method);
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    Some(request)
}

/// Says how long the body is, and what is to become of the connection.
fn frame(headers: &mut HeaderMap, intake: &Intake) {
    if let Some(upgrade) = &intake.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    } else if headers.contains_key(TE) {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    let body_means = [Method::POST, Method::PUT, Method::PATCH];
    if intake.body.is_empty() {
        // Not to say so invites 411 (RFC 9110, section 8.6).
        if body_means.contains(&intake.head.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
    } else if intake.body.length().is_none() {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn name_trace(headers: &mut HeaderMap, (trace, span): (&TraceContext, u64)) {
    if !trace.is_present() {
        return;
    }
    set(headers, "traceparent", &trace.traceparent(span));
    match &trace.state {
        Some(state) => set(headers, "tracestate", state),
        None => {
            headers.remove("tracestate");
        }
    }
}
