//! What is asked of a request before anything else: one authority, a path in
//! normal form, a body of a size that is allowed.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{EXPECT, HOST, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Version};
use hyper::body::{Body, Incoming};
use uuid::Uuid;

use crate::filter::forwarded;
use crate::proxy::Live;
use crate::proxy::error::ProxyError;
use crate::proxy::hop;
use crate::proxy::view::View;
use crate::route::path;
use crate::telemetry::exchange::Details;
use crate::telemetry::trace::TraceContext;
use crate::upstream::body::{BodyLimits, Source};

/// Longest request id of a trusted hop that is believed, in bytes.
const LONGEST_ID: usize = 128;

/// A request that may be routed.
#[derive(Debug)]
pub(crate) struct Intake {
    /// Its head.
    pub(crate) head: View,
    /// Its body, for one attempt or more.
    pub(crate) body: Rc<Source>,
    /// The address that is believed to be the client's.
    pub(crate) client: IpAddr,
    /// How many proxies in front of this one are believed.
    pub(crate) hops: u32,
    /// `http` or `https`, as the client used it.
    pub(crate) scheme: &'static str,
    /// `x-request-id`.
    pub(crate) request_id: HeaderValue,
    /// The protocol it asks to switch to, if its listener allows that.
    pub(crate) upgrade: Option<HeaderValue>,
}

impl Intake {
    /// Checks a request.
    pub(crate) fn check(live: &mut Live, request: Request<Incoming>) -> Result<Self, ProxyError> {
        let (parts, body) = request.into_parts();
        if live.conn.watch.is_distrusted() {
            return Err(ProxyError::AmbiguousLength);
        }
        if parts.method == Method::CONNECT {
            return Err(ProxyError::MethodRefused);
        }
        let protocol = protocol(parts.version);
        let upgrade = upgrade(live, &parts, &body);
        let mut head = View {
            authority: authority(&parts)?,
            target: target(&parts)?,
            method: parts.method,
            headers: parts.headers,
        };
        let limits = BodyLimits {
            bytes: live.listener.spec.limits.body_bytes,
            kept: live.conn.worker.shared.settings.replay_bytes,
        };
        let too_large = |most: u64| body.size_hint().lower() > most;
        if limits.bytes.is_some_and(too_large) {
            return Err(ProxyError::BodyTooLarge);
        }
        // hyper answers it when the body is asked for.
        if expects_continue(&head.headers) {
            head.headers.remove(EXPECT);
        }
        let peer = live.conn.peer;
        let spec = &live.listener.spec;
        let hops = forwarded::believed_hops(spec.trusted_hops, &spec.trusted_addresses, peer.ip());
        vouch(live, &mut head.headers, hops);
        let client = forwarded::client_address(&head, peer.ip(), hops);
        let scheme = forwarded::x_forwarded_proto(&head, live.conn.scheme(), hops);
        let request_id = request_id(live, &head.headers, hops);
        let trace = trace(live, &head);
        let secured = live.conn.secured.as_ref();
        let identity = secured.and_then(|secured| secured.client.as_ref());
        live.exchange.describe(trace, || Details {
            request_id: text(&request_id),
            client,
            peer,
            protocol,
            method: head.method.to_string(),
            authority: head.authority.clone(),
            target: head.target.clone(),
            user_agent: head.headers.get(USER_AGENT).map(text),
            tls_version: secured.map(|secured| secured.version),
            client_identity: identity.map(|identity| Arc::clone(&identity.label)),
        });
        let body = Source::new(body, limits, live.conn.worker.shared.clock);
        Ok(Self {
            head,
            body,
            client,
            hops,
            scheme,
            request_id,
            upgrade,
        })
    }
}

/// The one authority of a request: that of an absolute target if there is one,
/// else `Host` (RFC 9112, section 3.2.2).
fn authority(parts: &Parts) -> Result<String, ProxyError> {
    let bad = ProxyError::BadRequest;
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("more than one Host"));
    }
    let host = host.map(checked).transpose()?;
    if let Some(scheme) = parts.uri.scheme()
        && *scheme != Scheme::HTTP
        && *scheme != Scheme::HTTPS
    {
        return Err(bad("the target's scheme is not served"));
    }
    let named = match parts.uri.authority() {
        Some(named) => Some(checked(&header(named.as_str())?)?),
        None => None,
    };
    let http1 = parts.version <= Version::HTTP_11;
    match (named, host) {
        (Some(_), None) if parts.version == Version::HTTP_11 => Err(bad("no Host")),
        (Some(named), Some(host)) if !http1 && named != host => {
            Err(bad(":authority and Host differ"))
        }
        (Some(named), _) => Ok(named),
        (None, Some(host)) => Ok(host),
        (None, None) if parts.version == Version::HTTP_10 => Ok(String::new()),
        (None, None) => Err(bad("no Host")),
    }
}

fn header(text: &str) -> Result<HeaderValue, ProxyError> {
    HeaderValue::from_str(text).map_err(|_| ProxyError::BadRequest("the authority is malformed"))
}

/// An authority in lower case.
fn checked(value: &HeaderValue) -> Result<String, ProxyError> {
    let malformed = || ProxyError::BadRequest("the authority is malformed");
    let text = value.to_str().map_err(|_| malformed())?;
    if text.contains('@') || text.contains(',') {
        return Err(malformed());
    }
    let authority: Authority = text.parse().map_err(|_| malformed())?;
    if authority.host().is_empty() {
        return Err(malformed());
    }
    Ok(text.to_ascii_lowercase())
}

/// Path and query in normal form.
fn target(parts: &Parts) -> Result<String, ProxyError> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if target == "*" && parts.method != Method::OPTIONS {
        return Err(ProxyError::BadRequest("only OPTIONS may be about *"));
    }
    match path::normalize(target) {
        Ok(target) => Ok(target.into_owned()),
        Err(_) => Err(ProxyError::BadRequest("the path is malformed")),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The protocol that the request may switch to. `h2c` never passes: behind it
/// nobody would look at requests any more.
fn upgrade(live: &Live, parts: &Parts, body: &Incoming) -> Option<HeaderValue> {
    if parts.version != Version::HTTP_11 || !body.is_end_stream() {
        return None;
    }
    let wanted = hop::upgrade(&parts.headers)?;
    let name = wanted.to_str().ok()?.trim().to_ascii_lowercase();
    let allowed = name != "h2c" && live.listener.spec.upgrades.contains(&name);
    allowed.then(|| wanted.clone())
}

/// Leaves of what a request says of where it came from only what is believed,
/// and says whose certificate was verified.
fn vouch(live: &Live, headers: &mut HeaderMap, hops: u32) {
    hop::strip_forwarding(headers, hops > 0);
    let secured = live.conn.secured.as_ref();
    if let Some(client) = secured.and_then(|secured| secured.client.as_ref()) {
        headers.insert(forwarded::CLIENT_CERT, client.header.clone());
    }
}

/// The id of a trusted hop, or a new one.
fn request_id(live: &Live, headers: &HeaderMap, hops: u32) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= LONGEST_ID && bytes.iter().all(u8::is_ascii_graphic)
    };
    let given = headers.get("x-request-id").filter(sane);
    if let Some(given) = given.filter(|_| hops > 0) {
        return given.clone();
    }
    let random = live.conn.worker.wide_entropy().to_be_bytes();
    let id = uuid::Builder::from_random_bytes(random).into_uuid();
    let mut buffer = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer))
        .unwrap_or(HeaderValue::from_static("-"))
}

/// The trace of the caller, or one that begins here by the listener's share.
fn trace(live: &Live, head: &View) -> TraceContext {
    let worker = &live.conn.worker;
    let field = |name| head.headers.get(name).map(HeaderValue::as_bytes);
    let given = TraceContext::from_headers(field("traceparent"), field("tracestate"));
    if let Some(given) = given {
        return given.with_span(worker.entropy());
    }
    let share = u64::from(live.listener.spec.trace_sampling.millionths());
    if share == 0 {
        return TraceContext::default();
    }
    let sampled = worker.entropy() % 1_000_000 < share;
    if !sampled {
        return TraceContext::default();
    }
    TraceContext::new_root(worker.wide_entropy(), worker.entropy(), true)
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
