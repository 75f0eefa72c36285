//! What the figures depend on: the machine, and the versions of everything.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::peer::{Peer, Programs};
use crate::process::limits;

/// Facts that belong to every result.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    /// Files that a process may have open.
    files: u64,
    /// Whether our own processes go before others.
    favoured: bool,
    versions: BTreeMap<String, String>,
}

impl Machine {
    /// Looks at this one, and asks the programs for their versions.
    ///
    /// # Errors
    /// If a program is not there.
    pub(crate) fn look(programs: &Programs, peers: &[Peer], first: bool) -> anyhow::Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut versions = BTreeMap::new();
        for peer in peers {
            versions.insert(peer.name().to_owned(), version(*peer, &programs.of(*peer)?));
        }
        Ok(Self {
            processor: field(&info, "model name"),
            processors: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            files: limits::files(),
            favoured: first && is_favoured(),
            versions,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} processors, {}; Linux {}; {} open files; priority {}",
            self.processors,
            self.processor,
            self.kernel,
            self.files,
            if self.favoured { "-15" } else { "0" }
        )?;
        for (peer, version) in &self.versions {
            writeln!(f, "  {peer:<18} {version}")?;
        }
        Ok(())
    }
}

fn field(info: &str, name: &str) -> String {
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| field.trim() == name);
    found
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

/// Whether `nice` may raise the priority.
fn is_favoured() -> bool {
    let output = Command::new("nice").args(["-n", "-15", "nice"]).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"-15")
}

/// What a program says of itself, in one line.
fn version(peer: Peer, program: &Path) -> String {
    let word = match peer {
        Peer::Nginx | Peer::Haproxy => "-v",
        Peer::Evenkeel | Peer::EvenkeelRecords | Peer::Envoy => "--version",
        // It reads its version from nowhere; its lock file has it.
        Peer::Pingora => return "as in tests/bench/pingora/Cargo.lock".to_owned(),
    };
    let Ok(output) = Command::new(program).arg(word).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("unknown").trim();
    // Some put their own path in front.
    let version = line.rsplit_once("version: ");
    version.map_or(line, |(_, version)| version).to_owned()
}
