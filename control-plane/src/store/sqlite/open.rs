//! From a directory to a connection: lock, schema, integrity.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::read::Fault;
use crate::store::StoreError;

/// The steps from an empty file to the present schema. A step, once released,
/// is never changed; each ends by setting `user_version` to its number.
const MIGRATIONS: [&str; 2] = [
    include_str!("0001_revisions.sql"),
    include_str!("0002_access.sql"),
];
/// Readers at once; one more waits.
const READERS: u32 = 4;
/// How long a reader waits for its turn.
const READER_WAIT: Duration = Duration::from_secs(10);
/// Pages in the log after which it is written back.
const CHECKPOINT_PAGES: &str = "1000";
/// Size to which the log file is cut back afterwards, in bytes.
const LOG_BYTES: &str = "16777216";

/// Makes the directory and locks it. The lock goes away with the file, also
/// when the process is killed.
pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Directory { path, source }
    };
    if !directory.is_dir() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(fault(directory))?;
    }
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(fault(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(fault(&path)(source)),
    }
}

/// Makes the file for its owner only, should there be none: the directory may be
/// one that others can read. SQLite gives those beside it the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    made.map(drop).map_err(|source| StoreError::Directory {
        path: path.to_owned(),
        source,
    })
}

/// Makes the names in the directory durable.
pub(super) fn sync(directory: &Path) -> Result<(), StoreError> {
    let synced: io::Result<()> = File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(|source| StoreError::Directory {
        path: directory.to_owned(),
        source,
    })
}

/// The connection that writes, with a file that is sound and up to date.
pub(super) async fn writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    make_private(path)?;
    let options = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES);
    let mut connection = options
        .connect()
        .await
        .map_err(|fault| classify(path, fault.into()))?;
    prepare(&mut connection, path).await?;
    Ok(connection)
}

/// Connections that only read, opened as they are needed.
pub(super) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READER_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options(path).read_only(true))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

async fn prepare(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let fault = |fault: sqlx::Error| classify(path, fault.into());
    let report: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if report != "ok" {
        return Err(corrupt(path, report));
    }
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if found > known {
        return Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    let done = usize::try_from(found).unwrap_or_default();
    for migration in MIGRATIONS.into_iter().skip(done) {
        let migrated = migrate(connection, migration).await;
        migrated.map_err(fault)?;
    }
    Ok(())
}

async fn migrate(connection: &mut SqliteConnection, step: &'static str) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(step).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Tells a damaged file from other faults, by SQLite's primary result codes
/// `SQLITE_CORRUPT` and `SQLITE_NOTADB`.
pub(super) fn classify(path: &Path, fault: Fault) -> StoreError {
    let fault = match fault {
        Fault::Damaged(detail) => return corrupt(path, detail),
        Fault::Sql(fault) => fault,
    };
    let code = fault
        .as_database_error()
        .and_then(DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(11 | 26) => corrupt(path, fault.to_string()),
        _ => StoreError::Database(fault),
    }
}

fn corrupt(path: &Path, detail: String) -> StoreError {
    StoreError::Corrupt {
        path: PathBuf::from(path),
        detail,
    }
}
