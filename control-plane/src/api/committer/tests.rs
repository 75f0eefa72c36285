//! What the committer makes of a store that fails.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::model::samples::state;
use crate::store::{Pruned, SqliteStore, StoreError};

/// A store that makes a commit and then fails to say so, when it is told to.
struct Forgetful {
    store: SqliteStore,
    forgets: AtomicBool,
}

impl ConfigStore for Forgetful {
    async fn head(&self) -> Result<Committed, StoreError> {
        self.store.head().await
    }

    async fn commit(&self, expected: u64, proposal: Proposal) -> Result<Committed, CommitError> {
        let committed = self.store.commit(expected, proposal).await?;
        if self.forgets.swap(false, Ordering::Relaxed) {
            return Err(StoreError::Closed.into());
        }
        Ok(committed)
    }

    async fn by_apply_id(&self, apply_id: &str) -> Result<Option<v1::Revision>, StoreError> {
        self.store.by_apply_id(apply_id).await
    }

    async fn at(&self, revision: u64) -> Result<Option<DesiredState>, StoreError> {
        self.store.at(revision).await
    }

    async fn history(
        &self,
        limit: u32,
        before: u64,
        key: Option<&ResourceKey>,
    ) -> Result<Vec<v1::Revision>, StoreError> {
        self.store.history(limit, before, key).await
    }

    async fn removal_grant(&self) -> Result<u64, StoreError> {
        self.store.removal_grant().await
    }

    async fn holds(&self, text: &str) -> Result<bool, StoreError> {
        self.store.holds(text).await
    }

    async fn prune(&self, keep: u64) -> Result<Pruned, StoreError> {
        self.store.prune(keep).await
    }
}

fn seal() -> Seal {
    Seal::new(&[1; 32]).unwrap()
}

/// A cluster of that name is to be.
fn change(name: &str) -> Change {
    let cluster = json!({"name": name, "cluster": {"endpoints": {"static": [
        {"address": "127.0.0.1:9001"}]}}});
    let resources = state(&[cluster]).into_values().collect();
    Change {
        by: Arc::new(Caller::local(String::new())),
        action: "apply",
        edit: Edit::Apply {
            resources: seal().admit(resources).unwrap(),
            deletions: Vec::new(),
        },
        apply_id: String::new(),
        expected_revision: 0,
        dry_run: false,
        message: String::new(),
        author: String::new(),
        allow_mass_removal: false,
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_published_and_the_next_one_is_made() {
    let directory = TempDir::new().unwrap();
    let store = Forgetful {
        store: SqliteStore::open(directory.path()).await.unwrap(),
        forgets: AtomicBool::new(true),
    };
    let clock = Clock::start();
    let nodes = Arc::new(Nodes::new(clock));
    let metrics = Arc::new(Metrics::new(Arc::clone(&nodes)));
    let auditor = Auditor::unread(clock, Arc::clone(&metrics));
    let (store, seal) = (Arc::new(store), Arc::new(seal()));
    let loaded = Committer::load(store, seal, nodes, Arc::clone(&metrics), auditor).await;
    let (committer, configuration) = loaded.unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(committer.run(shutdown.clone()));

    let lost = configuration.change(change("a")).await;
    assert!(matches!(lost, Err(Rejected::Store(_))), "{lost:?}");
    assert_eq!(configuration.head().revision.revision, 1);
    assert_eq!(configuration.snapshots().borrow().revision, 1);

    let made = configuration.change(change("b")).await.unwrap();
    assert_eq!(made.revision, 2);
    assert_eq!(configuration.head().state.len(), 2);
    shutdown.cancel();
    task.await.unwrap();
}
