//! Reads certificates and keys from where they are.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use evenkeel_shared::ir::{DataSource, SecretContent};
use evenkeel_shared::secret::SecretBytes;
use evenkeel_shared::tls::{Identity, Pair, Trust};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Largest file, in bytes; all the authorities of the web together are a fifth
/// of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A file that was written so short a time ago, in seconds, may be written again
/// without a trace: clocks of file systems are coarse.
const UNSETTLED_SECONDS: u64 = 2;

/// What is read from one place.
#[derive(Debug, Clone)]
pub(super) enum Material {
    /// A certificate with its key.
    Pair(Pair),
    /// Certificates to trust, and what they say of their holders.
    Trust(Trust, Vec<Identity>),
}

impl Material {
    /// The certificates, for people. Of a chain only the first one.
    pub(super) fn identities(&self) -> &[Identity] {
        match self {
            Self::Pair(pair) => std::slice::from_ref(&pair.identity),
            Self::Trust(_, identities) => identities,
        }
    }

    /// Whether both hold the same certificates, and so the same keys.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pair(one), Self::Pair(other)) => one.key.cert == other.key.cert,
            (Self::Trust(one, _), Self::Trust(other, _)) => {
                one.roots.roots == other.roots.roots && one.revocations == other.revocations
            }
            _ => false,
        }
    }
}

/// Reads all of a secret.
///
/// # Errors
/// What is wrong, in words; never any of the bytes.
pub(super) fn read(content: &SecretContent) -> Result<Material, String> {
    match content {
        SecretContent::Certificate(source) => {
            let chain = bytes(&source.chain)?;
            let key = bytes(&source.key)?;
            let pair = Pair::read(chain.expose(), key.expose());
            pair.map(Material::Pair).map_err(|fault| fault.to_string())
        }
        SecretContent::Trust(source) => {
            let pem = bytes(&source.certificates)?;
            let revocations = source.revocations.as_ref().map(bytes).transpose()?;
            let revocations = revocations.as_ref().map(SecretBytes::expose);
            let trust =
                Trust::read(pem.expose(), revocations).map_err(|fault| fault.to_string())?;
            let certificates = CertificateDer::pem_slice_iter(pem.expose()).flatten();
            let identities = certificates.filter_map(|read| Identity::read(&read).ok());
            Ok(Material::Trust(trust, identities.collect()))
        }
    }
}

/// Where the parts of a secret are, for people: the files, or `inline`.
pub(super) fn whereabouts(content: &SecretContent) -> String {
    let sources = sources(content);
    let parts: Vec<&str> = sources
        .into_iter()
        .map(|source| match source {
            DataSource::File(path) => path.as_str(),
            DataSource::Inline(_) => "inline",
        })
        .collect();
    parts.join(", ")
}

/// Whether nothing of a secret is in a file.
pub(super) fn is_inline(content: &SecretContent) -> bool {
    sources(content).iter().all(|source| source.is_inline())
}

pub(super) fn sources(content: &SecretContent) -> Vec<&DataSource> {
    match content {
        SecretContent::Certificate(source) => vec![&source.chain, &source.key],
        SecretContent::Trust(source) => {
            let revocations = source.revocations.iter();
            revocations.chain([&source.certificates]).collect()
        }
    }
}

fn bytes(source: &DataSource) -> Result<SecretBytes, String> {
    match source {
        DataSource::Inline(bytes) => Ok(bytes.clone()),
        DataSource::File(path) => {
            read_file(path.as_ref()).map_err(|error| format!("{path:?} cannot be read: {error}"))
        }
    }
}

/// Reads a file of a sane kind and size.
pub(crate) fn read_file(path: &Path) -> io::Result<SecretBytes> {
    // Opening what is no file, for example a pipe, might never end.
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    if found.len() > MAX_FILE_BYTES {
        let rule = format!("is longer than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::other(rule));
    }
    // Room for all at once, so that no part is left behind in memory.
    let room = usize::try_from(found.len()).unwrap_or_default() + 1;
    let mut content = Vec::with_capacity(room);
    File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut content)?;
    Ok(SecretBytes::new(content))
}

/// How the files of a secret look from outside; if that has not changed, their
/// content has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<Option<Stamp>>);

/// One file; compared as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// As they look now.
    pub(super) fn take(content: &SecretContent) -> Self {
        let files = sources(content)
            .into_iter()
            .filter_map(|source| match source {
                DataSource::File(path) => Some(path),
                DataSource::Inline(_) => None,
            });
        Self(files.map(|path| Stamp::take(path).ok()).collect())
    }

    /// Whether a file was written so lately that it may be written again without
    /// a trace. `now` is in seconds since 1970.
    pub(super) fn are_unsettled(&self, now: i64) -> bool {
        let mut found = self.0.iter().flatten();
        // Whoever writes can say what he likes of when it was modified, but not of
        // when it was changed.
        found.any(|stamp| now.abs_diff(stamp.changed.0) <= UNSETTLED_SECONDS)
    }
}

impl Stamp {
    fn take(path: &str) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
