//! What clients see of a proxy that takes in a large configuration again and
//! again: the same load at a fixed rate, while nothing changes and while one route
//! of many changes, which makes the proxy build and swap the whole table.
//!
//! ```text
//! processor 0: the proxy      processor 1: load generator, backend, control plane
//! ```
//!
//! The control plane goes last on its processor, so that it takes little from the
//! load generator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::backend::Backend;
use crate::clock;
use crate::drive::{Amount, Driver};
use crate::fleet::plane::Plane;
use crate::load::LoadArgs;
use crate::output;
use crate::peer::{self, Peer, Programs};
use crate::process::ports::Ports;
use crate::process::{Placement, Placements, Process, usage};
use crate::report::Machine;
use crate::statistics::quantile;

mod configuration;

use configuration::Sizes;

/// Time for the proxy to have a configuration.
const READY: Duration = Duration::from_mins(1);

/// Arguments of `swap`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel-bench swap
  evenkeel-bench swap --clusters 1000 --routes 10000 --json swap.json")]
pub(crate) struct SwapArgs {
    /// Clusters.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    clusters: u32,
    /// Routes by path to them.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    routes: u32,
    /// Requests a second.
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Changes while there is load.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    changes: u32,
    /// Let the system choose processors.
    #[arg(long)]
    anywhere: bool,
    /// Write the results there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

/// What clients waited, in microseconds.
#[derive(Debug, Serialize)]
struct Delays {
    requests: u64,
    errors: u64,
    p50: f64,
    p99: f64,
    p999: f64,
}

/// One run.
#[derive(Debug, Serialize)]
struct Results {
    machine: Machine,
    clusters: u32,
    routes: u32,
    rate: f64,
    /// From the start of the command that applies a change until the proxy has it,
    /// in milliseconds; without load.
    applied_ms: Vec<f64>,
    /// Memory of the proxy in KiB (PSS).
    memory_kib: u64,
    quiet: Delays,
    swaps: Delays,
}

/// Measures, prints and writes.
///
/// # Errors
/// If something does not start, or the proxy does not answer.
pub(crate) fn run(args: &SwapArgs) -> anyhow::Result<()> {
    let machine = Machine::look(&args.programs, &[Peer::Evenkeel], false)?;
    let place = Place::prepare(args)?;
    output::progress("changes without load");
    let mut applied_ms = Vec::new();
    for number in 0..args.changes {
        applied_ms.push(place.change(number)?.as_secs_f64() * 1e3);
    }
    applied_ms.sort_by(f64::total_cmp);
    // As long as the changes take, so that they fall into the load.
    let seconds = applied_ms.iter().sum::<f64>() / 1e3 + 2.0;
    output::progress("load without changes");
    let quiet = place.load(args.rate, seconds, || Ok(()))?;
    output::progress("load with changes");
    let swaps = place.load(args.rate, seconds * 1.5, || {
        for number in 0..args.changes {
            place.change(args.changes + number)?;
        }
        Ok(())
    })?;
    let results = Results {
        machine,
        clusters: args.clusters,
        routes: args.routes,
        rate: args.rate,
        applied_ms,
        memory_kib: usage::memory(place.proxy.pid())?,
        quiet,
        swaps,
    };
    results.print()?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Everything that runs.
struct Place {
    program: PathBuf,
    sizes: Sizes,
    plane: Plane,
    proxy: Process,
    door: SocketAddr,
    harness: Placement,
    directory: tempfile::TempDir,
    _backend: Backend,
}

impl Place {
    fn prepare(args: &SwapArgs) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("evenkeel-bench-")
            .tempdir()?;
        let placements = if args.anywhere {
            Placements::ANYWHERE
        } else {
            Placements::pinned(false)
        };
        let program = args.programs.of(Peer::Evenkeel)?;
        let backend = Backend::start(placements.harness, directory.path())?;
        let mut ports = Ports::default();
        let door = ports.take()?;
        let sizes = Sizes {
            clusters: args.clusters,
            routes: args.routes,
        };
        let backends = backend.addresses.usual.clone();
        output::progress("control plane");
        let mut last = placements.harness.command("nice");
        last.args(["-n", "19"]).arg(&program);
        let documents = sizes.documents(door, &backends);
        let plane = Plane::start(&program, last, &documents, &mut ports)?;
        let mut command = placements.proxy.command(&program);
        command.arg("proxy").args([
            "--node-id=bench".to_owned(),
            "--workers=1".to_owned(),
            format!("--control-plane=http://{}", plane.xds),
            "--admin-listen=127.0.0.1:0".to_owned(),
            format!("--state-dir={}", directory.path().join("state").display()),
        ]);
        let proxy = Process::start_quiet("proxy", command, directory.path())?;
        output::progress("proxy");
        clock::eventually("proxy", READY, || peer::answers(door))?;
        Ok(Self {
            program,
            sizes,
            plane,
            proxy,
            door,
            harness: placements.harness,
            directory,
            _backend: backend,
        })
    }

    /// Changes one route, and waits until the proxy has it.
    fn change(&self, number: u32) -> anyhow::Result<Duration> {
        let file = self.directory.path().join("change.yaml");
        std::fs::write(&file, self.sizes.change(number))?;
        let began = clock::now();
        apply_and_wait(&self.program, self.plane.api, &file, self.directory.path())?;
        Ok(began.elapsed())
    }

    /// Load for so long, while `meanwhile` runs.
    fn load(
        &self,
        rate: f64,
        seconds: f64,
        meanwhile: impl FnOnce() -> anyhow::Result<()> + Send,
    ) -> anyhow::Result<Delays> {
        let load = LoadArgs {
            rate: Some(rate),
            ..LoadArgs::new(self.door)
        };
        let ready = Driver::Own(load).start(
            Amount::Seconds(seconds),
            self.harness,
            self.directory.path(),
        )?;
        let report = std::thread::scope(|scope| {
            let changing = scope.spawn(meanwhile);
            let report = ready.go()?;
            let changed = changing.join();
            changed.map_err(|_| anyhow::anyhow!("the changes broke off"))??;
            anyhow::Ok(report)
        })?;
        Ok(Delays {
            requests: report.requests,
            errors: report.errors,
            p50: report.p50,
            p99: report.p99,
            p999: report.p999,
        })
    }
}

fn apply_and_wait(
    program: &Path,
    api: SocketAddr,
    file: &Path,
    directory: &Path,
) -> anyhow::Result<()> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program);
    command.args(["apply", "--author=bench", "--wait", "-f"]);
    command.arg(file);
    peer::done(command, api, directory)
}

impl Results {
    fn print(&self) -> anyhow::Result<()> {
        output::line(&self.machine.to_string())?;
        let middle = quantile(&self.applied_ms, 0.5);
        let worst = quantile(&self.applied_ms, 1.0);
        output::line(&format!(
            "{} clusters, {} routes; a proxy with one worker, {} requests a second\n\
             from the command until the proxy has a change of one route: p50 {middle:.0} ms, worst {worst:.0} ms\n\
             memory of the proxy: {} KiB (PSS)",
            self.clusters, self.routes, self.rate, self.memory_kib
        ))?;
        for (name, delays) in [
            ("without changes", &self.quiet),
            ("with changes", &self.swaps),
        ] {
            output::line(&format!(
                "  {name:<16} {:>8} requests, {} errors; p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
                delays.requests, delays.errors, delays.p50, delays.p99, delays.p999
            ))?;
        }
        Ok(())
    }
}
