//! What the long-running roles have in common: their logs, the signals that end
//! them, and what the service manager is told of that.

use std::future::Future;
use std::io;

use clap::{Args, ValueEnum};
use evenkeel_shared::telemetry::{LogFormat, LogSettings, init_logging};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::failure::{Failure, Verdict};
use crate::notify;

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
    log_format: Form,
    /// What is logged: `info`, `debug`, or by target, for example
    /// `warn,evenkeel_data_plane=debug`.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for people on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object per line.
    Json,
}

impl LogArgs {
    /// Begins to log.
    ///
    /// # Errors
    /// The filter makes no sense.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        let settings = LogSettings {
            format: match self.log_format {
                Form::Auto => LogFormat::Auto,
                Form::Human => LogFormat::Human,
                Form::Json => LogFormat::Json,
            },
            filter: Some(self.log.clone()),
        };
        init_logging(&settings).map_err(|refused| Failure::Usage(refused.to_string()))
    }
}

/// Runs a role. The first signal asks it to end, the second one does not ask.
pub(crate) async fn until_signal<R, T>(role: R, stop: CancellationToken) -> Result<Verdict, Failure>
where
    R: Future<Output = anyhow::Result<T>>,
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
                    .map(|_| Verdict::Good)
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
        notify::stopping("finishing what is under way");
        stop.cancel();
    }
}
