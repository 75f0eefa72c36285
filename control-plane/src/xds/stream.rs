//! The task of one stream: it moves messages between gRPC and a
//! [`Conversation`], and decides nothing itself.
//!
//! A response is rendered only when the reader took the one before, so there is
//! no queue, and a reader that stops costs few responses, and not for long.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::xds::ResourceType;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info};

use self::life::{at, over, shutting_down};
use super::clock::Clock;
use super::message::Message;
use super::node::{check_name, identity};
use super::nodes::{Connected, Nodes, Progress};
use super::outlet::{Outlet, Room, SLOW};
use super::subscription::Violation;
use super::variant::Variant;
use crate::admin::metrics::Metrics;
use crate::audit_sink::Audit;
use crate::peer::Peer;
use crate::rate::Bucket;
use crate::snapshot::{NodeIdentity, Snapshot, View};

mod life;

/// How long a stream may stay silent at first.
const FIRST_REQUEST: Duration = Duration::from_secs(15);

/// How many requests a stream may send at once, beside those that answer
/// responses: a client that opens one for each of its resources needs many.
const BURST: u64 = 1_000;

/// How many more in each second.
const RATE: u64 = 100;

/// How many requests are taken together.
const TOGETHER: usize = 32;

/// The most that answers may add: one request for each resource there can be.
const GRANTED: u64 = 100_000;

/// How many resources outside of its view are remembered of a stream, so that
/// asking again is no news.
const FOREIGN: usize = 1_000;

/// What all streams share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub nodes: Arc<Nodes>,
    pub metrics: Arc<Metrics>,
    pub audit: Audit,
    pub clock: Clock,
    pub shutdown: CancellationToken,
    /// What proxies are told of who serves them.
    pub id: Arc<str>,
}

/// Serves one stream until it ends; returns how it ends.
pub(super) async fn run<V: Variant>(
    mut requests: impl Stream<Item = Result<V::Request, Status>> + Send + Unpin,
    mut out: Outlet<Message>,
    mut shared: Shared,
    peer: Option<Peer>,
) -> Status {
    let first = match timeout(FIRST_REQUEST, requests.next()).await {
        Ok(Some(Ok(request))) => request,
        Ok(Some(Err(status))) => return status,
        Ok(None) => return Status::ok(""),
        Err(_) => return Status::deadline_exceeded("no request came"),
    };
    let identity = match identity(V::node(&first)) {
        Ok(identity) => identity,
        Err(status) => return status,
    };
    let mut session = match Session::<V>::open(identity, peer, &mut shared) {
        Ok(session) => session,
        Err(status) => return status,
    };
    let status = match session.hear(&first) {
        Ok(()) => session.serve(&mut requests, &mut out).await,
        Err(status) => status,
    };
    info!(node = %session.identity.id, status = %status.message(), "configuration stream ended");
    status
}

struct Session<'a, V> {
    conversation: V,
    identity: NodeIdentity,
    connected: Connected,
    progress: Progress,
    peer: Option<Peer>,
    bucket: Bucket,
    /// Resources asked for that are not in the view.
    foreign: BTreeSet<(ResourceType, String)>,
    snapshot: Arc<Snapshot>,
    view: Arc<View>,
    shared: &'a mut Shared,
}

/// What made the task wake up.
enum Event<R> {
    Request(R),
    Snapshot,
    /// A timer, or room for a response.
    Due,
    /// The reader may have taken nothing for long.
    Stalled,
    End(Status),
}

impl<'a, V: Variant> Session<'a, V> {
    /// Lets the proxy in, if its certificate allows what it says.
    fn open(
        identity: NodeIdentity,
        peer: Option<Peer>,
        shared: &'a mut Shared,
    ) -> Result<Self, Status> {
        if let Err(status) = check_name(peer.as_ref(), &identity.id, &shared.clock) {
            let detail = status.message().to_owned();
            shared
                .audit
                .deny("node_id", "stream", peer.as_ref(), detail);
            return Err(status);
        }
        let snapshot = Arc::clone(&shared.snapshots.borrow_and_update());
        let view = view(&snapshot, &identity, peer.as_ref(), &shared.audit)?;
        let now = shared.clock.now();
        let connected = shared.nodes.connect(identity.clone(), peer.as_ref());
        info!(
            node = %identity.id, agent = %identity.agent,
            address = peer.as_ref().map(|peer| tracing::field::display(peer.address)),
            certificate = peer.as_ref().map(Peer::label), "configuration stream opened"
        );
        if connected.is_contested() {
            let detail = format!(
                "node id {:?} is in use by somebody else, who stays listed",
                identity.id
            );
            shared
                .audit
                .deny("node_id_in_use", "stream", peer.as_ref(), detail);
        }
        let mut conversation = V::open(now);
        conversation.on_snapshot(snapshot.revision, Arc::clone(&view));
        Ok(Self {
            conversation,
            identity,
            connected,
            progress: Progress::default(),
            peer,
            bucket: Bucket::new(RATE, BURST, now),
            foreign: BTreeSet::new(),
            snapshot,
            view,
            shared,
        })
    }

    fn take_snapshot(&mut self) -> Result<(), Status> {
        self.snapshot = Arc::clone(&self.shared.snapshots.borrow_and_update());
        let (snapshot, peer) = (&self.snapshot, self.peer.as_ref());
        self.view = view(snapshot, &self.identity, peer, &self.shared.audit)?;
        let view = Arc::clone(&self.view);
        self.conversation.on_snapshot(self.snapshot.revision, view);
        Ok(())
    }

    /// Notes resources that exist, but not for this proxy. It is answered as if
    /// they did not exist.
    fn note_foreign(&mut self, request: &V::Request) {
        let (url, names) = V::asked(request);
        let Some(kind) = ResourceType::from_type_url(url) else {
            return;
        };
        if Arc::ptr_eq(&self.view, &self.snapshot.all) {
            return;
        }
        let (view, all) = (&self.view, &self.snapshot.all);
        let foreign = names
            .iter()
            .filter(|name| view.get(kind, name).is_none() && all.get(kind, name).is_some());
        let mut news = Vec::new();
        for name in foreign {
            if self.foreign.len() < FOREIGN && self.foreign.insert((kind, name.clone())) {
                news.push(name.as_str());
            }
        }
        if let Some(first) = news.first() {
            let (label, count) = (kind.label(), news.len());
            let detail = format!(
                "{} asked for {count} of type {label} outside of its groups, the first of them {first:?}",
                self.identity.id
            );
            let peer = self.peer.as_ref();
            self.shared
                .audit
                .deny("not_in_view", "stream", peer, detail);
        }
    }

    fn hear(&mut self, request: &V::Request) -> Result<(), Status> {
        let now = self.shared.clock.now();
        if !self.bucket.take(now) {
            self.shared.metrics.security.note_ended("rate");
            return Err(Status::resource_exhausted(format!(
                "more than {BURST} requests at once and {RATE} in each second"
            )));
        }
        self.note_foreign(request);
        let heard = self.conversation.on_request(request, now);
        let heard = heard.map_err(|violation| match violation {
            Violation::NoType => Status::invalid_argument(violation.to_string()),
            Violation::TooManyNames => Status::resource_exhausted(violation.to_string()),
        })?;
        if let Some(detail) = heard.refused {
            self.shared.metrics.nacks.inc();
            info!(node = %self.identity.id, %detail, "configuration refused");
        }
        Ok(())
    }

    /// Takes a request, and those that came with it: what they ask for is then
    /// found and sent once.
    fn hear_all(
        &mut self,
        first: &V::Request,
        requests: &mut (impl Stream<Item = Result<V::Request, Status>> + Send + Unpin),
    ) -> Result<(), Status> {
        self.hear(first)?;
        for _ in 1..TOGETHER {
            match requests.next().now_or_never() {
                Some(Some(request)) => self.hear(&request?)?,
                // The end is seen again.
                Some(None) | None => break,
            }
        }
        Ok(())
    }

    async fn serve(
        &mut self,
        requests: &mut (impl Stream<Item = Result<V::Request, Status>> + Send + Unpin),
        out: &mut Outlet<Message>,
    ) -> Status {
        // Registered once, and not again with each thing that happens.
        let mut over = pin!(over(self.shared.shutdown.clone()));
        loop {
            if !self.send(out) {
                return Status::ok("");
            }
            self.note_progress();
            match self.wake(requests, out, over.as_mut()).await {
                Event::Request(request) => {
                    if let Err(status) = self.hear_all(&request, requests) {
                        return status;
                    }
                }
                Event::Snapshot => {
                    if let Err(status) = self.take_snapshot() {
                        return status;
                    }
                }
                Event::Stalled => {
                    let since = out.stalled_since();
                    if since.is_some_and(|since| since.elapsed() >= SLOW) {
                        self.shared.metrics.slow_readers.inc();
                        return Status::unavailable("the client does not read");
                    }
                }
                Event::Due => {}
                Event::End(status) => return status,
            }
        }
    }

    /// Waits for something to do. Biased: whatever ends the stream comes before
    /// a client that never pauses. Every branch is safe to cancel.
    async fn wake(
        &mut self,
        requests: &mut (impl Stream<Item = Result<V::Request, Status>> + Send + Unpin),
        out: &mut Outlet<Message>,
        over: Pin<&mut (impl Future<Output = Status> + Send)>,
    ) -> Event<V::Request> {
        let deadline = self.conversation.deadline();
        let deadline = deadline.map(|nanos| self.shared.clock.instant(nanos));
        let full = matches!(out.room(), Room::Full);
        let stalled = out.stalled_since();
        tokio::select! {
            biased;
            status = over => Event::End(status),
            () = out.closed() => Event::End(Status::ok("")),
            () = at(stalled.map(|since| since + SLOW)) => Event::Stalled,
            request = requests.next() => match request {
                Some(Ok(request)) => Event::Request(request),
                Some(Err(status)) => Event::End(status),
                None => Event::End(Status::ok("")),
            },
            changed = self.shared.snapshots.changed() => match changed {
                Ok(()) => Event::Snapshot,
                Err(_) => Event::End(shutting_down()),
            },
            // Nothing can be sent before there is room, however due it is.
            () = at(deadline), if !full => Event::Due,
            () = out.freed(), if full => Event::Due,
        }
    }

    /// Sends what may be sent now, as far as the reader takes it. `false` if
    /// nobody reads any more.
    fn send(&mut self, out: &mut Outlet<Message>) -> bool {
        loop {
            match out.room() {
                Room::Free => {}
                Room::Full => return true,
                Room::Gone => return false,
            }
            let Some(response) = self.conversation.next(self.shared.clock.now()) else {
                return true;
            };
            let kind = ResourceType::from_type_url(&response.type_url);
            let kind = kind.map_or("other", ResourceType::label);
            debug!(
                node = %self.identity.id, kind, nonce = %response.nonce, revision = response.revision,
                resources = response.resources.len(), removed = response.removed.len(), "sent"
            );
            self.shared.metrics.note_push(kind, response.size());
            // The answer, and a request for what each resource refers to.
            let answers = response.resources.len() + 1;
            let answers = u64::try_from(answers).unwrap_or(u64::MAX);
            self.bucket.grant(answers, GRANTED);
            out.send(V::message(&response, &self.shared.id));
        }
    }

    fn note_progress(&mut self) {
        let rejections = self.conversation.rejections();
        let same = *rejections == *self.progress.rejections;
        let progress = Progress {
            settled: self.conversation.settled_revision(),
            accepted: self.conversation.accepted_revision(),
            rejections: if same {
                Arc::clone(&self.progress.rejections)
            } else {
                rejections.into()
            },
        };
        if progress != self.progress {
            self.connected.advance(&progress);
            self.progress = progress;
        }
    }
}

/// What a proxy gets.
fn view(
    snapshot: &Snapshot,
    identity: &NodeIdentity,
    peer: Option<&Peer>,
    audit: &Audit,
) -> Result<Arc<View>, Status> {
    let certificate = peer.and_then(|peer| peer.identity.as_deref());
    snapshot.view(identity, certificate).map_err(|refused| {
        let detail = format!("node {:?}: {refused}", identity.id);
        audit.deny("group", "stream", peer, detail.clone());
        Status::permission_denied(detail)
    })
}

#[cfg(test)]
mod tests;
