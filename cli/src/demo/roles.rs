//! The control plane and the proxies of the demo: the same that
//! `evenkeel control-plane` and `evenkeel proxy` run, started from the same
//! arguments.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use evenkeel_control_plane::app as control_plane;
use evenkeel_control_plane::config::ControlPlaneArgs;
use evenkeel_data_plane::app as proxy;
use evenkeel_data_plane::config::ProxyArgs;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::shop::Place;
use super::stage::{Thread, thread};
use crate::failure::Failure;

/// A role on its thread.
#[derive(Debug)]
pub(super) struct Role {
    /// Name of the thread, and id of a proxy.
    pub(super) name: String,
    /// Address of its admin port.
    pub(super) admin: SocketAddr,
    /// The thread.
    pub(super) thread: Thread,
}

/// Time for a role to be ready.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Starts the control plane, and waits until it is ready.
pub(super) async fn control_plane(
    place: &Place,
    stop: &CancellationToken,
) -> Result<(Role, control_plane::Addresses), Failure> {
    let nowhere = || "127.0.0.1:0".to_owned();
    let args: ControlPlaneArgs = arguments(&[
        (
            "--data-dir",
            place.path("control-plane").display().to_string(),
        ),
        ("--xds-listen", nowhere()),
        ("--api-listen", nowhere()),
        ("--admin-listen", nowhere()),
        ("--id", "demo-control-plane".to_owned()),
    ])?;
    let stop = stop.clone();
    let (thread, addresses) = started("control-plane", move |ready| async move {
        control_plane::run(args, stop, ready)
            .await
            .map_err(|error| Failure::Failed(format!("{error:#}")))
    })
    .await?;
    let role = Role {
        name: "control-plane".to_owned(),
        admin: addresses.admin,
        thread,
    };
    Ok((role, addresses))
}

/// Starts a proxy, and waits until its admin port is open.
pub(super) async fn proxy(
    id: &str,
    xds: &str,
    place: &Place,
    stop: &CancellationToken,
) -> Result<Role, Failure> {
    let args: ProxyArgs = arguments(&[
        ("--node-id", id.to_owned()),
        ("--cluster", "demo".to_owned()),
        ("--control-plane", xds.to_owned()),
        ("--admin-listen", "127.0.0.1:0".to_owned()),
        ("--state-dir", place.path(id).display().to_string()),
        ("--workers", "1".to_owned()),
        ("--drain-timeout", "2s".to_owned()),
    ])?;
    let stop = stop.clone();
    let (thread, addresses) = started(id, move |ready| async move {
        proxy::run(args, stop, ready)
            .await
            .map(drop)
            .map_err(|error| Failure::Failed(format!("{error:#}")))
    })
    .await?;
    Ok(Role {
        name: id.to_owned(),
        admin: addresses.admin,
        thread,
    })
}

/// Runs a role on a thread, and waits until it says that it is ready.
async fn started<A, W, F>(name: &str, work: W) -> Result<(Thread, A), Failure>
where
    A: Send + 'static,
    W: FnOnce(Box<dyn FnOnce(A) + Send>) -> F + Send + 'static,
    F: Future<Output = Result<(), Failure>>,
{
    let (sender, ready) = oneshot::channel();
    let tell: Box<dyn FnOnce(A) + Send> = Box::new(move |addresses| drop(sender.send(addresses)));
    let thread = thread(name, move || work(tell))?;
    match tokio::time::timeout(READY_WITHIN, ready).await {
        Ok(Ok(addresses)) => Ok((thread, addresses)),
        Ok(Err(_)) => Err(thread.reason().await),
        Err(_) => Err(Failure::Failed(format!(
            "{name} is not ready after {READY_WITHIN:?}"
        ))),
    }
}

/// The arguments of a role, as they would be on its command line.
fn arguments<A: Args>(given: &[(&str, String)]) -> Result<A, Failure> {
    let words = given
        .iter()
        .flat_map(|(name, value)| [(*name).to_owned(), value.clone()]);
    let command = A::augment_args(clap::Command::new("role").no_binary_name(true));
    let wrong = |error: clap::Error| Failure::Failed(error.to_string());
    let matches = command.try_get_matches_from(words).map_err(wrong)?;
    A::from_arg_matches(&matches).map_err(wrong)
}
