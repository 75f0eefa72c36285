//! What a store keeps beside the configuration: who is let in, and what was
//! done.

use evenkeel_shared::proto::v1;

use super::{ResourceKey, StoreError};

/// How many entries of what was done are kept.
pub const DONE_KEPT: u32 = 80_000;

/// How many entries of what was refused are kept. They have a bound of their
/// own, so that nobody can push out what was done by asking for what is refused.
pub const REFUSED_KEPT: u32 = 20_000;

/// A token, or a certificate's name, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredToken {
    /// What is known of it; its times are whole seconds.
    pub token: v1::Token,
    /// SHA-256 of the secret; empty for a certificate's name. A slow digest
    /// would gain nothing: the secret has 256 random bits.
    pub digest: Vec<u8>,
}

/// Which entries of the audit log are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// How many at the most. Fewer come if they are long.
    pub limit: u32,
    /// Only those below this number; 0 is from the newest.
    pub before: u64,
    /// Only those of this subject; empty is all.
    pub subject: String,
    /// Only those that concern this resource.
    pub key: Option<ResourceKey>,
}

/// Keeps tokens and the audit log. What it answers is durable; it happens
/// completely or not at all, also when the caller goes away.
pub trait AccessStore: Send + Sync + 'static {
    /// All tokens, also those that have ended.
    fn tokens(&self) -> impl Future<Output = Result<Vec<StoredToken>, StoreError>> + Send;

    /// Keeps a new token and forgets others, and notes it in the audit log.
    fn add_token(
        &self,
        token: StoredToken,
        forget: Vec<String>,
        entry: v1::AuditEntry,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps that a token was ended, in seconds since 1970, and notes it in the
    /// audit log.
    fn end_token(
        &self,
        id: String,
        at: i64,
        entry: v1::AuditEntry,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps when tokens were last used, by id.
    fn note_uses(
        &self,
        uses: Vec<(String, i64)>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds entries to the audit log, which numbers them.
    fn record(
        &self,
        entries: Vec<v1::AuditEntry>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Entries of the audit log, newest first.
    fn audit(
        &self,
        query: AuditQuery,
    ) -> impl Future<Output = Result<Vec<v1::AuditEntry>, StoreError>> + Send;
}
