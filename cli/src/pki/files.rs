//! Where certificates and keys lie.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::private_file::{self, Existing, Readers};

/// A certificate with its chain, and its key; both in PEM.
pub(super) struct Files {
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
}

/// Two files beside each other.
#[derive(Debug)]
pub(super) struct Place {
    chain: PathBuf,
    key: PathBuf,
    existing: Existing,
}

impl Place {
    /// `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// They are there, and must not be replaced.
    pub(super) fn new(directory: &Path, name: &str, replace: bool) -> Result<Self, Failure> {
        let place = Self {
            chain: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
            existing: if replace {
                Existing::Replace
            } else {
                Existing::Keep
            },
        };
        if !replace {
            for path in [&place.chain, &place.key] {
                if path.symlink_metadata().is_ok() {
                    return Err(there(path));
                }
            }
        }
        Ok(place)
    }

    /// Writes both, each as a whole; the key for its owner only.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        let write = |path: &Path, content: &str, readers| {
            private_file::write(path, content.as_bytes(), readers, self.existing).map_err(|error| {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    there(path)
                } else {
                    Failure::Failed(format!("cannot write {}: {error}", path.display()))
                }
            })
        };
        write(&self.key, &files.key, Readers::Owner)?;
        write(&self.chain, &files.chain, Readers::Everybody)
    }
}

fn there(path: &Path) -> Failure {
    Failure::Failed(format!(
        "{} is there already and is not overwritten",
        path.display()
    ))
}

/// Makes a directory for its owner only; one that is there stays as it is.
///
/// # Errors
/// What the system says.
pub(super) fn private_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::Failed(format!("cannot make {}: {error}", path.display())))
}
