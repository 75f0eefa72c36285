//! The first token, without which nobody could make any.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use evenkeel_shared::proto::v1;
use evenkeel_shared::secret::SecretBytes;
use tracing::warn;

use super::Access;
use super::grants::{allows, everything};
use super::registry::Entry;
use super::token;
use crate::store::access::{AccessStore, StoredToken};

/// Name of the first token.
pub(super) const NAME: &str = "bootstrap";

/// Who made it, as the audit log says.
pub(super) const MAKER: &str = "control-plane";

/// The file that it is written to, in the data directory.
const FILE: &str = "admin.token";

impl<S: AccessStore> Access<S> {
    /// Makes a token for an administrator if nobody has such a token. The file comes first: a token that nobody has
    /// would keep the next start from making one.
    ///
    /// # Errors
    /// The file cannot be written, or the store fails.
    pub(super) async fn bootstrap(&self, directory: &Path) -> anyhow::Result<()> {
        let now = self.clock.wall_now().seconds;
        let all = self.gate.registry().list();
        let administrates = |entry: &Arc<Entry>| {
            let (role, kind) = (v1::Role::Admin, v1::Kind::Unspecified);
            entry.holds(now) && allows(&entry.grants, role, kind, "")
        };
        if all.iter().any(administrates) {
            return Ok(());
        }
        let minted = token::mint()?;
        let path = directory.join(FILE);
        write(directory, &minted.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let stored = StoredToken {
            token: v1::Token {
                id: minted.id,
                name: NAME.to_owned(),
                grants: everything().to_vec(),
                created: Some(prost_types::Timestamp {
                    seconds: now,
                    nanos: 0,
                }),
                created_by: MAKER.to_owned(),
                ..v1::Token::default()
            },
            digest: minted.digest,
        };
        let entry = v1::AuditEntry {
            time: Some(self.clock.wall_now()),
            subject: MAKER.to_owned(),
            action: "token create".to_owned(),
            allowed: true,
            detail: format!("{NAME}: admin on everything, written to {FILE}"),
            ..v1::AuditEntry::default()
        };
        self.store
            .add_token(stored.clone(), Vec::new(), entry)
            .await?;
        self.gate.registry().add(Entry::new(stored), &[]);
        warn!(
            path = %path.display(),
            "nobody had a token of an administrator: the first one is in this file"
        );
        Ok(())
    }
}

/// Writes the token for its owner only, completely or not at all.
fn write(directory: &Path, token: &SecretBytes) -> io::Result<()> {
    let (path, new) = (directory.join(FILE), directory.join("admin.token.new"));
    match fs::remove_file(&new) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(token.expose())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(directory)?.sync_all()
}
