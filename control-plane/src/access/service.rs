//! The gRPC service.

use std::sync::Arc;

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::access_service_server::{AccessService, AccessServiceServer};
use prost_types::Timestamp;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::gate::Gate;
use super::grants::{self, granted_by};
use super::registry::Entry;
use super::{Access, request, token};
use crate::store::access::{AccessStore, AuditQuery, StoredToken};
use crate::store::{ResourceKey, StoreError};

/// The largest request, in bytes.
const REQUEST_LIMIT: usize = 64 << 10;

/// How many tokens may hold at once.
const MOST_LIVE: usize = 10_000;

/// How many tokens that have ended are remembered.
const MOST_ENDED: usize = 1_000;

/// How many entries are listed if nobody says otherwise.
const DEFAULT_ENTRIES: u32 = 50;

/// How many entries are listed at the most.
const MOST_ENTRIES: u32 = 1_000;

/// The service behind its gate.
#[derive(Debug)]
pub struct Served<S>(Arc<Access<S>>);

impl<S: AccessStore + std::fmt::Debug> Access<S> {
    /// The service, ready to be mounted.
    pub fn server(self) -> InterceptedService<AccessServiceServer<Served<S>>, Gate> {
        let gate = self.gate();
        let server = AccessServiceServer::new(Served(Arc::new(self)));
        InterceptedService::new(server.max_decoding_message_size(REQUEST_LIMIT), gate)
    }
}

#[tonic::async_trait]
impl<S: AccessStore + std::fmt::Debug> AccessService for Served<S> {
    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(v1::WhoAmIResponse {
            subject: caller.subject.clone(),
            method: caller.method.label().to_owned(),
            grants: caller.grants.to_vec(),
            expires: caller
                .expires
                .map(|seconds| Timestamp { seconds, nanos: 0 }),
        }))
    }

    async fn can_i(
        &self,
        request: Request<v1::CanIRequest>,
    ) -> Result<Response<v1::CanIResponse>, Status> {
        let caller = Caller::of(&request)?;
        can(&caller, &request.into_inner()).map(Response::new)
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let caller = self.0.administrator(&request, "token create")?;
        let request = request.into_inner();
        let wanted = request::check(request).map_err(|faults| request::refuse(&faults))?;
        let access = Arc::clone(&self.0);
        // A caller that goes away must not leave the store and the registry at
        // odds.
        let made = self
            .0
            .tasks
            .spawn(async move { access.create(&caller, wanted).await });
        let response = made.await.map_err(|_| defect())??;
        Ok(Response::new(response))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        self.0.administrator(&request, "token list")?;
        let (all, now) = (request.into_inner().all, self.0.now());
        let list = self.0.gate.registry().list().into_iter();
        let tokens = list.filter(|entry| all || entry.holds(now));
        Ok(Response::new(v1::ListTokensResponse {
            tokens: tokens.map(|entry| entry.show()).collect(),
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let caller = self.0.administrator(&request, "token revoke")?;
        let wanted = request.into_inner().token;
        let access = Arc::clone(&self.0);
        let ended = self
            .0
            .tasks
            .spawn(async move { access.revoke(&caller, &wanted).await });
        let token = ended.await.map_err(|_| defect())??;
        Ok(Response::new(v1::RevokeTokenResponse {
            token: Some(token),
        }))
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        self.0.administrator(&request, "audit")?;
        let v1::ListAuditRequest {
            limit,
            before,
            subject,
            id,
        } = request.into_inner();
        let query = AuditQuery {
            limit: match limit {
                0 => DEFAULT_ENTRIES,
                asked => asked.min(MOST_ENTRIES),
            },
            before,
            subject,
            key: id.as_ref().map(ResourceKey::from),
        };
        self.0.gate.auditor().flush().await;
        let entries = self
            .0
            .store
            .audit(query)
            .await
            .map_err(|error| failed(&error))?;
        Ok(Response::new(v1::ListAuditResponse { entries }))
    }
}

impl<S: AccessStore> Access<S> {
    fn now(&self) -> i64 {
        self.clock.wall_now().seconds
    }

    /// The caller, if it is an administrator of everything: one of a part could
    /// give itself the rest.
    fn administrator<T>(&self, request: &Request<T>, action: &str) -> Result<Arc<Caller>, Status> {
        let caller = Caller::of(request)?;
        let everything = ResourceKey::new(v1::Kind::Unspecified, "");
        let permitted = self
            .gate
            .permit(&caller, action, v1::Role::Admin, &everything);
        permitted.map(|()| caller)
    }

    async fn create(
        &self,
        caller: &Caller,
        wanted: request::Wanted,
    ) -> Result<v1::CreateTokenResponse, Status> {
        let _changing = self.changing.lock().await;
        let now = self.now();
        let forget = self.room_for(&wanted, now)?;
        let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let minted = token::mint().map_err(|fault| Status::unavailable(fault.to_string()))?;
        let by_certificate = !wanted.certificate.is_empty();
        let token = v1::Token {
            id: minted.id,
            name: wanted.name,
            certificate: wanted.certificate,
            grants: wanted.grants,
            created: time(now),
            created_by: caller.subject.clone(),
            expires: wanted.lifetime.and_then(|lifetime| time(now + lifetime)),
            ..v1::Token::default()
        };
        let digest = if by_certificate {
            Vec::new()
        } else {
            minted.digest
        };
        let stored = StoredToken { token, digest };
        let entry = self.entry(caller, "token create", &stored.token);
        let kept = self.store.add_token(stored.clone(), forget.clone(), entry);
        kept.await.map_err(|error| failed(&error))?;
        let token = stored.token.clone();
        self.gate.registry().add(Entry::new(stored), &forget);
        let secret = if by_certificate {
            String::new()
        } else {
            String::from_utf8_lossy(minted.text.expose()).into_owned()
        };
        Ok(v1::CreateTokenResponse {
            token: Some(token),
            secret,
        })
    }

    /// Whether one more can be made, and which of those that have ended make
    /// room for it.
    fn room_for(&self, wanted: &request::Wanted, now: i64) -> Result<Vec<String>, Status> {
        let list = self.gate.registry().list();
        let (live, ended): (Vec<_>, Vec<_>) = list.into_iter().partition(|entry| entry.holds(now));
        if live.iter().any(|entry| entry.name() == wanted.name) {
            let text = format!("name: there is a token `{}` already", wanted.name);
            return Err(Status::already_exists(text));
        }
        let same = |entry: &&Arc<Entry>| {
            !wanted.certificate.is_empty() && entry.show().certificate == wanted.certificate
        };
        if let Some(other) = live.iter().find(same) {
            let text = format!(
                "certificate: the name is let in already, by `{}`",
                other.name()
            );
            return Err(Status::already_exists(text));
        }
        if live.len() >= MOST_LIVE {
            let text = format!("there are {MOST_LIVE} tokens already: revoke some");
            return Err(Status::resource_exhausted(text));
        }
        let oldest = ended.iter().skip(MOST_ENDED - 1);
        Ok(oldest.map(|entry| entry.id().to_owned()).collect())
    }

    async fn revoke(&self, caller: &Caller, wanted: &str) -> Result<v1::Token, Status> {
        let _changing = self.changing.lock().await;
        let now = self.now();
        let found = self.gate.registry().find(wanted, now);
        let found =
            found.ok_or_else(|| Status::not_found(format!("there is no token `{wanted}`")))?;
        if found.ended.is_cancelled() {
            return Ok(found.show());
        }
        let entry = self.entry(caller, "token revoke", &found.show());
        let kept = self.store.end_token(found.id().to_owned(), now, entry);
        kept.await.map_err(|error| failed(&error))?;
        found.end(now);
        Ok(found.show())
    }

    fn entry(&self, caller: &Caller, action: &str, token: &v1::Token) -> v1::AuditEntry {
        let what = match token.certificate.as_str() {
            "" => token.id.clone(),
            name => format!("{}, certificate {name}", token.id),
        };
        let detail = format!("{} ({what}): {}", token.name, grants::labels(&token.grants));
        v1::AuditEntry {
            detail,
            ..self.gate.auditor().entry(caller, action, None)
        }
    }
}

/// Whether the caller may do something, and why.
fn can(caller: &Caller, request: &v1::CanIRequest) -> Result<v1::CanIResponse, Status> {
    let role = match v1::Role::try_from(request.role) {
        Ok(role) if role != v1::Role::Unspecified => role,
        _ => return Err(Status::invalid_argument("role: must be given")),
    };
    let id = request.id.clone().unwrap_or_default();
    let kind = v1::Kind::try_from(id.kind)
        .map_err(|_| Status::invalid_argument("id.kind: is none that this control plane knows"))?;
    let grant = granted_by(&caller.grants, role, kind, &id.name);
    let reason = match grant {
        Some(grant) => format!("granted by `{}`", grants::label(grant)),
        None => format!(
            "it needs `{}` on {}; {} has {}",
            grants::role_label(role),
            grants::scope(kind, &id.name),
            caller.subject,
            grants::labels(&caller.grants)
        ),
    };
    Ok(v1::CanIResponse {
        allowed: grant.is_some(),
        reason,
    })
}

fn failed(error: &StoreError) -> Status {
    Status::unavailable(format!("the configuration store failed: {error}"))
}

fn defect() -> Status {
    Status::internal("the control plane failed to process the request")
}
