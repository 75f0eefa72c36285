//! Changes of the database. Each is one transaction: it happens completely or
//! not at all.

use std::collections::BTreeMap;

use evenkeel_shared::proto::v1;
use prost::Message;
use sqlx::{Connection, Row, SqliteConnection};

use super::audit;
use super::read::{self, Fault, digest, integer};
use crate::store::{Committed, Proposal, Pruned, ResourceKey};

/// Why nothing was committed.
#[derive(Debug)]
pub(super) enum Refused {
    /// Somebody else was faster.
    Conflict { current: u64 },
    /// The apply id is that of this revision.
    AlreadyApplied(Box<v1::Revision>),
    /// The database failed.
    Fault(Fault),
}

impl From<sqlx::Error> for Refused {
    fn from(fault: sqlx::Error) -> Self {
        Self::Fault(Fault::Sql(fault))
    }
}

/// Digests of the present contents.
const PRESENT: &str = "SELECT kind, name, digest FROM entries WHERE until IS NULL";
const ADD_BLOB: &str = "INSERT INTO blobs (digest, content) VALUES (?, ?) ON CONFLICT DO NOTHING";
const ADD_ENTRY: &str = "INSERT INTO entries (kind, name, since, digest) VALUES (?, ?, ?, ?)";
const END_ENTRY: &str =
    "UPDATE entries SET until = ? WHERE kind = ? AND name = ? AND until IS NULL";
const ADD_CHANGE: &str = "INSERT INTO changes (revision, kind, name, action) VALUES (?, ?, ?, ?)";
const ADD_REVISION: &str = "INSERT INTO revisions (revision, parent, author, message, seconds, \
     nanos, apply_id, allow_mass_removal) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
const ENDED: &str = "SELECT DISTINCT digest FROM entries WHERE until <= ?";
const DROP_REVISIONS: &str = "DELETE FROM revisions WHERE revision < ?";
const DROP_ENTRIES: &str = "DELETE FROM entries WHERE until <= ?";
const DROP_BLOB: &str = "DELETE FROM blobs WHERE digest = ?1 \
     AND NOT EXISTS (SELECT 1 FROM entries WHERE digest = ?1)";

/// Makes the revision after `expected`, and keeps `keep` of them.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    expected: u64,
    proposal: Proposal,
    keep: u64,
) -> Result<Committed, Refused> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if !proposal.apply_id.is_empty() {
        let first = read::with_apply_id(&mut transaction, &proposal.apply_id).await?;
        if let Some(first) = first {
            return Err(Refused::AlreadyApplied(Box::new(first)));
        }
    }
    let current = read::newest(&mut transaction).await?;
    if current != expected {
        return Err(Refused::Conflict { current });
    }
    let mut revision = v1::Revision {
        revision: current + 1,
        parent: current,
        author: proposal.author.clone(),
        message: proposal.message.clone(),
        time: Some(proposal.time),
        apply_id: proposal.apply_id.clone(),
        changes: Vec::new(),
    };
    add_revision(&mut transaction, &revision, proposal.allow_mass_removal).await?;
    revision.changes = replace_contents(&mut transaction, current + 1, &proposal).await?;
    drop_old(&mut transaction, current + 1, keep).await?;
    let entry = v1::AuditEntry {
        revision: current + 1,
        ..proposal.audit
    };
    audit::add(&mut transaction, entry).await?;
    transaction.commit().await?;
    Ok(Committed {
        revision,
        allow_mass_removal: proposal.allow_mass_removal,
        state: proposal.state,
    })
}

/// Throws away all but the newest revisions.
pub(super) async fn prune(connection: &mut SqliteConnection, keep: u64) -> sqlx::Result<Pruned> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let newest = read::newest(&mut transaction).await?;
    let pruned = drop_old(&mut transaction, newest, keep).await?;
    transaction.commit().await?;
    Ok(pruned)
}

async fn add_revision(
    connection: &mut SqliteConnection,
    revision: &v1::Revision,
    allow_mass_removal: bool,
) -> sqlx::Result<()> {
    let time = revision.time.unwrap_or_default();
    let apply_id = Some(revision.apply_id.as_str()).filter(|id| !id.is_empty());
    sqlx::query(ADD_REVISION)
        .bind(integer(revision.revision))
        .bind(integer(revision.parent))
        .bind(revision.author.as_str())
        .bind(revision.message.as_str())
        .bind(time.seconds)
        .bind(time.nanos)
        .bind(apply_id)
        .bind(allow_mass_removal)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the contents those of the proposal, and tells what that changed,
/// ordered by kind and name.
async fn replace_contents(
    connection: &mut SqliteConnection,
    revision: u64,
    proposal: &Proposal,
) -> sqlx::Result<Vec<v1::Change>> {
    let mut present = present(connection).await?;
    let mut actions = BTreeMap::new();
    for (key, resource) in &proposal.state {
        let content = resource.encode_to_vec();
        let digest = digest(&content);
        let action = match present.remove(key) {
            Some(same) if same == digest => continue,
            Some(_) => v1::ChangeAction::Configured,
            None => v1::ChangeAction::Created,
        };
        sqlx::query(ADD_BLOB)
            .bind(digest.as_slice())
            .bind(content)
            .execute(&mut *connection)
            .await?;
        end_entry(connection, revision, key).await?;
        sqlx::query(ADD_ENTRY)
            .bind(i32::from(key.kind))
            .bind(key.name.as_str())
            .bind(integer(revision))
            .bind(digest)
            .execute(&mut *connection)
            .await?;
        actions.insert(key.clone(), action);
    }
    for key in present.into_keys() {
        end_entry(connection, revision, &key).await?;
        actions.insert(key, v1::ChangeAction::Deleted);
    }
    let mut changes = Vec::with_capacity(actions.len());
    for (key, action) in actions {
        sqlx::query(ADD_CHANGE)
            .bind(integer(revision))
            .bind(i32::from(key.kind))
            .bind(key.name.as_str())
            .bind(i32::from(action))
            .execute(&mut *connection)
            .await?;
        changes.push(v1::Change {
            id: Some(key.to_id()),
            action: action.into(),
            before: None,
            after: None,
        });
    }
    Ok(changes)
}

async fn present(
    connection: &mut SqliteConnection,
) -> sqlx::Result<BTreeMap<ResourceKey, Vec<u8>>> {
    let rows = sqlx::query(PRESENT).fetch_all(connection).await?;
    let mut present = BTreeMap::new();
    for row in rows {
        let kind: i32 = row.try_get("kind")?;
        let name: String = row.try_get("name")?;
        let kind = v1::Kind::try_from(kind).unwrap_or_default();
        present.insert(ResourceKey { kind, name }, row.try_get("digest")?);
    }
    Ok(present)
}

async fn end_entry(
    connection: &mut SqliteConnection,
    revision: u64,
    key: &ResourceKey,
) -> sqlx::Result<()> {
    sqlx::query(END_ENTRY)
        .bind(integer(revision))
        .bind(i32::from(key.kind))
        .bind(key.name.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Drops the revisions before the newest `keep`, and the contents that only
/// they held.
async fn drop_old(
    connection: &mut SqliteConnection,
    newest: u64,
    keep: u64,
) -> sqlx::Result<Pruned> {
    let oldest = integer(newest.saturating_sub(keep.max(1)) + 1);
    let revisions = sqlx::query(DROP_REVISIONS)
        .bind(oldest)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let mut pruned = Pruned {
        revisions,
        blobs: 0,
    };
    if revisions == 0 {
        return Ok(pruned);
    }
    let digests: Vec<Vec<u8>> = sqlx::query_scalar(ENDED)
        .bind(oldest)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query(DROP_ENTRIES)
        .bind(oldest)
        .execute(&mut *connection)
        .await?;
    for digest in digests {
        let dropped = sqlx::query(DROP_BLOB)
            .bind(digest)
            .execute(&mut *connection)
            .await?;
        pruned.blobs += dropped.rows_affected();
    }
    Ok(pruned)
}
