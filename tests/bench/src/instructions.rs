//! Instructions for each request, counted by valgrind's callgrind. The count does
//! not depend on the machine's mood: it is what a gate can compare. It sees the
//! program only, not the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use crate::clock;
use crate::drive::{Amount, Driver};
use crate::output;
use crate::peer::{Peer, Programs, Running, Tool};
use crate::process::{Placement, Placements};
use crate::setting::Setting;
use crate::statistics::float;
use crate::workload::Workload;

mod profile;
mod stored;

use profile::Profile;
use stored::Stored;

/// Requests before it counts.
const WARM: u64 = 500;

/// Time for what a proxy does after its start, such as saving its configuration.
const REST: Duration = Duration::from_secs(2);

/// Connections of our own load generator.
const CONNECTIONS: usize = 8;

/// Arguments of `instructions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The small GET through Evenkeel as built here:
  evenkeel-bench instructions

  # Another build, and what the gate does: fail if it needs 3 % more than stored:
  evenkeel-bench instructions --binary /elsewhere/target/release/evenkeel --check

  # Where they go:
  evenkeel-bench instructions --profile 40

  # All proxies, two kinds of traffic:
  evenkeel-bench instructions --proxy evenkeel,haproxy,nginx --workload small-get,http2")]
pub(crate) struct InstructionsArgs {
    /// Kinds of traffic.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "small-get")]
    workload: Vec<Workload>,
    /// Proxies.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "evenkeel")]
    proxy: Vec<Peer>,
    /// Requests that are counted; 2,000 if not given, and 200 of those that bring a
    /// handshake each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: Option<u64>,
    /// Show the functions that need most, so many of them.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "30")]
    profile: Option<usize>,
    /// Fail if there are more than 3 % more than stored.
    #[arg(long)]
    check: bool,
    /// Store the counts.
    #[arg(long, conflicts_with = "check")]
    store: bool,
    /// File with the stored counts.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "tests/bench/instructions.json"
    )]
    file: PathBuf,
    #[command(flatten)]
    programs: Programs,
}

impl InstructionsArgs {
    fn requests(&self, workload: Workload) -> u64 {
        self.requests.unwrap_or(match workload {
            Workload::TlsFull | Workload::TlsResumed => 200,
            _ => 2_000,
        })
    }
}

/// Counts, prints, and compares.
///
/// # Errors
/// If something cannot be run, or the check fails.
pub(crate) fn run(args: &InstructionsArgs) -> anyhow::Result<()> {
    let mut stored = Stored::read(&args.file)?;
    let mut worse = Vec::new();
    for peer in &args.proxy {
        for workload in &args.workload {
            let counted = args.requests(*workload);
            let profile = count(args, *peer, *workload)?;
            let requests = float(usize::try_from(counted)?);
            let (each, all) = (profile.busiest / requests, profile.total / requests);
            let (name, traffic) = (peer.name(), workload.name());
            let before = stored.get(*workload, *peer);
            output::line(&format!(
                "{traffic:<16} {name:<18} {each:>9.0} instructions per request, \
                 all threads {all:.0}{}",
                before
                    .map(|before| stored::compared(each, before))
                    .unwrap_or_default()
            ))?;
            if let Some(functions) = args.profile {
                output::line(&profile.table(functions, counted))?;
            }
            worse.extend(stored::fault(traffic, name, each, before));
            stored.set(*workload, *peer, each);
            if args.store {
                stored.write(&args.file)?;
            }
        }
    }
    ensure!(!args.check || worse.is_empty(), "{}", worse.join("\n"));
    Ok(())
}

fn count(args: &InstructionsArgs, peer: Peer, workload: Workload) -> anyhow::Result<Profile> {
    let mut setting = Setting::new(&args.programs, Placements::ANYWHERE)?;
    let running = setting.start(peer, Tool::Callgrind)?;
    clock::pause(REST);
    let mut driver = workload.driver(&running.doors, &setting.certificates);
    if let Driver::Own(load) = &mut driver {
        load.connections = load.connections.min(CONNECTIONS);
        load.warm = load.warm.max(WARM);
    }
    let requests = args.requests(workload);
    let amount = Amount::Requests(requests);
    let ready = driver.start(amount, Placement::Anywhere, setting.directory.path())?;
    let directory = setting.directory.path().join(peer.name());
    tell(&running, &directory, "instrumentation on")?;
    let report = ready.go()?;
    tell(&running, &directory, "dump")?;
    ensure!(
        report.requests == requests && report.errors == 0,
        "{} of {requests} requests were answered",
        report.requests
    );
    Profile::read(&dumps(&directory, running.pid())?)
}

/// Commands callgrind through valgrind's own channel.
fn tell(running: &Running, directory: &Path, command: &str) -> anyhow::Result<()> {
    let output = Command::new("vgdb")
        .arg(format!("--pid={}", running.pid()))
        .arg(format!(
            "--vgdb-prefix={}",
            directory.join("vgdb").display()
        ))
        .args(command.split(' '))
        .output()
        .context("vgdb (of the package valgrind)")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "vgdb {command}: {errors}");
    Ok(())
}

/// The first dump of each thread of the process.
fn dumps(directory: &Path, pid: u32) -> anyhow::Result<Vec<String>> {
    let start = format!("callgrind.out.{pid}.1-");
    let mut dumps = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&start) {
            dumps.push(std::fs::read_to_string(entry.path())?);
        }
    }
    ensure!(!dumps.is_empty(), "callgrind has written nothing");
    Ok(dumps)
}
