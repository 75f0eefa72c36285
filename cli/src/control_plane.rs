//! `evenkeel control-plane`: stores what is wanted and tells the proxies.

use clap::Args;
use evenkeel_control_plane::app::{self, Addresses};
use evenkeel_control_plane::config::ControlPlaneArgs;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Verdict};
use crate::notify;
use crate::role::{LogArgs, until_signal};

/// Arguments of `control-plane`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel control-plane
  evenkeel control-plane --data-dir /var/lib/evenkeel \\
    --xds-listen 0.0.0.0:18000 --api-listen 0.0.0.0:18001 \\
    --tls-cert server.pem --tls-key server.key --client-ca ca.pem")]
pub(crate) struct ControlPlaneVerb {
    #[command(flatten)]
    role: ControlPlaneArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs `control-plane` until a signal ends it.
pub(crate) async fn run(verb: ControlPlaneVerb) -> Result<Verdict, Failure> {
    verb.log.begin()?;
    let stop = CancellationToken::new();
    // The role itself logs where it listens.
    let ready = |Addresses { xds, api, admin }| {
        notify::ready(&format!("xds {xds}, api {api}, admin {admin}"));
    };
    let role = app::run(verb.role, stop.clone(), ready);
    until_signal(Box::pin(role), stop).await
}
