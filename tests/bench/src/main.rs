//! Measures Evenkeel's proxy and those of others, side by side, on one machine:
//! processor time, instructions and system calls for each request, latency at a
//! fixed rate, memory for each connection. `docs/benchmarks.md` says how.
//!
//! ```text
//! processor 0: the proxy, one thread      processor 1: load generator, backend
//! ```

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod backend;
mod certificates;
mod chart;
mod clock;
mod drive;
mod fleet;
mod instructions;
mod load;
mod lookup;
mod message;
mod output;
mod peer;
mod process;
mod report;
mod run;
mod setting;
mod show;
mod statistics;
mod swap;
mod table;
mod template;
mod workload;

/// Measures Evenkeel's proxy, and compares it with others.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-bench", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures processor time, latency, memory and system calls, of all proxies.
    Run(run::RunArgs),
    /// Shows results that were written to a file, and draws them.
    Show(show::ShowArgs),
    /// Counts instructions for each request, which noise does not change.
    Instructions(instructions::InstructionsArgs),
    /// Measures how soon a fleet of proxies has a change, and what that costs the
    /// control plane.
    Fleet(fleet::FleetArgs),
    /// Counts instructions for finding a route and picking an endpoint, by how many
    /// there are.
    Lookup(lookup::LookupArgs),
    /// Measures what clients see of a proxy that takes in large configurations.
    Swap(swap::SwapArgs),
    /// Serves small answers at little cost; the other commands start it.
    #[command(hide = true)]
    Backend(backend::BackendArgs),
    /// Sends requests; the other commands start it.
    #[command(hide = true)]
    Load(load::LoadArgs),
}

fn main() -> ExitCode {
    process::limits::raise();
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Lookup(args) => lookup::run(&args),
        Command::Swap(args) => swap::run(&args),
        Command::Backend(args) => backend::run(&args),
        Command::Load(args) => load::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::progress(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
