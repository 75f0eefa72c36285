//! A request on its way to an endpoint, and to another if that fails and the
//! policy allows it.
//!
//! ```text
//!        .------------------- retry, after a pause --------------------.
//!        v                                                             |
//! choose a host --> wait for a connection --> sent --> response, or a failure
//!        '------------ one is idle -----------^           '--> the answer
//! ```
//! All of it is one piece of memory, from the choice of the cluster to the last
//! byte of the answer.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_shared::ir;
use smallvec::SmallVec;
use tokio::time::Sleep;

use crate::balance::affinity::Affinity;
use crate::message::{RequestHead, ResponseHead};
use crate::outcome::Outcome;
use crate::proxy::answer::SWITCHING_PROTOCOLS;
use crate::proxy::attempt::{Acquiring, Attempt};
use crate::proxy::error::{LimitFields, ProxyError};
use crate::proxy::intake::Intake;
use crate::proxy::select;
use crate::proxy::timing::{Expired, Timing};
use crate::proxy::{Handling, Live};
use crate::runtime::snapshot::Route;
use crate::telemetry::counters::add_one;
use crate::upstream::body::RequestBody;
use crate::upstream::cluster::{Cluster, ClusterCounts};
use crate::upstream::connection::Connection;
use crate::upstream::failure::Failure;
use crate::upstream::http1::Leftover;
use crate::upstream::permit::{RequestPermit, RetryHold};
use crate::upstream::pool::{Ask, Refused};
use crate::upstream::proxy_header::Origin;
use crate::upstream::request::Outgoing;

/// A request on its way.
pub(crate) struct Journey {
    pub(super) live: Live,
    pub(super) body: RequestBody,
    pub(super) timing: Timing,
    pub(super) cluster: Arc<Cluster>,
    pub(super) route: Arc<Route>,
    /// What the client is to be told of its rate limit.
    pub(super) limited: LimitFields,
    /// What ties it to an endpoint, if its cluster asks.
    pub(super) affinity: Affinity,
    head: RequestHead,
    /// The protocol that it asks to switch to.
    upgrade: Option<String>,
    /// The client's connection, if endpoints are to hear of it.
    origin: Option<Origin>,
    /// Ids of the hosts that were tried.
    pub(super) tried: SmallVec<[u64; 4]>,
    /// Retries that were granted.
    pub(super) granted: u32,
    pub(super) retry: Option<RetryHold>,
    pub(super) step: Step,
    /// In its cluster; given back when the answer has ended.
    pub(super) permit: Option<RequestPermit>,
    /// The one in progress, until the answer has ended.
    pub(super) attempt: Option<Attempt>,
}

/// What it waits for.
pub(super) enum Step {
    /// Nothing: a host is to be chosen.
    Choose,
    /// A connection.
    Acquire(Acquiring),
    /// The head of the response.
    Sent,
    /// The time of a retry.
    Pause(Pin<Box<Sleep>>),
    /// The socket, because the endpoint has switched protocols.
    Switch(Option<ResponseHead>, Leaving),
}

/// Gets a socket out of its protocol.
pub(super) type Leaving = Pin<Box<dyn Future<Output = Option<Leftover>>>>;

/// What an attempt came to.
pub(super) type Tried = Result<ResponseHead, Outcome>;

/// What is passed on to the client.
pub(super) enum Passed {
    /// The head of a response; its body comes on the attempt's connection.
    Response(ResponseHead),
    /// One that switches protocols.
    Switched(ResponseHead, Leftover),
}

/// Sends a request where its route says.
pub(super) fn begin(
    mut live: Live,
    intake: Intake,
    (route, to): (&Arc<Route>, &ir::Forward),
    (limited, affinity): (LimitFields, Affinity),
) -> Handling {
    let worker = Rc::clone(&live.conn.worker);
    let cluster = route.clusters.pick(worker.entropy());
    let Some(cluster) = cluster.and_then(Option::as_ref) else {
        return ProxyError::NoCluster.handled(live);
    };
    live.exchange.sent_to(cluster);
    let counts = cluster.counts.of(worker.index);
    let Some(permit) = RequestPermit::take(&cluster.gauges, &cluster.spec.breakers) else {
        add_one(&counts.overflows);
        return ProxyError::Overflow.handled(live);
    };
    cluster.retry_budget.on_request(worker.now());
    let mut timing = Timing::new(worker);
    timing.idle = live.listener.spec.timeouts.stream_idle;
    timing.request = to.timeout;
    timing.attempt = to.per_try_timeout;
    Handling::Forwarding(Some(Box::new(Journey {
        origin: cluster.spec.proxy_protocol.map(|_| live.conn.origin()),
        live,
        body: intake.body,
        timing,
        cluster: Arc::clone(cluster),
        route: Arc::clone(route),
        limited,
        affinity: if cluster.spec.load_balancing.policy.is_hashing() {
            affinity
        } else {
            Affinity::default()
        },
        head: intake.head,
        upgrade: intake.upgrade,
        tried: SmallVec::new(),
        granted: 0,
        retry: None,
        step: Step::Choose,
        permit: Some(permit),
        attempt: None,
    })))
}

impl Journey {
    /// Ready when there is something to pass on, or never will be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Passed, ProxyError>> {
        loop {
            if let Step::Switch(response, leaving) = &mut self.step {
                let leftover = ready!(leaving.as_mut().poll(cx));
                let switched = response.take().zip(leftover);
                let (response, leftover) =
                    switched.ok_or(ProxyError::Upstream(Outcome::BadResponse))?;
                return Poll::Ready(Ok(Passed::Switched(response, leftover)));
            }
            let Some(tried) = ready!(self.poll_step(cx))? else {
                continue;
            };
            let Some(response) = self.judge(tried)? else {
                continue;
            };
            if response.status != SWITCHING_PROTOCOLS {
                return Poll::Ready(Ok(Passed::Response(response)));
            }
            let connection = self.attempt.as_mut().and_then(Attempt::take_connection);
            let leaving = Box::pin(async { connection?.into_leftover().await });
            self.step = Step::Switch(Some(response), leaving);
        }
    }

    /// One step. Ready with what an attempt came to, if that is over.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Tried>, ProxyError>> {
        match &mut self.step {
            Step::Choose => return Poll::Ready(self.choose()),
            Step::Acquire(acquiring) => {
                if let Poll::Ready(acquired) = acquiring.as_mut().poll(cx) {
                    return Poll::Ready(self.acquired(acquired));
                }
            }
            Step::Sent => {
                let attempt = self.attempt.as_mut();
                let connection = attempt.and_then(Attempt::connection);
                let polled = connection.map_or(Poll::Pending, |it| it.poll_head(cx));
                if let Poll::Ready(answered) = polled {
                    return Poll::Ready(self.answered(answered));
                }
            }
            Step::Pause(pause) => {
                if pause.as_mut().poll(cx).is_ready() {
                    self.step = Step::Choose;
                    return Poll::Ready(Ok(None));
                }
            }
            Step::Switch(..) => return Poll::Pending,
        }
        self.poll_expired(cx)
    }

    /// Ready when something has run out.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Tried>, ProxyError>> {
        let began = self.attempt.as_ref().map(|attempt| attempt.started);
        let expired = ready!(self.timing.poll_expired(&self.body, began, cx));
        if expired == Expired::Attempt {
            add_one(&self.counts().per_try_timeouts);
            return Poll::Ready(Ok(Some(Err(Outcome::PerTryTimeout))));
        }
        let error = self.expired(expired);
        if let Some(attempt) = &self.attempt {
            attempt.note(&mut self.live, None);
        }
        Poll::Ready(Err(error))
    }

    /// Begins an attempt.
    fn choose(&mut self) -> Result<Option<Tried>, ProxyError> {
        let worker = &self.live.conn.worker;
        let Some(host) = select::host(worker, &self.cluster, self.affinity.hash, &self.tried)
        else {
            add_one(&self.counts().no_host);
            return Err(ProxyError::NoHost);
        };
        let pool = worker.pools.of(&host, self.ask());
        let attempt = Attempt::begin(worker, host, pool);
        attempt.name_trace(&self.live, &mut self.head.fields);
        self.attempt = Some(attempt);
        self.acquire()
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            worker: &self.live.conn.worker,
            cluster: &self.cluster,
            careful: !self.head.method.is_safe(),
            origin: self.origin,
        }
    }

    /// Gets a connection for the attempt.
    fn acquire(&mut self) -> Result<Option<Tried>, ProxyError> {
        let Some(attempt) = &self.attempt else {
            return Err(ProxyError::NoHost);
        };
        if let Some(connection) = attempt.pool.take(self.ask()) {
            return self.acquired(Ok(connection));
        }
        self.step = Step::Acquire(attempt.acquire(&self.cluster, self.ask()));
        Ok(None)
    }

    fn acquired(
        &mut self,
        acquired: Result<Connection, Refused>,
    ) -> Result<Option<Tried>, ProxyError> {
        let mut connection = match acquired {
            Ok(connection) => connection,
            Err(Refused::Connect) => return Ok(Some(Err(Outcome::ConnectFailure))),
            Err(Refused::Tls(failure)) => return Ok(Some(Err(Outcome::TlsFailure(failure)))),
            Err(Refused::Overflow) => {
                add_one(&self.counts().overflows);
                return Err(ProxyError::Overflow);
            }
        };
        let reused = connection.is_reused();
        let begun = connection.begin(&Outgoing {
            head: &self.head,
            body: &self.body,
            scheme: self.cluster.tls.as_ref().map_or("http", |_| "https"),
            upgrade: self.upgrade.as_deref(),
        });
        if let Err(failure) = begun {
            return self.answered(Err(failure));
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.send_on(connection, reused);
        }
        self.step = Step::Sent;
        Ok(None)
    }

    /// What comes of an endpoint's answer. A connection that turns out to be dead
    /// before anything was sent is no attempt.
    fn answered(
        &mut self,
        answered: Result<ResponseHead, Failure>,
    ) -> Result<Option<Tried>, ProxyError> {
        let reused = self.attempt.as_ref().is_some_and(|attempt| attempt.reused);
        match answered {
            Ok(head) if self.is_unwanted_switch(&head) => Ok(Some(Err(Outcome::BadResponse))),
            Ok(head) => Ok(Some(Ok(head))),
            Err(Failure::Unsendable) => {
                Err(ProxyError::BadRequest("the request cannot be passed on"))
            }
            Err(Failure::Ended { unsent: true, .. }) if reused => {
                // It would keep the place of the one that is to be had.
                drop(self.attempt.as_mut().and_then(Attempt::take_connection));
                self.acquire()
            }
            Err(Failure::Ended { outcome, .. }) => Ok(Some(Err(outcome))),
        }
    }

    pub(super) fn counts(&self) -> &ClusterCounts {
        self.cluster.counts.of(self.live.conn.worker.index)
    }

    /// Whether the endpoint switches to a protocol that nobody asked for.
    fn is_unwanted_switch(&self, head: &ResponseHead) -> bool {
        head.status == SWITCHING_PROTOCOLS && self.upgrade.is_none()
    }

    /// The head of the request is not needed any more.
    pub(super) fn forget_head(&mut self) {
        let fields = std::mem::take(&mut self.head.fields);
        self.live.conn.worker.buffers.give_fields(fields);
        self.live.exchange.received(self.body.received());
    }

    /// It ends without an endpoint's answer.
    pub(super) fn give_up(mut self: Box<Self>) -> Live {
        self.forget_head();
        self.live
    }
}
