//! The last-known-good file: a proxy that starts while the control plane is
//! away serves what it served before.
//!
//! ```text
//! magic | node | version | written at | count | (type, name, version, message)* | SHA-256 of all before
//! ```
//!
//! Numbers are 64-bit big-endian; texts and messages follow their length. A file
//! is used whole or not at all; if the newest is damaged, the one before it is.
//! No certificate or key is in it: of secrets only those are saved that say in
//! which files to look.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_shared::xds::{Resource, ResourceType, decode, encode};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::tls::secrets::is_elsewhere;
use crate::xds::state::{Accepted, Held, Key, Value};
use crate::xds::view::Status;

#[cfg(test)]
mod tests;

/// Names the format and its version.
const MAGIC: &[u8] = b"evenkeel last-known-good 1\n";

/// Name of the file in the state directory.
const CURRENT: &str = "last-known-good";
/// Name of the one before it.
const PREVIOUS: &str = "last-known-good.previous";
/// Name of the one that is being written.
const UNFINISHED: &str = "last-known-good.tmp";

/// Length of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// Shortest time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Image {
    /// The control plane's word for it.
    pub version: String,
    /// When it was written, in seconds since 1970.
    pub written_at: u64,
    /// The resources.
    pub resources: Vec<(Key, Accepted)>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// It is cut, changed, or of another format.
    #[error("is damaged or of another format")]
    Damaged,
    /// It was written for another node.
    #[error("belongs to node {0:?}")]
    OtherNode(String),
}

/// The configuration in the state directory: the newest that is whole.
pub fn load(directory: &Path, node: &str) -> Option<Image> {
    [CURRENT, PREVIOUS].into_iter().find_map(|name| {
        let path = directory.join(name);
        match load_file(&path, node) {
            Ok(image) => {
                info!(path = %path.display(), version = image.version, "last-known-good loaded");
                Some(image)
            }
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(path = %path.display(), ?error, "last-known-good is not used");
                None
            }
        }
    })
}

fn load_file(path: &Path, node: &str) -> Result<Image, Unusable> {
    parse(&fs::read(path)?, node)
}

/// Reads a file's content.
fn parse(content: &[u8], node: &str) -> Result<Image, Unusable> {
    let body_bytes = content
        .len()
        .checked_sub(DIGEST_BYTES)
        .ok_or(Unusable::Damaged)?;
    let (body, digest) = content.split_at(body_bytes);
    if *Sha256::digest(body) != *digest {
        return Err(Unusable::Damaged);
    }
    let rest = body.strip_prefix(MAGIC).ok_or(Unusable::Damaged)?;
    let mut reader = Reader { rest };
    let owner = reader.text().ok_or(Unusable::Damaged)?;
    if owner != node {
        return Err(Unusable::OtherNode(owner));
    }
    reader.image().ok_or(Unusable::Damaged)
}

/// A file's content.
fn render(node: &str, version: &str, written_at: u64, held: &Held) -> Vec<u8> {
    let kept: Vec<_> = held
        .iter()
        .filter_map(|(kind, name, accepted)| Some((kind, name, accepted, message(accepted)?)))
        .collect();
    let mut content = MAGIC.to_vec();
    put(&mut content, node.as_bytes());
    put(&mut content, version.as_bytes());
    content.extend_from_slice(&written_at.to_be_bytes());
    content.extend_from_slice(&(kept.len() as u64).to_be_bytes());
    for (kind, name, accepted, message) in kept {
        put(&mut content, kind.type_url().as_bytes());
        put(&mut content, name.as_bytes());
        put(&mut content, accepted.version.as_bytes());
        put(&mut content, &message);
    }
    let digest = Sha256::digest(&content);
    content.extend_from_slice(&digest);
    content
}

/// What is saved of a resource; `None` is nothing.
fn message(accepted: &Accepted) -> Option<Cow<'_, [u8]>> {
    match &accepted.value {
        Value::RemovalGrant(_) => None,
        Value::Secret(secret) => is_elsewhere(&secret.content).then(|| {
            let secret = Resource::Secret(secret.as_ref().clone());
            Cow::Owned(encode(&secret).value)
        }),
        _ => Some(Cow::Borrowed(&accepted.encoded)),
    }
}

fn put(content: &mut Vec<u8>, bytes: &[u8]) {
    content.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    content.extend_from_slice(bytes);
}

/// One resource in a file.
struct Saved<'a> {
    url: String,
    name: String,
    version: String,
    encoded: &'a [u8],
}

impl Saved<'_> {
    /// The resource; `None` if this program does not take it any more.
    fn understood(&self) -> Option<(Key, Accepted)> {
        let kind = ResourceType::from_type_url(&self.url)?;
        let decoded = decode(kind, self.encoded).ok()?;
        let accepted = Accepted {
            version: self.version.as_str().into(),
            value: decoded.resource.into(),
            encoded: match kind {
                ResourceType::Secret => Arc::default(),
                _ => self.encoded.into(),
            },
            ignored: decoded.ignored.into(),
        };
        Some((Key::new(kind, self.name.as_str()), accepted))
    }
}

/// Takes a body apart. Every step checks its bounds.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn image(&mut self) -> Option<Image> {
        let version = self.text()?;
        let written_at = self.number()?;
        let count = self.number()?;
        let mut resources = Vec::new();
        for _ in 0..count {
            let saved = self.saved()?;
            if let Some(resource) = saved.understood() {
                resources.push(resource);
            } else {
                let Saved { url, name, .. } = saved;
                warn!(kind = url, name, "a saved resource is not understood");
            }
        }
        self.rest.is_empty().then_some(Image {
            version,
            written_at,
            resources,
        })
    }

    fn saved(&mut self) -> Option<Saved<'a>> {
        Some(Saved {
            url: self.text()?,
            name: self.text()?,
            version: self.text()?,
            encoded: self.bytes()?,
        })
    }

    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        let bytes = self.bytes()?;
        Some(std::str::from_utf8(bytes).ok()?.to_owned())
    }
}

/// Puts content in the place of the newest file, which becomes the one before
/// it. At every moment there is a whole file under one of the two names.
fn write(directory: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(UNFINISHED);
    let current = directory.join(CURRENT);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    match fs::rename(&current, directory.join(PREVIOUS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&unfinished, &current)?;
    File::open(directory)?.sync_all()
}

/// What is to be written next.
#[derive(Debug)]
struct Draft {
    node: String,
    version: Arc<str>,
    held: Held,
}

/// Writes the file on a thread of its own, at most once a second; only the
/// newest configuration counts.
#[derive(Debug)]
pub struct Writer {
    // A lock: the applier puts a draft in, the thread takes it out.
    draft: Arc<Mutex<Option<Draft>>>,
    wake: SyncSender<()>,
    end: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Writes into `directory`, which is made if there is none.
    ///
    /// # Errors
    /// If the directory or the thread cannot be made.
    pub fn start(directory: PathBuf, status: Arc<Status>) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let draft = Arc::new(Mutex::new(None));
        let (wake, woken) = sync_channel(1);
        let (end, ended) = sync_channel(0);
        let signals = Signals { woken, ended };
        let drafts = Arc::clone(&draft);
        let thread = std::thread::Builder::new()
            .name("evenkeel-state".to_owned())
            .spawn(move || write_drafts(&directory, &drafts, &signals, &status))?;
        Ok(Self {
            draft,
            wake,
            end,
            thread,
        })
    }

    /// Has this written soon. Never waits.
    pub fn save(&self, node: &str, version: Arc<str>, held: Held) {
        *self.draft.lock() = Some(Draft {
            node: node.to_owned(),
            version,
            held,
        });
        // A full queue means that the thread will look anyway.
        let _ = self.wake.try_send(());
    }

    /// Writes the last draft and ends.
    pub fn finish(self) {
        drop(self.wake);
        drop(self.end);
        if self.thread.join().is_err() {
            warn!("the thread that writes last-known-good has died");
        }
    }
}

/// What wakes the writing thread.
struct Signals {
    /// There is a draft; ends with the writer.
    woken: Receiver<()>,
    /// Never says anything; ends with the writer.
    ended: Receiver<()>,
}

fn write_drafts(
    directory: &Path,
    drafts: &Mutex<Option<Draft>>,
    signals: &Signals,
    status: &Status,
) {
    loop {
        let ended = signals.woken.recv().is_err();
        let draft = drafts.lock().take();
        if let Some(draft) = draft {
            let written_at = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
            let content = render(&draft.node, &draft.version, written_at, &draft.held);
            match write(directory, &content) {
                Ok(()) => status.saved_at.store(written_at, Ordering::Relaxed),
                Err(error) => {
                    warn!(path = %directory.display(), ?error, "last-known-good was not written");
                }
            }
        }
        if ended {
            return;
        }
        // The pause between two writes, cut short by the end. A draft that comes
        // meanwhile leaves its wake in the queue.
        let _ = signals.ended.recv_timeout(WRITE_EVERY);
    }
}
