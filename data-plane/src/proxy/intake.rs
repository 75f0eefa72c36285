//! What is asked of a request before anything else: one authority, a path in
//! normal form, a body of a size that is allowed.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Scheme};
use memchr::memchr;
use uuid::Uuid;

use crate::filter::forwarded;
use crate::head::Head;
use crate::listen::body::ClientBody;
use crate::message::name::Names;
use crate::message::{Known, Method, RequestHead, Span, Version};
use crate::proxy::Live;
use crate::proxy::error::ProxyError;
use crate::proxy::hop;
use crate::route::path;
use crate::telemetry::exchange::Details;
use crate::telemetry::trace::TraceContext;
use crate::upstream::body::{BodyLimits, RequestBody};

/// Longest request id of a trusted hop that is believed, in bytes.
const LONGEST_ID: usize = 128;

/// A request that may be routed.
#[derive(Debug)]
pub(crate) struct Intake {
    /// Its head. Its fields have `X-Request-Id`, and no `Host`.
    pub(crate) head: RequestHead,
    /// Its body, for one attempt or more.
    pub(crate) body: RequestBody,
    /// The address that is believed to be the client's.
    pub(crate) client: IpAddr,
    /// How many proxies in front of this one are believed.
    pub(crate) hops: u32,
    /// `http` or `https`, as the client used it.
    pub(crate) scheme: &'static str,
    /// The protocol it asks to switch to, if its listener allows that.
    pub(crate) upgrade: Option<String>,
}

impl Intake {
    /// Checks a request.
    pub(crate) fn check(
        live: &mut Live,
        mut head: RequestHead,
        body: ClientBody,
    ) -> Result<Self, ProxyError> {
        if live.conn.watch.is_distrusted() {
            return Err(ProxyError::AmbiguousLength);
        }
        if head.method == Method::Connect {
            return Err(ProxyError::MethodRefused);
        }
        let upgrade = upgrade(live, &head, &body);
        name_authority(&mut head)?;
        normalize_target(&mut head)?;
        let limits = BodyLimits {
            bytes: live.listener.spec.limits.body_bytes,
            kept: live.conn.worker.shared.settings.replay_bytes,
        };
        let announced = body.length().unwrap_or_default();
        if limits.bytes.is_some_and(|most| announced > most) {
            return Err(ProxyError::BodyTooLarge);
        }
        // It is answered when the body is asked for.
        if head.fields.first(Known::Expect).is_some_and(is_continue) {
            head.fields.remove_all(Names::of(&[Known::Expect]));
        }
        let peer = live.conn.peer;
        let spec = &live.listener.spec;
        let hops = forwarded::believed_hops(spec.trusted_hops, &spec.trusted_addresses, peer.ip());
        vouch(live, &mut head, hops);
        let client = forwarded::client_address(&head, peer.ip(), hops);
        let scheme = forwarded::x_forwarded_proto(&head, live.conn.scheme(), hops);
        name_request(live, &mut head, hops);
        let trace = trace(live, &head);
        describe(live, &head, trace, client);
        let body = RequestBody::new(body, limits, live.conn.worker.shared.clock);
        Ok(Self {
            head,
            body,
            client,
            hops,
            scheme,
            upgrade,
        })
    }
}

/// Tells telemetry what is asked.
fn describe(live: &mut Live, head: &RequestHead, trace: TraceContext, client: IpAddr) {
    let secured = live.conn.secured.as_ref();
    let identity = secured.and_then(|secured| secured.client.as_ref());
    let peer = live.conn.peer;
    let field = |name| head.fields.first(name).map(text);
    live.exchange.describe(trace, || Details {
        request_id: field(Known::RequestId).unwrap_or_default(),
        client,
        peer,
        protocol: head.version.name(),
        method: head.method().to_owned(),
        authority: head.authority().to_owned(),
        target: head.target().to_owned(),
        user_agent: field(Known::UserAgent),
        tls_version: secured.map(|secured| secured.version),
        client_identity: identity.map(|identity| Arc::clone(&identity.label)),
    });
}

/// An authority as it stands in the head, or in lower case.
enum Named {
    At(Span),
    New(Vec<u8>),
}

/// Gives the head its one authority: that of an absolute target if there is one,
/// else `Host` (RFC 9112, section 3.2.2).
fn name_authority(head: &mut RequestHead) -> Result<(), ProxyError> {
    let bad = ProxyError::BadRequest;
    let absolute = absolute(head)?;
    let host_at = head.fields.only(Known::Host);
    let host_at = host_at.map_err(|_| bad("more than one Host"))?;
    let host = host_at.map(|at| checked(head.fields.at(at))).transpose()?;
    let [_, _, given] = head.bytes();
    let named = match &absolute {
        Some((authority, _)) => Some(checked(authority.as_bytes())?),
        None if given.is_empty() => None,
        None => Some(checked(given)?),
    };
    let authority = match (named, host) {
        (Some(_), None) if head.version == Version::Http11 => return Err(bad("no Host")),
        (Some(named), Some(host)) if head.version == Version::Http2 && named != host => {
            return Err(bad(":authority and Host differ"));
        }
        (Some(Cow::Borrowed(_)), _) if absolute.is_none() => Named::At(head.authority_at()),
        (Some(named), _) => Named::New(named.into_owned()),
        (None, Some(Cow::Borrowed(_))) => Named::At(host_at.unwrap_or_default()),
        (None, Some(Cow::Owned(host))) => Named::New(host),
        (None, None) if head.version == Version::Http10 => Named::New(Vec::new()),
        (None, None) => return Err(bad("no Host")),
    };
    match authority {
        Named::At(place) => head.set_authority_at(place),
        Named::New(authority) => head.set_authority(&authority),
    }
    if let Some((_, target)) = absolute {
        head.set_target(&target);
    }
    head.fields.remove_all(Names::of(&[Known::Host]));
    Ok(())
}

/// Authority, and path with query, of a target that names both.
fn absolute(head: &RequestHead) -> Result<Option<(String, String)>, ProxyError> {
    if let [_, [b'/', ..] | [b'*'], _] = head.bytes() {
        return Ok(None);
    }
    let target = head.target();
    let malformed = || ProxyError::BadRequest("the path is malformed");
    let uri: Uri = target.parse().map_err(|_| malformed())?;
    if uri
        .scheme()
        .is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS)
    {
        return Err(ProxyError::BadRequest("the target's scheme is not served"));
    }
    let (Some(_), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(malformed());
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(Some((authority.as_str().to_owned(), path.to_owned())))
}

/// An authority in lower case.
fn checked(value: &[u8]) -> Result<Cow<'_, [u8]>, ProxyError> {
    let malformed = || ProxyError::BadRequest("the authority is malformed");
    if is_plain(value) {
        return Ok(Cow::Borrowed(value));
    }
    let text = std::str::from_utf8(value).map_err(|_| malformed())?;
    if text.contains('@') || text.contains(',') {
        return Err(malformed());
    }
    let authority: Authority = text.parse().map_err(|_| malformed())?;
    if authority.host().is_empty() {
        return Err(malformed());
    }
    Ok(Cow::Owned(value.to_ascii_lowercase()))
}

/// Whether it is a name or an IPv4 address, in lower case, perhaps with a port:
/// what nearly all requests have, and needs no further look.
fn is_plain(authority: &[u8]) -> bool {
    let letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let colon = memchr(b':', authority);
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    // Looks at all of it, so that it can look at many bytes at once.
    let named = host.iter().fold(true, |all, byte| all & letter(*byte));
    let port_fits = match port {
        [] => true,
        [_, number @ ..] => {
            (1..=5).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
        }
    };
    named && !host.is_empty() && port_fits
}

/// Brings path and query into normal form.
fn normalize_target(head: &mut RequestHead) -> Result<(), ProxyError> {
    let target = head.target();
    if target == "*" && head.method != Method::Options {
        return Err(ProxyError::BadRequest("only OPTIONS may be about *"));
    }
    match path::normalize(target) {
        Ok(Cow::Borrowed(_)) => Ok(()),
        Ok(Cow::Owned(target)) => {
            head.set_target(&target);
            Ok(())
        }
        Err(_) => Err(ProxyError::BadRequest("the path is malformed")),
    }
}

fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// The protocol that the request may switch to. `h2c` never passes: behind it
/// nobody would look at requests any more.
fn upgrade(live: &Live, head: &RequestHead, body: &ClientBody) -> Option<String> {
    if head.version != Version::Http11 || !body.is_end() {
        return None;
    }
    let wanted = std::str::from_utf8(hop::upgrade(&head.fields)?).ok()?;
    let name = wanted.trim().to_ascii_lowercase();
    let allowed = name != "h2c" && live.listener.spec.upgrades.contains(&name);
    allowed.then(|| wanted.to_owned())
}

/// Leaves of what a request says of where it came from only what is believed,
/// and says whose certificate was verified.
fn vouch(live: &Live, head: &mut RequestHead, hops: u32) {
    hop::strip_forwarding(&mut head.fields, hops > 0);
    let secured = live.conn.secured.as_ref();
    if let Some(client) = secured.and_then(|secured| secured.client.as_ref()) {
        let certificate = client.header.as_bytes();
        head.fields.put(Known::ForwardedClientCert, certificate);
    }
}

/// Gives the request its id: that of a trusted hop, or a new one.
fn name_request(live: &Live, head: &mut RequestHead, hops: u32) {
    let sane = |value: &[u8]| {
        !value.is_empty() && value.len() <= LONGEST_ID && value.iter().all(u8::is_ascii_graphic)
    };
    let given = head.fields.first(Known::RequestId);
    if hops > 0 && given.is_some_and(sane) {
        return;
    }
    let random = live.conn.worker.wide_entropy().to_be_bytes();
    let id = uuid::Builder::from_random_bytes(random).into_uuid();
    let mut buffer = Uuid::encode_buffer();
    let id = id.hyphenated().encode_lower(&mut buffer);
    head.fields.put_plain(Known::RequestId, id.as_bytes());
}

/// The trace of the caller, or one that begins here by the listener's share.
fn trace(live: &Live, head: &RequestHead) -> TraceContext {
    let worker = &live.conn.worker;
    let field = |name| head.fields.first(name);
    let given = TraceContext::from_headers(field(Known::Traceparent), field(Known::Tracestate));
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

fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(value).into_owned(),
    }
}
