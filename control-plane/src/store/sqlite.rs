//! Revisions in one SQLite file.
//!
//! One task owns the only connection that writes, so that a caller who goes
//! away cannot tear a commit, and a lock on the directory keeps other processes
//! out. A commit is answered after it is on the disk (`synchronous = FULL`).
//!
//! ```text
//! callers --bounded queue--> writer task --> config.db <-- pool of readers
//! ```

mod audit;
mod open;
mod read;
mod tokens;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_shared::proto::v1;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::access::{AccessStore, AuditQuery, StoredToken};
use super::{
    CommitError, Committed, ConfigStore, DEFAULT_RETENTION, DesiredState, Proposal, Pruned,
    ResourceKey, StoreError,
};

/// Writes that wait for the writer; one more caller waits for a place.
const QUEUE: usize = 16;

/// Revisions in one SQLite file. It closes when it is dropped; [`Self::close`]
/// also waits for that.
#[derive(Debug)]
pub struct SqliteStore {
    path: Arc<Path>,
    readers: SqlitePool,
    writes: mpsc::Sender<Write>,
    writer: JoinHandle<()>,
}

/// Something for the writer to do.
enum Write {
    Commit {
        expected: u64,
        proposal: Box<Proposal>,
        reply: oneshot::Sender<Result<Committed, CommitError>>,
    },
    Prune {
        keep: u64,
        reply: oneshot::Sender<Result<Pruned, StoreError>>,
    },
    Access {
        what: Box<AccessWrite>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// A write that is not of the configuration.
enum AccessWrite {
    AddToken(Box<StoredToken>, Vec<String>, v1::AuditEntry),
    EndToken(String, i64, v1::AuditEntry),
    Uses(Vec<(String, i64)>),
    Record(Vec<v1::AuditEntry>),
}

/// What the writer task owns.
struct Writer {
    path: Arc<Path>,
    connection: SqliteConnection,
    keep: u64,
    /// Held until everything is closed.
    lock: File,
}

impl SqliteStore {
    /// Opens the store in a directory, which is made if it is not there, and
    /// checks all of it.
    ///
    /// # Errors
    /// The directory cannot be used or belongs to another process, the file is
    /// damaged, or it was written by a newer program.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_keeping(directory, DEFAULT_RETENTION).await
    }

    /// Like [`Self::open`], and keeps the newest `keep` revisions (at least
    /// one) at each commit.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub async fn open_keeping(
        directory: impl Into<PathBuf>,
        keep: u64,
    ) -> Result<Self, StoreError> {
        let directory = directory.into();
        let lock = open::lock(&directory)?;
        let path: Arc<Path> = directory.join("config.db").into();
        let connection = open::writer(&path).await?;
        open::sync(&directory)?;
        let readers = open::readers(&path);
        let (writes, queue) = mpsc::channel(QUEUE);
        let owner = Writer {
            path: Arc::clone(&path),
            connection,
            keep,
            lock,
        };
        Ok(Self {
            path,
            readers,
            writes,
            writer: tokio::spawn(owner.run(queue)),
        })
    }

    /// Finishes the writes that wait, and closes the file.
    pub async fn close(self) {
        let Self {
            path: _,
            readers,
            writes,
            writer,
        } = self;
        drop(writes);
        readers.close().await;
        if let Err(fault) = writer.await {
            tracing::error!(%fault, "the writer of the configuration store ended early");
        }
    }

    /// Puts a write into the queue and waits for its answer. The write happens
    /// whether or not anybody still waits.
    async fn ask<T>(
        &self,
        write: impl FnOnce(oneshot::Sender<T>) -> Write,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.writes.send(write(reply)).await;
        sent.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }

    async fn ask_access(&self, what: AccessWrite) -> Result<(), StoreError> {
        let what = Box::new(what);
        self.ask(|reply| Write::Access { what, reply }).await?
    }

    /// An error of SQLite, told apart from a damaged file.
    fn fault(&self, fault: read::Fault) -> StoreError {
        open::classify(&self.path, fault)
    }
}

impl ConfigStore for SqliteStore {
    async fn head(&self) -> Result<Committed, StoreError> {
        let head = read::head(&self.readers).await;
        head.map_err(|fault| self.fault(fault))
    }

    async fn commit(&self, expected: u64, proposal: Proposal) -> Result<Committed, CommitError> {
        let proposal = Box::new(proposal);
        self.ask(|reply| Write::Commit {
            expected,
            proposal,
            reply,
        })
        .await?
    }

    async fn by_apply_id(&self, apply_id: &str) -> Result<Option<v1::Revision>, StoreError> {
        let found = read::by_apply_id(&self.readers, apply_id).await;
        found.map_err(|fault| self.fault(fault))
    }

    async fn at(&self, revision: u64) -> Result<Option<DesiredState>, StoreError> {
        let state = read::at(&self.readers, revision).await;
        state.map_err(|fault| self.fault(fault))
    }

    async fn history(
        &self,
        limit: u32,
        before: u64,
        key: Option<&ResourceKey>,
    ) -> Result<Vec<v1::Revision>, StoreError> {
        let revisions = read::history(&self.readers, limit, before, key).await;
        revisions.map_err(|fault| self.fault(fault))
    }

    async fn removal_grant(&self) -> Result<u64, StoreError> {
        let grant = read::removal_grant(&self.readers).await;
        grant.map_err(|fault| self.fault(fault))
    }

    async fn holds(&self, text: &str) -> Result<bool, StoreError> {
        let found = read::holds(&self.readers, text).await;
        found.map_err(|fault| self.fault(fault))
    }

    async fn prune(&self, keep: u64) -> Result<Pruned, StoreError> {
        self.ask(|reply| Write::Prune { keep, reply }).await?
    }
}

impl AccessStore for SqliteStore {
    async fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        let tokens = tokens::all(&self.readers).await;
        tokens.map_err(|fault| self.fault(fault))
    }

    async fn add_token(
        &self,
        token: StoredToken,
        forget: Vec<String>,
        entry: v1::AuditEntry,
    ) -> Result<(), StoreError> {
        self.ask_access(AccessWrite::AddToken(Box::new(token), forget, entry))
            .await
    }

    async fn end_token(
        &self,
        id: String,
        at: i64,
        entry: v1::AuditEntry,
    ) -> Result<(), StoreError> {
        self.ask_access(AccessWrite::EndToken(id, at, entry)).await
    }

    async fn note_uses(&self, uses: Vec<(String, i64)>) -> Result<(), StoreError> {
        self.ask_access(AccessWrite::Uses(uses)).await
    }

    async fn record(&self, entries: Vec<v1::AuditEntry>) -> Result<(), StoreError> {
        self.ask_access(AccessWrite::Record(entries)).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<v1::AuditEntry>, StoreError> {
        let entries = audit::list(&self.readers, &query).await;
        entries.map_err(|fault| self.fault(fault))
    }
}

impl Writer {
    /// Writes one after the other until all stores are gone.
    async fn run(mut self, mut queue: mpsc::Receiver<Write>) {
        while let Some(write) = queue.recv().await {
            match write {
                Write::Commit {
                    expected,
                    proposal,
                    reply,
                } => {
                    let done = self.commit(expected, *proposal).await;
                    answer(reply, done);
                }
                Write::Prune { keep, reply } => {
                    let done = write::prune(&mut self.connection, keep).await;
                    answer(
                        reply,
                        done.map_err(|fault| open::classify(&self.path, fault.into())),
                    );
                }
                Write::Access { what, reply } => {
                    let done = self.write_access(*what).await;
                    answer(
                        reply,
                        done.map_err(|fault| open::classify(&self.path, fault.into())),
                    );
                }
            }
        }
        if let Err(fault) = self.connection.close().await {
            tracing::warn!(?fault, "the configuration database did not close cleanly");
        }
        drop(self.lock);
    }

    async fn write_access(&mut self, what: AccessWrite) -> sqlx::Result<()> {
        let connection = &mut self.connection;
        match what {
            AccessWrite::AddToken(token, forget, entry) => {
                tokens::add(connection, *token, &forget, entry).await
            }
            AccessWrite::EndToken(id, at, entry) => tokens::end(connection, &id, at, entry).await,
            AccessWrite::Uses(uses) => tokens::note_uses(connection, &uses).await,
            AccessWrite::Record(entries) => audit::record(connection, entries).await,
        }
    }

    async fn commit(
        &mut self,
        expected: u64,
        proposal: Proposal,
    ) -> Result<Committed, CommitError> {
        let done = write::commit(&mut self.connection, expected, proposal, self.keep).await;
        done.map_err(|refused| match refused {
            write::Refused::Conflict { current } => CommitError::Conflict { current },
            write::Refused::AlreadyApplied(revision) => CommitError::AlreadyApplied(revision),
            write::Refused::Fault(fault) => open::classify(&self.path, fault).into(),
        })
    }
}

/// Tells the caller, if it still waits; the write stays done if it does not.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("nobody waits for this write any more");
    }
}

#[cfg(test)]
mod tests;
