//! `Apply` and `Rollback`.

use std::sync::Arc;

use evenkeel_shared::proto::v1;

use super::committer::{Change, Edit};
use super::rejected::Rejected;
use super::service::Management;
use crate::access::Caller;
use crate::store::{ConfigStore, ResourceKey};

/// The longest message or author, in bytes.
const TEXT_LIMIT: usize = 4096;

impl<S: ConfigStore> Management<S> {
    pub(super) async fn apply_resources(
        &self,
        request: v1::ApplyRequest,
        by: Arc<Caller>,
    ) -> Result<v1::ApplyResponse, Rejected> {
        let v1::ApplyRequest {
            resources,
            deletions,
            apply_id,
            expected_revision,
            dry_run,
            message,
            author,
            allow_mass_removal,
        } = request;
        // Before anything else, so that nothing that holds a change holds a secret.
        let resources = self.configuration.seal().admit(resources);
        let change = Change {
            by,
            action: "apply",
            edit: Edit::Apply {
                resources: resources.map_err(Rejected::from)?,
                deletions: deletions.iter().map(ResourceKey::from).collect(),
            },
            apply_id,
            expected_revision,
            dry_run,
            message,
            author,
            allow_mass_removal,
        };
        let outcome = self.configuration.change(checked(change)?).await?;
        Ok(v1::ApplyResponse {
            revision: outcome.revision,
            changes: outcome.changes,
            proxies: outcome.proxies,
        })
    }

    pub(super) async fn go_back(
        &self,
        request: v1::RollbackRequest,
        by: Arc<Caller>,
    ) -> Result<v1::RollbackResponse, Rejected> {
        let v1::RollbackRequest {
            to_revision,
            apply_id,
            expected_revision,
            dry_run,
            mut message,
            author,
            allow_mass_removal,
        } = request;
        let kept = self.store.at(to_revision).await.map_err(Rejected::from)?;
        let state = kept.ok_or(Rejected::NoRevision(to_revision))?;
        if message.is_empty() {
            message = format!("rollback to revision {to_revision}");
        }
        let change = Change {
            by,
            action: "rollback",
            edit: Edit::Replace(state),
            apply_id,
            expected_revision,
            dry_run,
            message,
            author,
            allow_mass_removal,
        };
        let outcome = self.configuration.change(checked(change)?).await?;
        Ok(v1::RollbackResponse {
            revision: outcome.revision,
            changes: outcome.changes,
            proxies: outcome.proxies,
        })
    }
}

/// The request's own fields; what is left out is filled in.
fn checked(mut change: Change) -> Result<Change, Rejected> {
    if change.apply_id.is_empty() {
        change.apply_id = uuid::Uuid::new_v4().to_string();
    }
    let broken = |field, reason: &str| {
        let reason = reason.to_owned();
        Err(Rejected::Request { field, reason })
    };
    if uuid::Uuid::try_parse(&change.apply_id).is_err() {
        return broken("apply_id", "must be a UUID");
    }
    if change.message.len() > TEXT_LIMIT {
        return broken("message", "must be at most 4096 bytes");
    }
    if change.author.len() > TEXT_LIMIT {
        return broken("author", "must be at most 4096 bytes");
    }
    change.author = change.by.author(&change.author);
    Ok(change)
}
