//! `Get`, `List`, `Describe` and `History`.

use evenkeel_shared::proto::v1;
use tonic::Status;

use super::certificates;
use super::committer::Head;
use super::rejected::Rejected;
use super::service::Management;
use super::status::{concerned, rejection};
use crate::access::Caller;
use crate::model;
use crate::seal::redacted;
use crate::store::{ConfigStore, ResourceKey};

/// How many revisions are listed if nobody says otherwise.
const DEFAULT_HISTORY: u32 = 20;

/// How many revisions are listed at the most.
const MOST_HISTORY: u32 = 1000;

pub(super) fn get(head: &Head, key: &ResourceKey) -> Result<v1::GetResponse, Status> {
    Ok(v1::GetResponse {
        resource: Some(redacted(find(head, key)?)),
        revision: head.revision.revision,
    })
}

/// What the caller may see of what it asks for.
pub(super) fn list(head: &Head, caller: &Caller, request: v1::ListRequest) -> v1::ListResponse {
    let kind = request.kind();
    let wanted = head
        .state
        .iter()
        .filter(|(key, _)| kind == v1::Kind::Unspecified || key.kind == kind)
        .filter(|(key, _)| caller.may(v1::Role::Read, key));
    v1::ListResponse {
        resources: wanted.map(|(_, resource)| redacted(resource)).collect(),
        revision: head.revision.revision,
    }
}

impl<S: ConfigStore> Management<S> {
    pub(super) async fn describe_resource(
        &self,
        caller: &Caller,
        request: v1::DescribeRequest,
    ) -> Result<v1::DescribeResponse, Status> {
        let key = key(request.id.as_ref())?;
        self.gate.permit(caller, "describe", v1::Role::Read, &key)?;
        let head = self.configuration.head();
        let resource = find(&head, &key)?;
        let mut effective = model::effective(&head.state, &key);
        effective.extend(certificates::facts(resource, self.configuration.seal()));
        let resource = redacted(resource);
        let changed = self
            .store
            .history(1, head.revision.revision + 1, Some(&key))
            .await
            .map_err(Rejected::from)?;
        let (refers_to, referenced_by) = model::references(&head.state, &key);
        let ids = |keys: Vec<ResourceKey>| {
            let seen = keys.iter().filter(|key| caller.may(v1::Role::Read, key));
            seen.map(ResourceKey::to_id).collect()
        };
        Ok(v1::DescribeResponse {
            resource: Some(resource),
            changed: changed
                .into_iter()
                .next()
                .map(|revision| seen(revision, caller)),
            effective,
            referenced_by: ids(referenced_by),
            refers_to: ids(refers_to),
            rejections: self.rejections_of(&key),
        })
    }

    pub(super) async fn list_revisions(
        &self,
        caller: &Caller,
        request: v1::HistoryRequest,
    ) -> Result<v1::HistoryResponse, Status> {
        let key = request.id.as_ref().map(ResourceKey::from);
        let limit = match request.limit {
            0 => DEFAULT_HISTORY,
            asked => asked.min(MOST_HISTORY),
        };
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut revisions, mut before) = (Vec::new(), request.before);
        // What somebody sees who sees only a part has to be searched for.
        let page_size = if caller.sees_all() {
            limit
        } else {
            MOST_HISTORY
        };
        while revisions.len() < wanted {
            let page = self
                .store
                .history(page_size, before, key.as_ref())
                .await
                .map_err(Rejected::from)?;
            let Some(last) = page.last() else { break };
            let more = u32::try_from(page.len()).is_ok_and(|found| found >= page_size);
            before = last.revision;
            let page = page.into_iter().map(|revision| seen(revision, caller));
            revisions
                .extend(page.filter(|revision| caller.sees_all() || !revision.changes.is_empty()));
            if !more || before <= 1 {
                break;
            }
        }
        revisions.truncate(wanted);
        Ok(v1::HistoryResponse { revisions })
    }

    /// What proxies refuse of what a resource was compiled to.
    fn rejections_of(&self, key: &ResourceKey) -> Vec<v1::Rejection> {
        let mut found = Vec::new();
        for node in self.nodes.list().iter().filter(|node| node.connected) {
            let refused = node.progress.rejections.iter();
            found.extend(
                refused
                    .filter(|rejected| {
                        concerned(&rejected.kind, &rejected.name).as_ref() == Some(key)
                    })
                    .map(|rejected| rejection(&node.identity.id, rejected, &self.clock)),
            );
        }
        found
    }
}

/// A revision with those of its changes that the caller may see.
fn seen(mut revision: v1::Revision, caller: &Caller) -> v1::Revision {
    revision
        .changes
        .retain(|change| caller.sees(change.id.as_ref()));
    revision
}

/// The resource that a message names.
pub(super) fn key(id: Option<&v1::ResourceId>) -> Result<ResourceKey, Rejected> {
    let key = id.map(ResourceKey::from);
    key.filter(|key| key.kind != v1::Kind::Unspecified)
        .ok_or_else(|| Rejected::Request {
            field: "id",
            reason: "must name a kind and a resource".to_owned(),
        })
}

fn find<'a>(head: &'a Head, key: &ResourceKey) -> Result<&'a v1::Resource, Status> {
    let found = head.state.get(key);
    found.ok_or_else(|| Status::not_found(format!("there is no {key}")))
}
