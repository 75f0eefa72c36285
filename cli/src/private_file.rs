//! Files that appear as a whole or not at all, and that only their owner reads
//! if they hold a secret.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use evenkeel_shared::secret::SecretBytes;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner (mode 0600).
    Owner,
    /// Everybody (mode 0644).
    Everybody,
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and writing fails.
    Keep,
    /// It is replaced.
    Replace,
}

/// Writes a file: after a crash there is the old one or the new one.
///
/// # Errors
/// What the system says; `AlreadyExists` for a file that stays.
pub(crate) fn write(
    path: &Path,
    content: &[u8],
    readers: Readers,
    existing: Existing,
) -> io::Result<()> {
    let directory = directory(path);
    // Made with mode 0600, so that there is no moment in which others can read.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    if readers == Readers::Everybody {
        file.as_file()
            .set_permissions(Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    match existing {
        Existing::Keep => file.persist_noclobber(path)?,
        Existing::Replace => file.persist(path)?,
    };
    File::open(directory)?.sync_all()
}

/// The directory of a file.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads a file of at most `limit` bytes, which are wiped from memory later.
///
/// # Errors
/// It cannot be read; it is larger.
pub(crate) fn read(path: &Path, limit: usize) -> Result<SecretBytes, Failure> {
    let name = path.display();
    let unreadable = |error: io::Error| Failure::Failed(format!("cannot read {name}: {error}"));
    // Reserved at once: bytes that move while it grows would not be wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > limit {
        return Err(Failure::Failed(format!(
            "{name} is too large: at most {limit} bytes are read"
        )));
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_file_is_for_its_owner_and_is_not_overwritten_by_accident() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write(&path, b"one", Readers::Owner, Existing::Keep).unwrap();
        assert_eq!(mode(&path), 0o600);
        let refused = write(&path, b"two", Readers::Owner, Existing::Keep).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 3).unwrap().expose(), b"one");
        write(&path, b"two", Readers::Everybody, Existing::Replace).unwrap();
        assert_eq!(mode(&path), 0o644);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(read(&path, 2).is_err());
    }
}
