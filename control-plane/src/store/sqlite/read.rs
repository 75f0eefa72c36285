//! Questions to the database. Each is one transaction, so that what it reads
//! belongs together.

use evenkeel_shared::proto::v1;
use prost::Message;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, SqliteConnection};

use crate::store::{Committed, DesiredState, ResourceKey};

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says no.
    Sql(sqlx::Error),
    /// What was read cannot be what was written.
    Damaged(String),
}

impl From<sqlx::Error> for Fault {
    fn from(fault: sqlx::Error) -> Self {
        Self::Sql(fault)
    }
}

const BY_NUMBER: &str = "SELECT revision, parent, author, message, seconds, nanos, apply_id, \
     allow_mass_removal FROM revisions WHERE revision = ?";
const BY_APPLY_ID: &str = "SELECT revision, parent, author, message, seconds, nanos, apply_id, \
     allow_mass_removal FROM revisions WHERE apply_id = ?";
const NEWEST: &str = "SELECT coalesce(max(revision), 0) FROM revisions";
const GRANT: &str = "SELECT coalesce(max(revision), 0) FROM revisions WHERE allow_mass_removal";
const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM blobs WHERE instr(content, ?) > 0)";
const CHANGES: &str =
    "SELECT kind, name, action FROM changes WHERE revision = ? ORDER BY kind, name";
const STATE: &str = "SELECT entries.kind, entries.name, entries.digest, blobs.content \
     FROM entries JOIN blobs ON blobs.digest = entries.digest \
     WHERE since <= ?1 AND (until IS NULL OR until > ?1)";
const HISTORY: &str = "SELECT revision FROM revisions WHERE revision < ? \
     ORDER BY revision DESC LIMIT ?";
const HISTORY_OF: &str = "SELECT revision FROM changes WHERE revision < ? \
     AND kind = ? AND name = ? ORDER BY revision DESC LIMIT ?";

/// SHA-256 of an encoded resource.
pub(super) fn digest(content: &[u8]) -> Vec<u8> {
    Sha256::digest(content).to_vec()
}

/// A number as SQLite keeps it; none that is given out is out of its range.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that SQLite kept.
pub(super) fn number(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or_default()
}

pub(super) async fn newest(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let newest: i64 = sqlx::query_scalar(NEWEST).fetch_one(connection).await?;
    Ok(number(newest))
}

pub(super) async fn head(pool: &SqlitePool) -> Result<Committed, Fault> {
    let mut transaction = pool.begin().await?;
    let newest = newest(&mut transaction).await?;
    let row = sqlx::query(BY_NUMBER)
        .bind(integer(newest))
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(row) = row else {
        return Ok(Committed {
            revision: v1::Revision::default(),
            allow_mass_removal: false,
            state: DesiredState::new(),
        });
    };
    Ok(Committed {
        allow_mass_removal: row.try_get("allow_mass_removal")?,
        revision: revision(&mut transaction, &row).await?,
        state: state(&mut transaction, newest).await?,
    })
}

pub(super) async fn by_apply_id(
    pool: &SqlitePool,
    apply_id: &str,
) -> Result<Option<v1::Revision>, Fault> {
    let mut transaction = pool.begin().await?;
    Ok(with_apply_id(&mut transaction, apply_id).await?)
}

/// The revision with an apply id, within a transaction.
pub(super) async fn with_apply_id(
    connection: &mut SqliteConnection,
    apply_id: &str,
) -> sqlx::Result<Option<v1::Revision>> {
    let row = sqlx::query(BY_APPLY_ID)
        .bind(apply_id)
        .fetch_optional(&mut *connection)
        .await?;
    match row {
        Some(row) => Ok(Some(revision(connection, &row).await?)),
        None => Ok(None),
    }
}

pub(super) async fn at(pool: &SqlitePool, revision: u64) -> Result<Option<DesiredState>, Fault> {
    let mut transaction = pool.begin().await?;
    let kept = sqlx::query(BY_NUMBER)
        .bind(integer(revision))
        .fetch_optional(&mut *transaction)
        .await?;
    match kept {
        Some(_) => Ok(Some(state(&mut transaction, revision).await?)),
        None => Ok(None),
    }
}

pub(super) async fn history(
    pool: &SqlitePool,
    limit: u32,
    before: u64,
    key: Option<&ResourceKey>,
) -> Result<Vec<v1::Revision>, Fault> {
    let before = if before == 0 { u64::MAX } else { before };
    let query = match key {
        None => sqlx::query_scalar(HISTORY).bind(integer(before)),
        Some(key) => sqlx::query_scalar(HISTORY_OF)
            .bind(integer(before))
            .bind(i32::from(key.kind))
            .bind(key.name.as_str()),
    };
    let mut transaction = pool.begin().await?;
    let numbers: Vec<i64> = query.bind(limit).fetch_all(&mut *transaction).await?;
    let mut revisions = Vec::with_capacity(numbers.len());
    for number in numbers {
        let row = sqlx::query(BY_NUMBER)
            .bind(number)
            .fetch_one(&mut *transaction)
            .await?;
        revisions.push(revision(&mut transaction, &row).await?);
    }
    Ok(revisions)
}

pub(super) async fn removal_grant(pool: &SqlitePool) -> Result<u64, Fault> {
    let grant: i64 = sqlx::query_scalar(GRANT).fetch_one(pool).await?;
    Ok(number(grant))
}

pub(super) async fn holds(pool: &SqlitePool, text: &str) -> Result<bool, Fault> {
    let holds = sqlx::query_scalar(HOLDS).bind(text.as_bytes());
    Ok(holds.fetch_one(pool).await?)
}

/// A row of `revisions` with its changes.
async fn revision(
    connection: &mut SqliteConnection,
    row: &SqliteRow,
) -> sqlx::Result<v1::Revision> {
    let stored: i64 = row.try_get("revision")?;
    let changes = sqlx::query(CHANGES)
        .bind(stored)
        .fetch_all(connection)
        .await?;
    let change = |row: &SqliteRow| -> sqlx::Result<v1::Change> {
        Ok(v1::Change {
            id: Some(v1::ResourceId {
                kind: row.try_get("kind")?,
                name: row.try_get("name")?,
            }),
            action: row.try_get("action")?,
            before: None,
            after: None,
        })
    };
    Ok(v1::Revision {
        revision: number(stored),
        parent: number(row.try_get("parent")?),
        author: row.try_get("author")?,
        message: row.try_get("message")?,
        time: Some(prost_types::Timestamp {
            seconds: row.try_get("seconds")?,
            nanos: row.try_get("nanos")?,
        }),
        apply_id: row
            .try_get::<Option<String>, _>("apply_id")?
            .unwrap_or_default(),
        changes: changes.iter().map(change).collect::<sqlx::Result<_>>()?,
    })
}

/// Everything as of a revision, each content compared with its digest.
async fn state(connection: &mut SqliteConnection, revision: u64) -> Result<DesiredState, Fault> {
    let rows = sqlx::query(STATE)
        .bind(integer(revision))
        .fetch_all(connection)
        .await?;
    let mut state = DesiredState::new();
    for row in rows {
        let kind: i32 = row.try_get("kind")?;
        let name: String = row.try_get("name")?;
        let kind = v1::Kind::try_from(kind).unwrap_or_default();
        let key = ResourceKey { kind, name };
        let content: Vec<u8> = row.try_get("content")?;
        let expected: Vec<u8> = row.try_get("digest")?;
        let resource = v1::Resource::decode(content.as_slice()).ok();
        let resource = resource.filter(|_| digest(&content) == expected);
        let resource = resource
            .filter(|resource| ResourceKey::of(resource) == key)
            .ok_or_else(|| Fault::Damaged(format!("the content of {key} is not what it was")))?;
        state.insert(key, resource);
    }
    Ok(state)
}
