//! Sends a request to an endpoint, and to another if that fails and the policy
//! allows it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_shared::ir;
use smallvec::SmallVec;

use crate::health::Trigger;
use crate::message::{Known, ResponseHead};
use crate::outcome::Outcome;
use crate::proxy::Live;
use crate::proxy::answer::{Draft, SWITCHING_PROTOCOLS};
use crate::proxy::body::{Held, Lease};
use crate::proxy::error::{ProxyError, is_given_up};
use crate::proxy::intake::Intake;
use crate::proxy::outgoing;
use crate::proxy::select;
use crate::proxy::timing::{Expired, Timing};
use crate::retry::{Decision, Plan, Situation, Stop};
use crate::runtime::snapshot::Route;
use crate::telemetry::record::Attempt;
use crate::tick::Tick;
use crate::upstream::body::Broken;
use crate::upstream::cluster::{Cluster, ClusterCounts};
use crate::upstream::failure::Failure;
use crate::upstream::host::Host;
use crate::upstream::permit::{HostLoad, RequestPermit, RetryHold};
use crate::upstream::pool::{Ask, Refused};
use crate::upstream::proxy_header::Origin;
use crate::upstream::request::Outgoing;
use crate::worker::Worker;

/// A request on its way.
struct Journey<'a> {
    worker: Rc<Worker>,
    cluster: Arc<Cluster>,
    intake: Intake,
    to: &'a ir::Forward,
    timing: Timing,
    /// The client's connection, if endpoints are to hear of it.
    origin: Option<Origin>,
    /// Ids of the hosts that were tried.
    tried: SmallVec<[u64; 4]>,
}

/// A response's head, and the connection its body comes on.
type Answered = (ResponseHead, Lease);

/// Why one attempt gave no response.
enum Missed {
    /// It failed.
    Failed(Outcome),
    /// There was no connection to be had.
    Overflow,
    /// The rewritten head cannot be sent.
    Unsendable,
}

/// Sends a request where its route says.
pub(super) async fn forward(
    live: &mut Live,
    intake: Intake,
    route: &Route,
    to: &ir::Forward,
) -> Result<Draft, ProxyError> {
    let worker = Rc::clone(&live.conn.worker);
    let cluster = route.clusters.pick(worker.entropy());
    let cluster = cluster
        .and_then(Option::as_ref)
        .ok_or(ProxyError::NoCluster)?;
    live.exchange.sent_to(cluster);
    let counts = cluster.counts.of(worker.index);
    let Some(permit) = RequestPermit::take(&cluster.gauges, &cluster.spec.breakers) else {
        add_one(&counts.overflows);
        return Err(ProxyError::Overflow);
    };
    cluster.retry_budget.on_request(worker.now());
    let idle = live.listener.spec.timeouts.stream_idle;
    let mut timing = Timing::new(Rc::clone(&worker), Rc::clone(&intake.body), idle);
    timing.request = to.timeout;
    timing.attempt = to.per_try_timeout;
    let mut journey = Journey {
        worker,
        cluster: Arc::clone(cluster),
        intake,
        to,
        timing,
        origin: cluster.spec.proxy_protocol.map(|_| live.conn.origin()),
        tried: SmallVec::new(),
    };
    let answered = journey.run(live, permit).await;
    live.exchange.received(journey.intake.body.received());
    let fields = journey.intake.head.fields;
    journey.worker.buffers.give_fields(fields);
    answered
}

impl Journey<'_> {
    fn counts(&self) -> &ClusterCounts {
        self.cluster.counts.of(self.worker.index)
    }

    /// Attempt after attempt, until one stands.
    async fn run(&mut self, live: &mut Live, permit: RequestPermit) -> Result<Draft, ProxyError> {
        let mut plan = Plan::new(self.to.retry.as_ref());
        let mut retry = None;
        loop {
            let Some(host) = select::host(&self.worker, &self.cluster, &self.tried) else {
                add_one(&self.counts().no_host);
                return Err(ProxyError::NoHost);
            };
            let load = HostLoad::add(&host);
            let (outcome, answered) = self.attempt(live, &host).await?;
            drop(retry.take());
            let given_up = answered
                .as_ref()
                .is_some_and(|(head, _)| is_given_up(&head.fields));
            let decision = if given_up || !plan.is_about(outcome) {
                Decision::Done(Stop::NotRetriable)
            } else {
                plan.next(outcome, &self.situation(), &self.cluster.retry_budget)
            };
            match (decision, answered) {
                (Decision::Retry { after }, answered) => {
                    retry = Some(RetryHold::new(&self.cluster.retry_budget));
                    add_one(&self.counts().retries);
                    if let Some((_, lease)) = answered {
                        lease.give_back();
                    }
                    drop(load);
                    self.avoid(&host);
                    let pause = tokio::time::sleep(after);
                    let paused = self.timing.within(None, pause).await;
                    paused.map_err(|expired| self.expired(expired, None))?;
                }
                (Decision::Done(stop), answered) => {
                    if stop == Stop::Budget {
                        add_one(&self.counts().retries_denied);
                        live.exchange.retry_denied();
                    }
                    let (response, lease) = answered.ok_or(ProxyError::Upstream(outcome))?;
                    let held = Held { permit, load, host };
                    return self.pass_on(live, response, (lease, held)).await;
                }
            }
        }
    }

    /// One attempt, seen by health and telemetry.
    async fn attempt(
        &mut self,
        live: &mut Live,
        host: &Arc<Host>,
    ) -> Result<(Outcome, Option<Answered>), ProxyError> {
        let started = self.worker.now();
        let span = self.worker.entropy().max(1);
        add_one(&host.counts.of(self.worker.index).requests);
        let tried = self.send(live, host, (started, span)).await;
        let (outcome, answered) = match tried {
            Ok(Ok((head, _))) if self.is_unwanted_switch(&head) => (Outcome::BadResponse, None),
            Ok(Ok((head, lease))) => (outcome_of(&head), Some((head, lease))),
            Ok(Err(Missed::Failed(outcome))) => match self.intake.body.broken() {
                // The endpoint is not to blame.
                Some(broken) => return Err(self.expired(Expired::Body(broken), None)),
                None => (outcome, None),
            },
            Ok(Err(Missed::Overflow)) => {
                add_one(&self.counts().overflows);
                return Err(ProxyError::Overflow);
            }
            Ok(Err(Missed::Unsendable)) => {
                return Err(ProxyError::BadRequest("the request cannot be passed on"));
            }
            Err(Expired::Attempt) => {
                add_one(&self.counts().per_try_timeouts);
                (Outcome::PerTryTimeout, None)
            }
            Err(expired) => {
                let error = self.expired(expired, Some(host));
                self.note(live, host, (started, span), None);
                return Err(error);
            }
        };
        observe(&self.worker, &self.cluster, host, outcome);
        self.note(live, host, (started, span), Some(outcome));
        Ok((outcome, answered))
    }

    /// Takes a connection and sends the request on it. A connection that turns
    /// out to be dead before anything was sent is no attempt.
    async fn send(
        &mut self,
        live: &Live,
        host: &Arc<Host>,
        (started, span): (Tick, u64),
    ) -> Result<Result<Answered, Missed>, Expired> {
        outgoing::name_trace(&mut self.intake.head.fields, live.exchange.trace(), span);
        let request = Outgoing {
            head: &self.intake.head,
            source: &self.intake.body,
            scheme: self.cluster.tls.as_ref().map_or("http", |_| "https"),
            upgrade: self.intake.upgrade.as_deref(),
        };
        let ask = Ask {
            worker: &self.worker,
            cluster: &self.cluster,
            careful: !self.intake.head.method.is_safe(),
            origin: self.origin,
        };
        let pool = self.worker.pools.of(host, ask);
        let sending = async {
            loop {
                let mut connection = match pool.acquire(ask).await {
                    Ok(connection) => connection,
                    Err(Refused::Connect) => return Err(Missed::Failed(Outcome::ConnectFailure)),
                    Err(Refused::Tls(failure)) => {
                        return Err(Missed::Failed(Outcome::TlsFailure(failure)));
                    }
                    Err(Refused::Overflow) => return Err(Missed::Overflow),
                };
                let reused = connection.is_reused();
                match connection.send(&request).await {
                    Ok(head) => return Ok((head, Lease::new(pool, connection))),
                    Err(Failure::Unsendable) => return Err(Missed::Unsendable),
                    Err(Failure::Ended { unsent: true, .. }) if reused => {}
                    Err(Failure::Ended { outcome, .. }) => return Err(Missed::Failed(outcome)),
                }
            }
        };
        self.timing.within(Some(started), sending).await
    }

    fn situation(&self) -> Situation {
        Situation {
            replayable: self.intake.body.replayable(),
            deadline: self.timing.deadline(),
            active: self.cluster.gauges.requests.load(Ordering::Relaxed),
            now: self.worker.now(),
            entropy: self.worker.entropy(),
        }
    }

    fn avoid(&mut self, host: &Host) {
        let policy = self.to.retry.as_ref();
        if policy.is_some_and(|policy| policy.avoid_previous_hosts) {
            self.tried.push(host.id);
        }
    }

    /// What ran out. A host that made the request wait until its end is treated
    /// like one that made an attempt wait.
    fn expired(&self, expired: Expired, host: Option<&Arc<Host>>) -> ProxyError {
        let body_ended = self.intake.body.ended().is_some();
        if let Some(host) = host.filter(|_| body_ended) {
            observe(&self.worker, &self.cluster, host, Outcome::PerTryTimeout);
        }
        match expired {
            Expired::Request | Expired::Attempt => ProxyError::RequestTimeout,
            Expired::Idle if body_ended => ProxyError::ResponseIdle,
            Expired::Idle => ProxyError::RequestIdle,
            Expired::Body(Broken::TooLarge) => ProxyError::BodyTooLarge,
            Expired::Body(Broken::Client | Broken::Superseded) => ProxyError::ClientGone,
        }
    }

    fn note(
        &self,
        live: &mut Live,
        host: &Host,
        (started, span_id): (Tick, u64),
        outcome: Option<Outcome>,
    ) {
        live.exchange.attempted(Attempt {
            address: host.address,
            started,
            took: self.worker.now().since(started),
            outcome,
            span_id,
        });
    }

    /// Whether the endpoint switches to a protocol that nobody asked for.
    fn is_unwanted_switch(&self, head: &ResponseHead) -> bool {
        head.status == SWITCHING_PROTOCOLS && self.intake.upgrade.is_none()
    }

    async fn pass_on(
        &mut self,
        live: &Live,
        response: ResponseHead,
        (lease, held): (Lease, Held),
    ) -> Result<Draft, ProxyError> {
        if response.status != SWITCHING_PROTOCOLS {
            let limits = (self.timing.idle, self.timing.request);
            return Ok(Draft::upstream(
                response,
                (lease, held),
                Rc::clone(&self.intake.body),
                limits,
            ));
        }
        let leftover = lease.into_leftover().await;
        let leftover = leftover.ok_or(ProxyError::Upstream(Outcome::BadResponse))?;
        let idle = live.listener.spec.timeouts.stream_idle;
        Ok(Draft::switched(response, (leftover, held), idle))
    }
}

/// Tells health what became of an attempt: the host's counters, and the control
/// thread if a detector fires.
pub(super) fn observe(worker: &Worker, cluster: &Arc<Cluster>, host: &Host, outcome: Outcome) {
    if outcome.is_failure() {
        add_one(&host.counts.of(worker.index).failures);
    }
    let Some(outlier) = &cluster.spec.outlier else {
        return;
    };
    let Some(cause) = host.shared.outlier.observe(outcome, outlier) else {
        return;
    };
    let trigger = Trigger {
        cluster: Arc::clone(cluster),
        host: host.id,
        cause,
    };
    if worker.shared.triggers.try_send(trigger).is_err() {
        add_one(&worker.counts().triggers_dropped);
    }
}

fn outcome_of(head: &ResponseHead) -> Outcome {
    let grpc_status = head.fields.first(Known::GrpcStatus);
    Outcome::Response {
        status: head.status,
        grpc_status: grpc_status.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()),
    }
}

fn add_one(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}
