//! Who calls, and what it may do.

use std::sync::Arc;

use evenkeel_shared::proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::grants::{allows, everything};
use super::refusal::Refusal;
use crate::store::ResourceKey;

/// How it is known who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By a token.
    Token,
    /// By a client certificate.
    Certificate,
    /// It is on the same machine, where nobody is asked.
    Local,
}

impl Method {
    /// As the API says it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Local => "local",
        }
    }
}

/// Somebody who is let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name under which it is recorded.
    pub subject: String,
    /// How that is known.
    pub method: Method,
    /// From where: IP address and port.
    pub source: String,
    /// What it may do.
    pub grants: Arc<[v1::Grant]>,
    /// When its credentials end, in seconds since 1970.
    pub expires: Option<i64>,
    /// Cancelled when its credentials are taken away.
    pub(super) ended: CancellationToken,
}

impl Caller {
    /// Somebody on this machine, who may do everything.
    pub(crate) fn local(source: String) -> Self {
        Self {
            subject: Method::Local.label().to_owned(),
            method: Method::Local,
            source,
            grants: everything(),
            expires: None,
            ended: CancellationToken::new(),
        }
    }

    /// The caller whom a [`super::Gate`] let through.
    ///
    /// # Errors
    /// There is no gate before the service.
    pub fn of<T>(request: &Request<T>) -> Result<Arc<Self>, Status> {
        let caller = request.extensions().get::<Arc<Self>>();
        caller.cloned().ok_or_else(|| Refusal::Nowhere.into())
    }

    /// Whether it has the role on a resource.
    pub fn may(&self, role: v1::Role, key: &ResourceKey) -> bool {
        allows(&self.grants, role, key.kind, &key.name)
    }

    /// Whether it may see everything.
    pub fn sees_all(&self) -> bool {
        allows(&self.grants, v1::Role::Read, v1::Kind::Unspecified, "")
    }

    /// Whether it may see a resource that a message names.
    pub fn sees(&self, id: Option<&v1::ResourceId>) -> bool {
        let key = id.map(ResourceKey::from);
        key.is_some_and(|key| self.may(v1::Role::Read, &key))
    }

    /// Why its credentials hold no longer, at a time in seconds since 1970.
    pub(crate) fn over(&self, now: i64) -> Option<Refusal> {
        let subject = self.subject.clone();
        if self.ended.is_cancelled() {
            Some(Refusal::Revoked(subject))
        } else if self.expires.is_none_or(|expires| now < expires) {
            None
        } else if self.method == Method::Certificate {
            Some(Refusal::ExpiredCertificate(subject))
        } else {
            Some(Refusal::Expired(subject))
        }
    }

    /// The author of a change as it is recorded. What a caller says of itself
    /// stands alone only if it is on this machine; anybody else's own name comes
    /// first.
    pub(crate) fn author(&self, given: &str) -> String {
        if given.is_empty() || given == self.subject {
            self.subject.clone()
        } else if self.method == Method::Local {
            given.to_owned()
        } else {
            format!("{} ({given})", self.subject)
        }
    }
}
