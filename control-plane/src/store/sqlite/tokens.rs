//! Tokens in the database.

use evenkeel_shared::proto::v1;
use prost::Message;
use prost_types::Timestamp;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Connection, Row, SqliteConnection};

use super::audit;
use super::read::Fault;
use crate::store::access::StoredToken;

const ALL: &str = "SELECT id, name, certificate, digest, grants, created, created_by, expires, \
     revoked, last_used FROM tokens";
const ADD: &str = "INSERT INTO tokens (id, name, certificate, digest, grants, created, \
     created_by, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
const FORGET: &str = "DELETE FROM tokens WHERE id = ?";
const END: &str = "UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL";
const USE: &str = "UPDATE tokens SET last_used = ? WHERE id = ?";

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<StoredToken>, Fault> {
    let rows = sqlx::query(ALL).fetch_all(pool).await?;
    rows.iter().map(token).collect()
}

fn token(row: &SqliteRow) -> Result<StoredToken, Fault> {
    let id: String = row.try_get("id")?;
    let grants: Vec<u8> = row.try_get("grants")?;
    let grants = v1::Token::decode(grants.as_slice())
        .map_err(|_| Fault::Damaged(format!("the grants of token {id} are not what they were")))?
        .grants;
    let time = |column: &str| -> sqlx::Result<Option<Timestamp>> {
        let seconds: Option<i64> = row.try_get(column)?;
        Ok(seconds.map(|seconds| Timestamp { seconds, nanos: 0 }))
    };
    Ok(StoredToken {
        token: v1::Token {
            name: row.try_get("name")?,
            certificate: row.try_get("certificate")?,
            grants,
            created: time("created")?,
            created_by: row.try_get("created_by")?,
            expires: time("expires")?,
            revoked: time("revoked")?,
            last_used: time("last_used")?,
            id,
        },
        digest: row.try_get("digest")?,
    })
}

pub(super) async fn add(
    connection: &mut SqliteConnection,
    stored: StoredToken,
    forget: &[String],
    entry: v1::AuditEntry,
) -> sqlx::Result<()> {
    let StoredToken { token, digest } = stored;
    let grants = v1::Token {
        grants: token.grants,
        ..v1::Token::default()
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for id in forget {
        sqlx::query(FORGET)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(ADD)
        .bind(token.id)
        .bind(token.name)
        .bind(token.certificate)
        .bind(digest)
        .bind(grants.encode_to_vec())
        .bind(token.created.map_or(0, |time| time.seconds))
        .bind(token.created_by)
        .bind(token.expires.map(|time| time.seconds))
        .execute(&mut *transaction)
        .await?;
    audit::add(&mut transaction, entry).await?;
    transaction.commit().await
}

pub(super) async fn end(
    connection: &mut SqliteConnection,
    id: &str,
    at: i64,
    entry: v1::AuditEntry,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(END)
        .bind(at)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    audit::add(&mut transaction, entry).await?;
    transaction.commit().await
}

pub(super) async fn note_uses(
    connection: &mut SqliteConnection,
    uses: &[(String, i64)],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (id, at) in uses {
        sqlx::query(USE)
            .bind(at)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
