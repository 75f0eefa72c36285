//! Finds out who calls, before a byte of the message is read, and says whether
//! the caller may do what it asks for.

use std::sync::Arc;

use evenkeel_shared::proto::v1;
use evenkeel_shared::tls::Identity;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::audit::Auditor;
use super::caller::{Caller, Method};
use super::grants::{allows, everything, role_label, scope, somewhere};
use super::refusal::Refusal;
use super::registry::Registry;
use super::token::Presented;
use crate::admin::metrics::Metrics;
use crate::peer::Peer;
use crate::store::ResourceKey;

/// Where credentials stand. It is taken out of a request here, so that nothing
/// behind can show it.
const AUTHORIZATION: &str = "authorization";

/// Stands before a service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Arc<Registry>,
    /// Whether callers from this machine need no credentials.
    local: bool,
    audit: Auditor,
    metrics: Arc<Metrics>,
}

impl Interceptor for Gate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let peer = Peer::of(&request);
        let shown = bearer(request.metadata());
        let now = self.0.audit.clock().wall_now();
        let caller = shown.and_then(|shown| self.identify(peer.as_ref(), shown, now.seconds));
        match caller {
            Ok(caller) => {
                request.metadata_mut().remove(AUTHORIZATION);
                request.extensions_mut().insert(Arc::new(caller));
                Ok(request)
            }
            Err(refusal) => {
                self.0.metrics.security.note_api_denied(refusal.label());
                self.0.audit.refused(v1::AuditEntry {
                    time: Some(now),
                    subject: refusal.subject().to_owned(),
                    source: peer.map_or_else(String::new, |peer| peer.address.to_string()),
                    action: "authenticate".to_owned(),
                    detail: refusal.to_string(),
                    ..v1::AuditEntry::default()
                });
                Err(refusal.into())
            }
        }
    }
}

impl Gate {
    pub(super) fn new(
        registry: Arc<Registry>,
        local: bool,
        audit: Auditor,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self(Arc::new(Inner {
            registry,
            local,
            audit,
            metrics,
        }))
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// The way into the audit log.
    pub(crate) fn auditor(&self) -> &Auditor {
        &self.0.audit
    }

    /// Who calls, at a time in seconds since 1970. What is shown must hold; only
    /// if nothing is shown does it matter where the caller is.
    pub(super) fn identify(
        &self,
        peer: Option<&Peer>,
        shown: Option<Presented>,
        now: i64,
    ) -> Result<Caller, Refusal> {
        let peer = peer.ok_or(Refusal::Nowhere)?;
        let source = peer.address.to_string();
        let caller = match (shown, &peer.identity) {
            (Some(token), _) => self.by_token(&token, source, now)?,
            (None, Some(identity)) => self.by_certificate(identity, source, now)?,
            (None, None) => {
                let near = peer.address.ip().to_canonical().is_loopback();
                if !(near && self.0.local) {
                    return Err(Refusal::Nothing);
                }
                Caller::local(source)
            }
        };
        caller.over(now).map_or(Ok(caller), Err)
    }

    fn by_token(&self, token: &Presented, source: String, now: i64) -> Result<Caller, Refusal> {
        let entry = self.0.registry.token(token, now)?;
        entry.note_use(now);
        Ok(Caller {
            subject: entry.name().to_owned(),
            method: Method::Token,
            source,
            grants: Arc::clone(&entry.grants),
            expires: entry.expires(),
            ended: entry.ended.clone(),
        })
    }

    fn by_certificate(
        &self,
        identity: &Identity,
        source: String,
        now: i64,
    ) -> Result<Caller, Refusal> {
        if let Some(uri) = identity.uris.iter().find(|uri| administrates(uri)) {
            return Ok(Caller {
                subject: uri.clone(),
                method: Method::Certificate,
                source,
                grants: everything(),
                expires: Some(identity.not_after),
                ended: CancellationToken::new(),
            });
        }
        let found = self.0.registry.certificate(identity, now);
        let unknown = || Refusal::UnknownCertificate(identity.label().to_owned());
        let (name, entry) = found.ok_or_else(unknown)?;
        entry.note_use(now);
        let end = entry.expires().unwrap_or(i64::MAX);
        Ok(Caller {
            subject: name,
            method: Method::Certificate,
            source,
            grants: Arc::clone(&entry.grants),
            expires: Some(end.min(identity.not_after)),
            ended: entry.ended.clone(),
        })
    }

    /// Lets a caller do something that takes a role on a resource, on all of a
    /// kind, or on everything.
    ///
    /// # Errors
    /// It has not got the role; that is counted and written down.
    pub(crate) fn permit(
        &self,
        caller: &Caller,
        action: &str,
        role: v1::Role,
        key: &ResourceKey,
    ) -> Result<(), Status> {
        if allows(&caller.grants, role, key.kind, &key.name) {
            return Ok(());
        }
        Err(self.deny(caller, action, role, &scope(key.kind, &key.name)))
    }

    /// Lets a caller do something that takes a role, on whatever it may be.
    ///
    /// # Errors
    /// As [`Self::permit`].
    pub(crate) fn permit_somewhere(
        &self,
        caller: &Caller,
        action: &str,
        role: v1::Role,
    ) -> Result<(), Status> {
        if somewhere(&caller.grants, role) {
            return Ok(());
        }
        Err(self.deny(caller, action, role, "something"))
    }

    fn deny(&self, caller: &Caller, action: &str, role: v1::Role, scope: &str) -> Status {
        let role = role_label(role);
        let text = format!(
            "{} may not do this: it needs `{role}` on {scope}",
            caller.subject
        );
        self.0.metrics.security.note_api_denied("permission");
        let entry = self.0.audit.entry(caller, action, Some(text.clone()));
        self.0.audit.refused(entry);
        Status::permission_denied(text)
    }
}

/// Whether a name in a certificate is an administrator's:
/// `spiffe://<trust domain>/admin/<name>`.
fn administrates(uri: &str) -> bool {
    let path = uri
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(domain, _)| !domain.is_empty())
        .and_then(|(_, path)| path.strip_prefix("admin/"));
    path.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// The token that a request shows, if it shows anything.
fn bearer(metadata: &MetadataMap) -> Result<Option<Presented>, Refusal> {
    let mut values = metadata.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let (scheme, token) = text
        .and_then(|text| text.split_once(' '))
        .ok_or(Refusal::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Malformed);
    }
    let presented = Presented::parse(token.trim());
    presented.map(Some).ok_or(Refusal::Malformed)
}
