//! System calls for each request, counted by strace. A proxy that is traced is slow,
//! so it waits more often: compare `recv` and `send`, and not `epoll`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::clock;
use crate::drive::Amount;
use crate::output;
use crate::peer::{Peer, Running, Tool};
use crate::process::{Placement, Process, tree};
use crate::report::Calls;
use crate::setting::Setting;
use crate::statistics::float;
use crate::workload::Workload;

/// Requests that are counted.
const REQUESTS: u64 = 5_000;

/// Time to attach to all threads.
const ATTACH: Duration = Duration::from_secs(10);

/// Counts those of the small GET.
pub(super) fn compare(peers: &[Peer], setting: &mut Setting) -> anyhow::Result<Vec<Calls>> {
    let mut rows = Vec::new();
    for peer in peers {
        let running = setting.start(*peer, Tool::None)?;
        let driver = Workload::SmallGet.driver(&running.doors, &setting.certificates);
        let directory = setting.directory.path().join(peer.name());
        let ready = driver.start(
            Amount::Requests(REQUESTS),
            setting.placements.harness,
            setting.directory.path(),
        )?;
        let counts = directory.join("strace.txt");
        let strace = attach(&running, &counts, &directory)?;
        let report = ready.go()?;
        ensure!(report.errors == 0, "{} requests failed", report.errors);
        end(strace)?;
        let text = fs::read_to_string(&counts).context("what strace has counted")?;
        let calls = Calls::new(*peer, &read(&text), float(usize::try_from(REQUESTS)?));
        output::progress(&format!("system calls: {} done", peer.name()));
        rows.push(calls);
    }
    Ok(rows)
}

fn attach(running: &Running, counts: &Path, directory: &Path) -> anyhow::Result<Process> {
    let mut command = Placement::Anywhere.command("strace");
    command.args(["-f", "-c", "-o"]).arg(counts);
    for pid in tree::with_children(running.pid()) {
        command.args(["-p", &pid.to_string()]);
    }
    let mut strace = Process::start_quiet("strace", command, directory)?;
    clock::eventually("strace", ATTACH, || {
        strace.check()?;
        for pid in tree::with_children(running.pid()) {
            for task in tree::threads(pid) {
                let status = fs::read_to_string(format!("/proc/{pid}/task/{task}/status"))?;
                ensure!(!status.contains("TracerPid:\t0\n"), "not attached yet");
            }
        }
        Ok(())
    })?;
    Ok(strace)
}

/// Lets it write what it has counted.
fn end(mut strace: Process) -> anyhow::Result<()> {
    strace.stop()?;
    Ok(())
}

/// Reads lines such as
///
/// ```text
///  48.09    0.181264           9     20000           recvfrom
///   0.01    0.000021           0       135        17 epoll_wait
/// ```
fn read(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let count = fields.get(3).and_then(|count| count.parse::<u64>().ok());
        if let (Some(name), Some(count)) = (fields.last(), count)
            && *name != "total"
        {
            *counts.entry((*name).to_owned()).or_default() += count;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn counts_are_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            48.09    0.181264           9     20000           recvfrom\n  \
            0.01    0.000021           0       135        17 epoll_wait\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.376889           9     40135        17 total\n";
        let counts = read(text);
        assert_eq!(counts.len(), 2);
        assert_eq!(counts.get("recvfrom"), Some(&20_000));
        assert_eq!(counts.get("epoll_wait"), Some(&135));
    }
}
