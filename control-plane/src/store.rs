//! Revisions of the desired state, durable before anybody sees them.
//!
//! `state` and `diff` are pure; a backend only keeps what it is given and knows
//! nothing of what a resource means.

pub mod access;
pub mod diff;
pub mod sqlite;
pub mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::resource::Spec;

pub use sqlite::SqliteStore;

/// How many revisions are kept if nobody says otherwise.
pub const DEFAULT_RETENTION: u64 = 10_000;

/// Names a resource: kind first, so that lists are ordered by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// Its kind.
    pub kind: v1::Kind,
    /// Its name.
    pub name: String,
}

/// Everything users want, as they wrote it.
pub type DesiredState = BTreeMap<ResourceKey, v1::Resource>;

/// One revision, with its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Number, author, message, time, apply id and list of changes.
    pub revision: v1::Revision,
    /// Whether the author confirmed a mass removal.
    pub allow_mass_removal: bool,
    /// The whole state after it.
    pub state: DesiredState,
}

/// What shall become the next revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub time: prost_types::Timestamp,
    /// The caller's id of the change, used once among the revisions that are
    /// kept; empty is none.
    pub apply_id: String,
    /// Whether the author confirmed a mass removal.
    pub allow_mass_removal: bool,
    /// What the audit log shall say of it, in the same transaction; the revision
    /// is filled in.
    pub audit: v1::AuditEntry,
    /// The whole state after it.
    pub state: DesiredState,
}

/// Why the store cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{} is in use by another process", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory or the lock in it.
    #[error("cannot use {}", path.display())]
    Directory {
        /// What was touched.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file was written by a newer program.
    #[error(
        "{} has schema version {found}, but this program knows versions up to {known}: use the newer program that wrote it", path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The content of the file is damaged.
    #[error("{} is damaged ({detail}): restore it from a backup, or move it away to begin empty", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// SQLite says no.
    #[error("the configuration database failed")]
    Database(#[from] sqlx::Error),
    /// The store was closed before it could answer.
    #[error("the configuration store is closed")]
    Closed,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else was faster.
    #[error("the expected revision is not the present one, which is {current}")]
    Conflict {
        /// The present revision.
        current: u64,
    },
    /// The apply id is that of a revision that exists: the answer to a repeated
    /// request.
    #[error("the change was already made by revision {}", .0.revision)]
    AlreadyApplied(Box<v1::Revision>),
    /// The store failed; whether the commit is durable is known only after
    /// asking for its apply id.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Revisions.
    pub revisions: u64,
    /// Contents of resources that no revision holds any more.
    pub blobs: u64,
}

/// Keeps revisions. An answer is given only after it is durable; a commit
/// happens completely or not at all, also when its caller goes away.
pub trait ConfigStore: Send + Sync + 'static {
    /// The newest revision; number 0 and nothing in it before the first commit.
    fn head(&self) -> impl Future<Output = Result<Committed, StoreError>> + Send;

    /// Makes the revision after `expected`, if `expected` is the newest.
    fn commit(
        &self,
        expected: u64,
        proposal: Proposal,
    ) -> impl Future<Output = Result<Committed, CommitError>> + Send;

    /// The revision that a change made.
    fn by_apply_id(
        &self,
        apply_id: &str,
    ) -> impl Future<Output = Result<Option<v1::Revision>, StoreError>> + Send;

    /// The state as of a revision, if it is still kept.
    fn at(
        &self,
        revision: u64,
    ) -> impl Future<Output = Result<Option<DesiredState>, StoreError>> + Send;

    /// Revisions, newest first: at most `limit`, below `before` (0 is from the
    /// newest), and only those that changed `key`, if one is given.
    fn history(
        &self,
        limit: u32,
        before: u64,
        key: Option<&ResourceKey>,
    ) -> impl Future<Output = Result<Vec<v1::Revision>, StoreError>> + Send;

    /// The newest revision whose author confirmed a mass removal; 0 is none.
    fn removal_grant(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Whether some revision that is kept holds this text.
    fn holds(&self, text: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Keeps the newest `keep` revisions (at least one) and what they hold.
    fn prune(&self, keep: u64) -> impl Future<Output = Result<Pruned, StoreError>> + Send;
}

impl ResourceKey {
    /// Names a resource.
    pub fn new(kind: v1::Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// The key of a resource; of kind `Unspecified` if it has no `spec`.
    pub fn of(resource: &v1::Resource) -> Self {
        let kind = match &resource.spec {
            Some(Spec::Listener(_)) => v1::Kind::Listener,
            Some(Spec::Route(_)) => v1::Kind::Route,
            Some(Spec::Cluster(_)) => v1::Kind::Cluster,
            Some(Spec::Policy(_)) => v1::Kind::Policy,
            Some(Spec::Endpoints(_)) => v1::Kind::Endpoints,
            Some(Spec::ProxyGroup(_)) => v1::Kind::ProxyGroup,
            Some(Spec::Secret(_)) => v1::Kind::Secret,
            None => v1::Kind::Unspecified,
        };
        Self::new(kind, resource.name.as_str())
    }

    /// The key as a message.
    pub fn to_id(&self) -> v1::ResourceId {
        v1::ResourceId {
            kind: self.kind.into(),
            name: self.name.clone(),
        }
    }

    /// The kind as it stands in a file, for example `ProxyGroup`.
    pub const fn kind_label(&self) -> &'static str {
        match self.kind {
            v1::Kind::Listener => "Listener",
            v1::Kind::Route => "Route",
            v1::Kind::Cluster => "Cluster",
            v1::Kind::Policy => "Policy",
            v1::Kind::Endpoints => "Endpoints",
            v1::Kind::ProxyGroup => "ProxyGroup",
            v1::Kind::Secret => "Secret",
            v1::Kind::Unspecified => "Resource",
        }
    }
}

/// A message with an unknown kind names a resource of kind `Unspecified`, which
/// is never there.
impl From<&v1::ResourceId> for ResourceKey {
    fn from(id: &v1::ResourceId) -> Self {
        Self::new(id.kind(), id.name.as_str())
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind_label(), self.name)
    }
}
