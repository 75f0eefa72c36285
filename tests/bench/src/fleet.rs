//! How soon a fleet of proxies has a change, and what that costs the control
//! plane: a real control plane in a process of its own, and simulated proxies in
//! this one, each with a connection and a stream of its own.
//!
//! ```text
//! processor 0: the control plane      processor 1: all the proxies, and the user
//! ```

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::clock;
use crate::output;
use crate::peer::{Peer, Programs};
use crate::process::Placements;
use crate::process::ports::Ports;
use crate::process::usage::{self, Usage};
use crate::report::Machine;
use crate::statistics::float;

mod board;
mod configuration;
mod grpc;
pub(crate) mod plane;
mod proxy;
mod results;
mod wire;

use board::Board;
use configuration::Sizes;
use grpc::Channel;
use plane::Plane;
use results::{Change, Results};
use wire::{ApplyResponse, WaitRequest, WaitResponse};

const APPLY: &str = "/evenkeel.v1.ManagementService/Apply";
const WAIT: &str = "/evenkeel.v1.ManagementService/Wait";

/// Changes that are made while no proxy is there, to know what they cost alone.
const ALONE: usize = 10;

/// Proxies that connect at once.
const TOGETHER: u16 = 50;

/// How long the proxies may take for anything.
const PATIENCE: Duration = Duration::from_mins(5);

/// Time for what the control plane does after the last answer.
const REST: Duration = Duration::from_millis(100);

/// Arguments of `fleet`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # A thousand proxies, a hundred clusters of ten endpoints:
  evenkeel-bench fleet

  # More configuration, and a user who waits for all proxies:
  evenkeel-bench fleet --clusters 1000 --wait --json fleet.json")]
pub(crate) struct FleetArgs {
    /// Proxies.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=8_000))]
    streams: u16,
    /// Clusters, each with a list of endpoints and a route.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    clusters: u16,
    /// Endpoints of each cluster.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    endpoints: u16,
    /// Changes of one endpoint each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    changes: u16,
    /// Wait for each change as `apply --wait` does.
    #[arg(long)]
    wait: bool,
    /// Let the system choose processors.
    #[arg(long)]
    anywhere: bool,
    /// Go before other processes, if that is permitted: less noise, and everything
    /// else on the machine nearly stands still meanwhile.
    #[arg(long)]
    first: bool,
    /// Write the results there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

/// Measures, prints and writes.
///
/// # Errors
/// If the control plane does not start, or a proxy loses it.
pub(crate) fn run(args: &FleetArgs) -> anyhow::Result<()> {
    let machine = Machine::look(&args.programs, &[Peer::Evenkeel], args.first)?;
    let placements = if args.anywhere {
        Placements::ANYWHERE
    } else {
        Placements::pinned(args.first)
    };
    placements.harness.take()?;
    let sizes = Sizes {
        clusters: args.clusters.into(),
        endpoints: args.endpoints.into(),
    };
    let program = args.programs.of(Peer::Evenkeel)?;
    let command = placements.proxy.command(&program);
    let documents = configuration::documents(sizes);
    let plane = Plane::start(&program, command, &documents, &mut Ports::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let measuring = measure(args, sizes, &plane);
    let (connected_after, memory, alone, changes) =
        LocalSet::new().block_on(&runtime, measuring)?;
    let results = Results {
        machine,
        proxies: args.streams,
        clusters: args.clusters,
        endpoints: args.endpoints,
        pinned: !args.anywhere,
        connected_after_ms: millis(connected_after),
        memory_alone_kib: memory.0,
        memory_kib: memory.1,
        alone,
        changes,
    };
    output::line(&results.to_string())?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

type Measured = (Duration, (u64, u64), Vec<Change>, Vec<Change>);

async fn measure(args: &FleetArgs, sizes: Sizes, plane: &Plane) -> anyhow::Result<Measured> {
    let board = Rc::new(Board::default());
    let api = Channel::open(configuration::source(u16::MAX), plane.api).await?;
    let user = User {
        args,
        sizes,
        plane,
        api,
        board: Rc::clone(&board),
    };
    output::progress("changes without proxies");
    let mut number = 0;
    let mut alone = Vec::new();
    for _ in 0..ALONE {
        number += 1;
        alone.push(user.change(number, 0).await?);
    }
    let memory_alone = usage::memory(plane.pid())?;
    output::progress("proxies connect");
    let began = clock::now();
    for proxy in 0..args.streams {
        let live = proxy::live(proxy, plane.xds, sizes, Rc::clone(&board));
        let noted = Rc::clone(&board);
        tokio::task::spawn_local(async move {
            if let Err(failure) = live.await {
                noted.lost(format!("{failure:#}"));
            }
        });
        if proxy % TOGETHER == TOGETHER - 1 || proxy == args.streams - 1 {
            let ready = board.all_ready(usize::from(proxy) + 1);
            timeout(PATIENCE, ready)
                .await
                .context("proxies connect")??;
        }
    }
    let connected_after = began.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let memory = usage::memory(plane.pid())?;
    output::progress("changes");
    let mut changes = Vec::new();
    for _ in 0..args.changes {
        number += 1;
        let change = timeout(PATIENCE, user.change(number, args.streams.into()));
        changes.push(change.await.context("a change")??);
    }
    Ok((connected_after, (memory_alone, memory), alone, changes))
}

/// Who changes the configuration.
struct User<'a> {
    args: &'a FleetArgs,
    sizes: Sizes,
    plane: &'a Plane,
    api: Channel,
    board: Rc<Board>,
}

impl User<'_> {
    /// Makes a change and follows it through the fleet.
    async fn change(&self, number: usize, proxies: usize) -> anyhow::Result<Change> {
        let wanted = configuration::change(self.sizes, number);
        let before = Usage::of(self.plane.pid(), 0, 1)?;
        let began = clock::now();
        let applied: ApplyResponse = self.api.ask(APPLY, &wanted).await?;
        let answered = began.elapsed();
        if self.args.wait {
            self.wait(applied.revision).await?;
        }
        let told = began.elapsed();
        let (first, last) = match proxies {
            0 => (began, began),
            _ => self.board.all_accepted(applied.revision, proxies).await?,
        };
        tokio::time::sleep(REST).await;
        let used = Usage::of(self.plane.pid(), 0, 1)?.since(&before);
        Ok(Change {
            answered_ms: millis(answered),
            first_ms: millis(first.saturating_duration_since(began)),
            last_ms: millis(last.saturating_duration_since(began)),
            waited_ms: self.args.wait.then_some(millis(told)),
            server_us: used.process.as_secs_f64() * 1e6,
        })
    }

    async fn wait(&self, revision: u64) -> anyhow::Result<()> {
        let mut call = self.api.call(WAIT).await?;
        call.send(&WaitRequest { revision }, true)?;
        while let Some(WaitResponse { done }) = call.next().await? {
            if done {
                break;
            }
        }
        Ok(())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A share of the server's time for each proxy.
fn each(total: f64, proxies: u16) -> f64 {
    total / float(usize::from(proxies))
}
