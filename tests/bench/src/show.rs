//! Results of an earlier run, with another idea of how much noise is too much.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::chart;
use crate::output;
use crate::report::Results;
use crate::report::cpu::Comparison;
use crate::run::FOREIGN;

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel-bench show results.json

  # With every turn, however much others used of the processor:
  evenkeel-bench show results.json --foreign 1 --chart results.svg")]
pub(crate) struct ShowArgs {
    /// What `run --json` has written.
    results: PathBuf,
    /// Share of the proxy's processor that others may have used, 0 to 1, in a turn that
    /// counts.
    #[arg(long, default_value_t = FOREIGN)]
    foreign: f64,
    /// Draw the processor times there, as SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

/// Reads, prints and draws.
///
/// # Errors
/// If the file makes no sense, or the drawing cannot be written.
pub(crate) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let path = args.results.display().to_string();
    let text = std::fs::read_to_string(&args.results).with_context(|| path.clone())?;
    let results: Results = serde_json::from_str(&text).context(path)?;
    output::line(&results.machine.to_string())?;
    if !results.memory.is_empty() {
        output::line(&results.memory_table())?;
    }
    if !results.syscalls.is_empty() {
        output::line(&results.syscalls_table())?;
    }
    let again = |old: Comparison| Comparison::new(old.workload, old.rows, args.foreign);
    let cpu: Vec<Comparison> = results.cpu.into_iter().map(again).collect();
    for comparison in &cpu {
        output::line(&comparison.to_string())?;
    }
    if let Some(latency) = &results.latency {
        output::line(&latency.to_string())?;
    }
    if let Some(path) = &args.chart {
        std::fs::write(path, chart::draw(&cpu)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
