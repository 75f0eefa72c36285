//! The file with the key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use tracing::warn;
use zeroize::Zeroizing;

use super::{KEY, Seal, SealFault};

/// Its name in the data directory.
const NAME: &str = "seal.key";

/// Its name until it is complete.
const UNFINISHED: &str = "seal.key.new";

impl Seal {
    /// Reads the key of a data directory, which nobody else uses meanwhile; makes
    /// one if there is none, unless something `is_used` that was sealed with the
    /// one that is missing. A new key is durable before it is used.
    ///
    /// # Errors
    /// The key is missing, cannot be read or made, or is none.
    pub fn of(directory: &Path, is_used: bool) -> Result<Self, SealFault> {
        let path = directory.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => {
                warn_if_open(&path);
                let bytes = Zeroizing::new(bytes);
                let key: Result<&[u8; KEY], _> = bytes.as_slice().try_into();
                Self::new(key.map_err(|_| SealFault::BadKey { path })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_used => {
                Err(SealFault::NoKey { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new([0; KEY]);
                rand::fill(key.as_mut_slice())?;
                write(directory, &path, &*key).map_err(|source| fault(path, source))?;
                Self::new(&key)
            }
            Err(source) => Err(fault(path, source)),
        }
    }
}

fn fault(path: PathBuf, source: io::Error) -> SealFault {
    SealFault::File { path, source }
}

/// Writes the file under another name first, so that there is never half a key.
fn write(directory: &Path, path: &Path, key: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}

/// A key that others may read protects little; but refusing to start would not
/// make it secret again.
fn warn_if_open(path: &Path) {
    let mode = fs::metadata(path).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        warn!(file = %path.display(), "other users can read the key that secrets are sealed with: chmod 600");
    }
}
