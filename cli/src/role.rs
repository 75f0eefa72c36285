//! What the long-running roles have in common: their logs, and the signals that
//! end them.

use std::future::Future;
use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Verdict};

/// Exit code of a process that a second signal ended at once.
const IMPATIENT: i32 = 130;

/// How a role logs, to standard error.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// Form of the log.
    #[arg(
        long,
        env = "EVENKEEL_LOG_FORMAT",
        value_name = "FORM",
        default_value = "auto"
    )]
    log_format: LogFormat,
    /// What is logged: `info`, `debug`, or by target, for example
    /// `warn,evenkeel_data_plane=debug`.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogArgs {
    /// Begins to log.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|error| Failure::Usage(format!("--log {}: {error}", self.log)))?;
        let watched = io::stderr().is_terminal();
        let json = match self.log_format {
            LogFormat::Auto => !watched,
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr);
        let begun = if json {
            lines.json().flatten_event(true).try_init()
        } else {
            lines.with_ansi(watched).try_init()
        };
        begun.map_err(|error| Failure::Failed(format!("cannot log: {error}")))
    }
}

/// Runs a role. The first signal asks it to end, the second one does not ask.
pub(crate) async fn until_signal<R>(role: R, stop: CancellationToken) -> Result<Verdict, Failure>
where
    R: Future<Output = anyhow::Result<()>>,
{
    let failed = |error: io::Error| Failure::Failed(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::pin!(role);
    loop {
        tokio::select! {
            biased; // an end is an end, whatever came with it
            ended = &mut role => {
                return ended
                    .map(|()| Verdict::Good)
                    .map_err(|error| Failure::Failed(format!("{error:#}")));
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop.is_cancelled() {
            warn!("second signal: ending at once");
            std::process::exit(IMPATIENT);
        }
        info!("signal: finishing what is under way; another one ends at once");
        stop.cancel();
    }
}
