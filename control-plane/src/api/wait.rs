//! `Wait`: follows a revision through the proxies that were connected when it
//! was committed.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::proto::v1;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::status::seen_rejection;
use crate::access::Caller;
use crate::xds::clock::Clock;
use crate::xds::nodes::{Nodes, Standing};

/// How long a proxy may be away before it counts as gone: streams are renewed
/// from time to time. In nanoseconds.
const ABSENCE: u64 = 2_000_000_000;

/// How often absences are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Says how far the revision has come, at first and whenever that changes,
/// until nothing is pending; or until the caller's credentials end.
pub(super) fn follow(
    caller: Arc<Caller>,
    nodes: Arc<Nodes>,
    revision: u64,
    clock: Clock,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<v1::WaitResponse, Status>> + Send {
    let audience = nodes.audience(revision);
    let audience = audience.unwrap_or_else(|| nodes.connected().into());
    let following = Following {
        changes: nodes.watch(),
        nodes,
        audience,
        revision,
        clock,
        shutdown,
        caller,
        last: None,
    };
    stream::unfold(following, |mut following| async move {
        let item = following.next().await?;
        Some((item, following))
    })
}

/// How long news of each proxy that counts are collected: many times what a look
/// at it takes.
const PACE: Duration = Duration::from_micros(10);

struct Following {
    nodes: Arc<Nodes>,
    changes: watch::Receiver<u64>,
    audience: Arc<[String]>,
    revision: u64,
    clock: Clock,
    shutdown: CancellationToken,
    caller: Arc<Caller>,
    last: Option<v1::WaitResponse>,
}

impl Following {
    async fn next(&mut self) -> Option<Result<v1::WaitResponse, Status>> {
        if self.last.as_ref().is_some_and(|last| last.done) {
            return None;
        }
        loop {
            if let Some(refusal) = self.caller.over(self.clock.wall_now().seconds) {
                return Some(Err(refusal.into()));
            }
            self.changes.mark_unchanged();
            let nodes = |id: &str| self.nodes.standing(id);
            let response = tally(
                &self.audience,
                nodes,
                self.revision,
                (&self.clock, &self.caller),
            );
            if self.last.as_ref() != Some(&response) {
                self.last = Some(response.clone());
                return Some(Ok(response));
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {
                    let text = "the control plane is shutting down";
                    return Some(Err(Status::unavailable(text)));
                }
                // The answers of many proxies come one after the other.
                _ = self.changes.changed() => tokio::time::sleep(self.pace()).await,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

impl Following {
    /// How long to collect news before everybody is looked at again.
    fn pace(&self) -> Duration {
        let proxies = u32::try_from(self.audience.len()).unwrap_or(u32::MAX);
        PACE.saturating_mul(proxies).min(LOOK)
    }
}

/// Where each proxy of the audience stands, as a caller may know it.
fn tally(
    audience: &[String],
    node: impl Fn(&str) -> Option<Standing>,
    revision: u64,
    (clock, caller): (&Clock, &Caller),
) -> v1::WaitResponse {
    let now = clock.now();
    let mut response = v1::WaitResponse {
        total: u32::try_from(audience.len()).unwrap_or(u32::MAX),
        ..v1::WaitResponse::default()
    };
    for id in audience {
        let Some(node) = node(id) else {
            response.disconnected.push(id.clone());
            continue;
        };
        let progress = &node.progress;
        if progress.accepted >= revision {
            response.accepted.push(id.clone());
        } else if !node.connected && now.saturating_sub(node.since) >= ABSENCE {
            response.disconnected.push(id.clone());
        } else if node.connected && progress.settled >= revision && !progress.rejections.is_empty()
        {
            let refused = progress.rejections.iter();
            response
                .rejections
                .extend(refused.map(|rejected| seen_rejection(caller, id, rejected, clock)));
        } else {
            response.pending.push(id.clone());
        }
    }
    response.done = response.pending.is_empty();
    response
}
