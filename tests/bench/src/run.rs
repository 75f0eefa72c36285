//! All measurements that time has a part in, of all proxies, side by side.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use crate::chart;
use crate::output;
use crate::peer::{Peer, Programs, Running, Tool};
use crate::process::Placements;
use crate::report::{Machine, Results};
use crate::setting::Setting;
use crate::workload::Workload;

mod latency;
mod memory;
mod rounds;
mod syscalls;

/// Share of the proxy's processor that others may use before a sample is dropped.
pub(crate) const FOREIGN: f64 = 0.15;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Processor time for each request.
    Cpu,
    /// Time to the answer, at a fixed rate.
    Latency,
    /// Memory for each idle connection.
    Memory,
    /// System calls for each request.
    Syscalls,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Everything, about an hour:
  evenkeel-bench run --json results.json --chart results.svg

  # The headline, with more rounds:
  evenkeel-bench run --measure cpu --workload small-get --rounds 24

  # Two proxies, two kinds of traffic:
  evenkeel-bench run --proxy evenkeel,haproxy --workload http2,grpc --measure cpu")]
pub(crate) struct RunArgs {
    /// What is measured; everything if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    measure: Vec<Measure>,
    /// Proxies; all if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    proxy: Vec<Peer>,
    /// Kinds of traffic for processor time; all if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Rounds, in each of which all proxies have their turn.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// Seconds of one turn.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Share of the proxy's processor that others may use, 0 to 1, before a turn does
    /// not count.
    #[arg(long, default_value_t = FOREIGN)]
    foreign: f64,
    /// Do not go before other processes: they are slowed down less, and the figures
    /// are noisier.
    #[arg(long)]
    normal_priority: bool,
    /// Requests a second for the latency; 30 % of what the slowest proxy can do if not
    /// given.
    #[arg(long)]
    rate: Option<f64>,
    /// Write the results there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the processor times there, as SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl RunArgs {
    fn measures(&self, measure: Measure) -> bool {
        self.measure.is_empty() || self.measure.contains(&measure)
    }

    fn peers(&self) -> Vec<Peer> {
        chosen(&self.proxy)
    }
}

/// Those that were asked for, or all.
fn chosen<T: ValueEnum + Copy>(asked: &[T]) -> Vec<T> {
    if asked.is_empty() {
        return T::value_variants().to_vec();
    }
    asked.to_vec()
}

/// Measures, prints and writes.
///
/// # Errors
/// If something cannot be run or written.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    ensure!(
        args.seconds.is_finite() && (0.1..=600.0).contains(&args.seconds),
        "--seconds {}: must be 0.1 to 600",
        args.seconds
    );
    let peers = args.peers();
    let first = !args.normal_priority;
    let mut results = Results::new(Machine::look(&args.programs, &peers, first)?);
    output::line(&results.machine.to_string())?;
    let mut setting = Setting::new(&args.programs, Placements::pinned(first))?;
    if args.measures(Measure::Cpu) || args.measures(Measure::Latency) {
        let mut running = start(&mut setting, &peers)?;
        if args.measures(Measure::Cpu) {
            for workload in chosen(&args.workload) {
                let rows = rounds::compare(args, workload, &mut running, &setting)?;
                output::line(&rows.to_string())?;
                results.cpu.push(rows);
                write(args, &results)?;
            }
        }
        if args.measures(Measure::Latency) {
            let table = latency::compare(args, &results, &mut running, &setting)?;
            output::line(&table.to_string())?;
            results.latency = Some(table);
            write(args, &results)?;
        }
    }
    if args.measures(Measure::Memory) {
        results.memory = memory::compare(&peers, &mut setting)?;
        output::line(&results.memory_table())?;
        write(args, &results)?;
    }
    if args.measures(Measure::Syscalls) {
        results.syscalls = syscalls::compare(&peers, &mut setting)?;
        output::line(&results.syscalls_table())?;
        write(args, &results)?;
    }
    Ok(())
}

fn start(setting: &mut Setting, peers: &[Peer]) -> anyhow::Result<Vec<Running>> {
    let mut running = Vec::new();
    for peer in peers {
        output::progress(&format!("starting {}", peer.name()));
        running.push(setting.start(*peer, Tool::None)?);
    }
    Ok(running)
}

/// Writes what there is so far: a run that is broken off has not been in vain.
fn write(args: &RunArgs, results: &Results) -> anyhow::Result<()> {
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(results)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.chart {
        std::fs::write(path, chart::draw(&results.cpu))
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}
