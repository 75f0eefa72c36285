//! The access log: one JSON object a line. Workers write the lines, a thread of its
//! own puts them where they belong.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::runtime::snapshot::Snapshot;
use crate::telemetry::sink::Lines;

mod json;
mod line;
#[cfg(test)]
pub(crate) mod sample;

pub use line::render;
pub(crate) use line::{failure_label, reason_label};

/// How long a line may wait in a buffer, and how often it is looked whether a
/// file was moved away.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// Most listeners whose target is remembered after they are gone, so that their
/// last requests are still logged.
const REMEMBERED: usize = 1_024;

/// Which listener logs where. Written by the configuration side, read by the
/// log's thread.
#[derive(Debug, Default)]
pub struct LogTargets {
    targets: ArcSwap<BTreeMap<Arc<str>, Arc<str>>>,
}

impl LogTargets {
    /// Takes in the listeners of a new configuration. Those that are gone are
    /// remembered for a while.
    pub fn update(&self, snapshot: &Snapshot) {
        let old = self.targets.load();
        let mut targets = if old.len() < REMEMBERED {
            old.as_ref().clone()
        } else {
            BTreeMap::new()
        };
        for (name, listener) in &snapshot.listeners {
            match &listener.front.spec.access_log {
                Some(log) => {
                    targets.insert(name.as_str().into(), log.path.as_str().into());
                }
                None => {
                    targets.remove(name.as_str());
                }
            }
        }
        if targets != **old {
            self.targets.store(Arc::new(targets));
        }
    }

    fn of(&self, listener: &str) -> Option<Arc<str>> {
        self.targets.load().get(listener).map(Arc::clone)
    }
}

/// What the log's thread needs.
#[derive(Debug)]
pub struct AccessLog {
    /// Where lines come from.
    pub lines: Receiver<Lines>,
    /// Which listener logs where.
    pub targets: Arc<LogTargets>,
    /// Lines that could not be written.
    pub lost: Arc<AtomicU64>,
    /// Ends the thread once the queue is empty.
    pub shutdown: CancellationToken,
}

impl AccessLog {
    /// Begins the thread.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("evenkeel-log".to_owned())
            .spawn(move || self.run())
    }

    fn run(self) {
        let mut outputs = BTreeMap::new();
        loop {
            match self.lines.recv_timeout(FLUSH_EVERY) {
                Ok(lines) => self.write(&lines, &mut outputs),
                Err(RecvTimeoutError::Timeout) if self.shutdown.is_cancelled() => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Lines of a burst share one flush.
            while let Ok(lines) = self.lines.try_recv() {
                self.write(&lines, &mut outputs);
            }
            self.flush(&mut outputs);
        }
    }

    fn write(&self, lines: &Lines, outputs: &mut BTreeMap<Arc<str>, Output>) {
        let Some(target) = self.targets.of(&lines.listener) else {
            return;
        };
        let output = outputs
            .entry(target)
            .or_insert_with_key(|path| Output::open(path));
        if !output.take(lines) {
            self.lost.fetch_add(lines.count, Ordering::Relaxed);
        }
    }

    /// Flushes everything, and opens anew what is closed or was moved away.
    fn flush(&self, outputs: &mut BTreeMap<Arc<str>, Output>) {
        for output in outputs.values_mut() {
            self.lost.fetch_add(output.flush(), Ordering::Relaxed);
        }
        outputs.retain(|path, output| output.is_current(Path::new(path.as_ref())));
    }
}

/// An open target.
struct Output {
    writer: Option<BufWriter<Box<dyn Write + Send>>>,
    /// Device and inode, of a file.
    identity: Option<(u64, u64)>,
    /// Lines since the last flush.
    unflushed: u64,
}

impl Output {
    fn open(target: &str) -> Self {
        let (writer, identity): (io::Result<Box<dyn Write + Send>>, _) = match target {
            "/dev/stdout" => (Ok(Box::new(io::stdout())), None),
            "/dev/stderr" => (Ok(Box::new(io::stderr())), None),
            path => match open_file(&PathBuf::from(path)) {
                Ok((file, identity)) => (Ok(Box::new(file)), Some(identity)),
                Err(error) => (Err(error), None),
            },
        };
        let writer = match writer {
            Ok(writer) => Some(BufWriter::new(writer)),
            Err(error) => {
                warn!(path = target, ?error, "access log cannot be opened");
                None
            }
        };
        Self {
            writer,
            identity,
            unflushed: 0,
        }
    }

    /// Writes lines; says whether they were taken.
    fn take(&mut self, lines: &Lines) -> bool {
        let Some(writer) = &mut self.writer else {
            return false;
        };
        if writer.write_all(lines.text.as_bytes()).is_ok() {
            self.unflushed += lines.count;
            return true;
        }
        self.writer = None;
        false
    }

    /// Flushes; returns how many lines were lost by that.
    fn flush(&mut self) -> u64 {
        let lines = std::mem::take(&mut self.unflushed);
        match self.writer.as_mut().map(Write::flush) {
            None | Some(Ok(())) => 0,
            Some(Err(_)) => {
                self.writer = None;
                lines
            }
        }
    }

    /// Whether the path still leads to what is open.
    fn is_current(&self, path: &Path) -> bool {
        match (&self.writer, self.identity) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(identity)) => {
                std::fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == identity)
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let found = file.metadata()?;
    Ok((file, (found.dev(), found.ino())))
}
