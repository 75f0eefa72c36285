//! The audit log in the database.

use evenkeel_shared::proto::v1;
use futures_util::TryStreamExt as _;
use prost::Message;
use serde_json::json;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Connection, QueryBuilder, Row, Sqlite, SqliteConnection};

use super::read::{Fault, integer, number};
use crate::store::access::{AuditQuery, DONE_KEPT, REFUSED_KEPT};

/// Entries after which what is too old is dropped: counting costs a walk along
/// an index, which is not worth it each time.
const PRUNE_EVERY: u64 = 256;
/// How many entries are dropped at once.
const PRUNE_STEP: u32 = 1024;
/// The longest list of changes that is kept with its contents, in bytes. The
/// contents of what was done are in the revisions as well.
const CHANGES_LIMIT: usize = 256 << 10;
/// Bytes of changes after which an answer ends: clients take up to 4 MiB.
const ANSWER_BYTES: usize = 3 << 20;
/// The longest text in an entry, in bytes.
const TEXT_LIMIT: usize = 4096;

const ADD: &str = "INSERT INTO audit (seconds, nanos, subject, method, source, action, allowed, \
     detail, revision, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
/// One statement for all resources: a change may name very many.
const ADD_RESOURCES: &str = "INSERT OR IGNORE INTO audit_resources (kind, name, entry) \
     SELECT value ->> 0, value ->> 1, ?2 FROM json_each(?1)";
const PRUNE: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE allowed = ?1 \
     ORDER BY id DESC LIMIT ?3 OFFSET ?2)";
const SELECT: &str = "SELECT id, seconds, nanos, subject, method, source, action, allowed, \
     detail, revision, changes FROM audit WHERE id < ";

/// Adds an entry, as part of what it tells of.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    entry: v1::AuditEntry,
) -> sqlx::Result<()> {
    let ids = entry.changes.iter().filter_map(|change| change.id.as_ref());
    let ids = ids.map(|id| json!([id.kind, id.name]));
    let ids: serde_json::Value = ids.collect();
    let entry = bounded(entry);
    let time = entry.time.unwrap_or_default();
    let changes = v1::AuditEntry {
        changes: entry.changes,
        ..v1::AuditEntry::default()
    };
    let added = sqlx::query(ADD)
        .bind(time.seconds)
        .bind(time.nanos)
        .bind(entry.subject)
        .bind(entry.method)
        .bind(entry.source)
        .bind(entry.action)
        .bind(entry.allowed)
        .bind(entry.detail)
        .bind(integer(entry.revision))
        .bind(changes.encode_to_vec())
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    if !changes.changes.is_empty() {
        sqlx::query(ADD_RESOURCES)
            .bind(ids.to_string())
            .bind(added)
            .execute(&mut *connection)
            .await?;
    }
    if number(added).is_multiple_of(PRUNE_EVERY) {
        prune(connection, true, DONE_KEPT).await?;
        prune(connection, false, REFUSED_KEPT).await?;
    }
    Ok(())
}

/// Adds entries that stand for themselves.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    entries: Vec<v1::AuditEntry>,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for entry in entries {
        add(&mut transaction, entry).await?;
    }
    transaction.commit().await
}

/// Drops some of the oldest beyond the newest `keep`.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    allowed: bool,
    keep: u32,
) -> sqlx::Result<u64> {
    let pruned = sqlx::query(PRUNE)
        .bind(allowed)
        .bind(keep)
        .bind(PRUNE_STEP)
        .execute(connection)
        .await?;
    Ok(pruned.rows_affected())
}

pub(super) async fn list(
    pool: &SqlitePool,
    query: &AuditQuery,
) -> Result<Vec<v1::AuditEntry>, Fault> {
    let before = if query.before == 0 {
        u64::MAX
    } else {
        query.before
    };
    let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
    sql.push_bind(integer(before));
    if !query.subject.is_empty() {
        sql.push(" AND subject = ").push_bind(&query.subject);
    }
    if let Some(key) = &query.key {
        sql.push(" AND id IN (SELECT entry FROM audit_resources WHERE kind = ")
            .push_bind(i32::from(key.kind))
            .push(" AND name = ")
            .push_bind(&key.name)
            .push(")");
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit);
    let mut rows = sql.build().fetch(pool);
    let mut entries = Vec::new();
    let mut size = 0;
    while let Some(row) = rows.try_next().await? {
        let entry = entry(&row)?;
        size += entry.encoded_len();
        if size > ANSWER_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(row: &SqliteRow) -> Result<v1::AuditEntry, Fault> {
    let id = number(row.try_get("id")?);
    let changes: Vec<u8> = row.try_get("changes")?;
    let changes = v1::AuditEntry::decode(changes.as_slice())
        .map_err(|_| {
            Fault::Damaged(format!(
                "the changes of audit entry {id} are not what they were"
            ))
        })?
        .changes;
    Ok(v1::AuditEntry {
        id,
        time: Some(prost_types::Timestamp {
            seconds: row.try_get("seconds")?,
            nanos: row.try_get("nanos")?,
        }),
        subject: row.try_get("subject")?,
        method: row.try_get("method")?,
        source: row.try_get("source")?,
        action: row.try_get("action")?,
        allowed: row.try_get("allowed")?,
        detail: row.try_get("detail")?,
        revision: number(row.try_get("revision")?),
        changes,
    })
}

/// The entry without what would be too long; its detail says so.
fn bounded(mut entry: v1::AuditEntry) -> v1::AuditEntry {
    for text in [&mut entry.subject, &mut entry.detail] {
        if text.len() > TEXT_LIMIT {
            text.truncate(text.floor_char_boundary(TEXT_LIMIT));
            text.push('…');
        }
    }
    let size =
        |entry: &v1::AuditEntry| -> usize { entry.changes.iter().map(Message::encoded_len).sum() };
    if size(&entry) <= CHANGES_LIMIT {
        return entry;
    }
    for change in &mut entry.changes {
        (change.before, change.after) = (None, None);
    }
    let mut notes = vec!["contents left out".to_owned()];
    let all = entry.changes.len();
    while size(&entry) > CHANGES_LIMIT {
        entry.changes.truncate(entry.changes.len() / 2);
    }
    if entry.changes.len() < all {
        notes.push(format!("{} more resources", all - entry.changes.len()));
    }
    if !entry.detail.is_empty() {
        entry.detail.push_str("; ");
    }
    entry.detail.push_str(&notes.join(", "));
    entry
}
