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
use crate::process::Placement;
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
    /// Requests that are counted.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: u64,
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

/// Counts, prints, and compares.
///
/// # Errors
/// If something cannot be run, or the check fails.
pub(crate) fn run(args: &InstructionsArgs) -> anyhow::Result<()> {
    let mut stored = Stored::read(&args.file)?;
    let mut worse = Vec::new();
    for peer in &args.proxy {
        for workload in &args.workload {
            let profile = count(args, *peer, *workload)?;
            let each = profile.total / float(usize::try_from(args.requests)?);
            let (name, traffic) = (peer.name(), workload.name());
            let before = stored.get(*workload, *peer);
            output::line(&format!(
                "{traffic:<16} {name:<18} {each:>9.0} instructions per request{}",
                before
                    .map(|before| stored::compared(each, before))
                    .unwrap_or_default()
            ))?;
            if let Some(functions) = args.profile {
                output::line(&profile.table(functions, args.requests))?;
            }
            worse.extend(stored::fault(traffic, name, each, before));
            stored.set(*workload, *peer, each);
        }
    }
    if args.store {
        stored.write(&args.file)?;
    }
    ensure!(!args.check || worse.is_empty(), "{}", worse.join("\n"));
    Ok(())
}

fn count(args: &InstructionsArgs, peer: Peer, workload: Workload) -> anyhow::Result<Profile> {
    let mut setting = Setting::new(&args.programs, Placement::Anywhere)?;
    let running = setting.start(peer, Tool::Callgrind)?;
    clock::pause(REST);
    let mut driver = workload.driver(&running.doors, &setting.certificates);
    if let Driver::Own(load) = &mut driver {
        load.connections = load.connections.min(CONNECTIONS);
        load.warm = load.warm.max(WARM);
    }
    let amount = Amount::Requests(args.requests);
    let ready = driver.start(amount, Placement::Anywhere, setting.directory.path())?;
    tell(&running, "instrumentation on")?;
    let report = ready.go()?;
    tell(&running, "dump")?;
    ensure!(
        report.requests == args.requests && report.errors == 0,
        "{} of {} requests were answered",
        report.requests,
        args.requests
    );
    let directory = setting.directory.path().join(peer.name());
    Profile::read(&dump(&directory, running.pid())?)
}

/// Commands callgrind through valgrind's own channel.
fn tell(running: &Running, command: &str) -> anyhow::Result<()> {
    let output = Command::new("vgdb")
        .arg(format!("--pid={}", running.pid()))
        .args(command.split(' '))
        .output()
        .context("vgdb (of the package valgrind)")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "vgdb {command}: {errors}");
    Ok(())
}

/// The first dump of the process.
fn dump(directory: &Path, pid: u32) -> anyhow::Result<String> {
    let path = directory.join(format!("callgrind.out.{pid}.1"));
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}
