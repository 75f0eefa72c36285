//! `evenkeel demo`: a control plane, three proxies, a small shop and its
//! customers in one process, and an instance that crashes and comes back.
//!
//! ```text
//! customers --> proxy 1..3 --> catalogue (3), cart (2), checkout (2)
//!                  ^  |
//!     configuration|  |what they see
//!              control plane <-- script: crash, watch, recover, judge
//! ```
//!
//! Everything shown was asked for: states come from the management API, errors
//! from the customers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

mod backend;
mod client;
mod pages;
mod picture;
mod plot;
mod roles;
mod script;
mod shop;
mod stage;
mod traces;
mod traffic;
mod watcher;

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  evenkeel demo
  evenkeel demo --once")]
pub(crate) struct DemoArgs {
    /// Run the script once, without anybody watching, and fail if a customer
    /// saw an error.
    #[arg(long)]
    once: bool,
    /// Keep the files of the demo in this directory instead of a temporary one
    /// that is removed at the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Run one instance of the shop.
    #[command(hide = true)]
    Backend(backend::BackendArgs),
    /// Run the customers of the shop, and keep book of their requests.
    #[command(hide = true)]
    Client(client::ClientArgs),
    /// Run a small viewer of traces, for machines without Jaeger.
    #[command(hide = true)]
    Traces(traces::TracesArgs),
}

/// How long the parts may take to stop.
const STOPPING: Duration = Duration::from_secs(5);

/// Runs `demo`.
pub(crate) async fn run(args: &DemoArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match &args.part {
        Some(Part::Backend(backend)) => backend::run(backend, terminal).await,
        Some(Part::Client(client)) => client::run(client, terminal).await,
        Some(Part::Traces(traces)) => traces::run(traces, terminal).await,
        None => {
            let place = shop::Place::new(args.keep.as_deref())?;
            let mut stage = tokio::select! {
                stage = stage::Stage::build(&place) => stage?,
                () = stage::interrupted() => return Ok(Verdict::Good),
            };
            let ended = script::play(&mut stage, args.once, terminal).await;
            stage.close(STOPPING).await;
            ended
        }
    }
}
