//! `evenkeel proxy`: carries requests, as the control plane says.

use clap::Args;
use evenkeel_data_plane::app::{self, Addresses};
use evenkeel_data_plane::config::ProxyArgs;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Verdict};
use crate::notify;
use crate::role::{LogArgs, until_signal};

/// Arguments of `proxy`; the role brings its own examples.
#[derive(Debug, Args)]
pub(crate) struct ProxyVerb {
    #[command(flatten)]
    role: ProxyArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs `proxy` until a signal ends it.
pub(crate) async fn run(verb: ProxyVerb) -> Result<Verdict, Failure> {
    verb.log.begin()?;
    let stop = CancellationToken::new();
    // The role itself logs where it listens. Without a control plane it is up as
    // well: a service manager that waited for one would end what must go on.
    let ready = |addresses: Addresses| notify::ready(&format!("admin {}", addresses.admin));
    let role = app::run(verb.role, stop.clone(), ready);
    until_signal(Box::pin(role), stop).await
}
