//! One request and its answer, as telemetry sees them: counters at the right
//! moments, each exactly once, and a record if anybody wants one. It is finished
//! when it is dropped, so that a client that goes away is counted like any other.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::runtime::snapshot::{Front, Route};
use crate::telemetry::counters::{add, add_one, latency_bucket};
use crate::telemetry::record::{Attempt, Reason, Record};
use crate::telemetry::trace::TraceContext;
use crate::tick::Tick;
use crate::upstream::cluster::Cluster;
use crate::worker::Worker;

/// What a record says of the request itself. Made only if there is to be a
/// record.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    /// `x-request-id`.
    pub(crate) request_id: String,
    /// The address that is believed to be the client's.
    pub(crate) client: IpAddr,
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// `HTTP/1.1` or `HTTP/2`.
    pub(crate) protocol: &'static str,
    /// Method.
    pub(crate) method: String,
    /// As the client named it.
    pub(crate) authority: String,
    /// As the client named it.
    pub(crate) target: String,
    /// `user-agent`, if any.
    pub(crate) user_agent: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`; `None` in the clear.
    pub(crate) tls_version: Option<&'static str>,
    /// Whose certificate the client showed.
    pub(crate) client_identity: Option<Arc<str>>,
}

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    listener: Arc<Front>,
    route: Option<Arc<Route>>,
    cluster: Option<Arc<Cluster>>,
    started: Tick,
    status: u16,
    reason: Option<Reason>,
    complete: bool,
    received: u64,
    sent: u64,
    retry_denied: bool,
    trace: TraceContext,
    noted: Option<Box<Noted>>,
}

/// What is noted for the record, if there is to be one.
#[derive(Debug)]
struct Noted {
    details: Details,
    attempts: SmallVec<[Attempt; 2]>,
}

impl Exchange {
    /// A request whose head is complete now.
    pub(crate) fn start(worker: Rc<Worker>, listener: Arc<Front>) -> Self {
        let counts = listener.counts.of(worker.index);
        add_one(&counts.requests_open);
        Self {
            started: worker.now(),
            worker,
            listener,
            route: None,
            cluster: None,
            status: 0,
            reason: None,
            complete: false,
            received: 0,
            sent: 0,
            retry_denied: false,
            trace: TraceContext::default(),
            noted: None,
        }
    }

    /// When its head was complete.
    pub(crate) fn started(&self) -> Tick {
        self.started
    }

    /// Says what it is. `details` is called only if there will be a record.
    pub(crate) fn describe(&mut self, trace: TraceContext, details: impl FnOnce() -> Details) {
        let sink = &self.worker.shared.sink;
        if sink.wants(&self.listener, trace.sampled) {
            self.noted = Some(Box::new(Noted {
                details: details(),
                attempts: SmallVec::new(),
            }));
        }
        self.trace = trace;
    }

    /// The trace it belongs to.
    pub(crate) fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// A route took it.
    pub(crate) fn routed(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
    }

    /// The rate limit refused it.
    pub(crate) fn rate_limited(&self) {
        if let Some(route) = &self.route {
            let counts = route.counts.of(self.worker.index);
            add_one(&counts.rate_limited);
        }
    }

    /// A cluster is to answer it.
    pub(crate) fn sent_to(&mut self, cluster: &Arc<Cluster>) {
        let counts = cluster.counts.of(self.worker.index);
        add_one(&counts.requests);
        self.cluster = Some(Arc::clone(cluster));
    }

    /// An attempt has ended. `attempt` is called only if there will be a record.
    pub(crate) fn attempted(&mut self, attempt: impl FnOnce() -> Attempt) {
        if let Some(noted) = &mut self.noted {
            noted.attempts.push(attempt());
        }
    }

    /// The retry budget forbade another attempt.
    pub(crate) fn retry_denied(&mut self) {
        self.retry_denied = true;
    }

    /// The head of the answer goes to the client; `reason` if it is ours.
    pub(crate) fn answered(&mut self, status: u16, reason: Option<Reason>) {
        self.status = status;
        self.reason = reason;
    }

    /// Bytes of the request's body so far.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.received = bytes;
    }

    /// Bytes of the answer's body go to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The answer is complete.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// The answer is cut short.
    pub(crate) fn cut(&mut self, reason: Reason) {
        self.reason = Some(reason);
        if reason == Reason::UpstreamBroke {
            add_one(&self.worker.counts().broken_responses);
        }
    }

    fn count(&self, took: std::time::Duration) {
        let worker = self.worker.index;
        let class = usize::from(self.status / 100).min(5);
        let listener = self.listener.counts.of(worker);
        add(&listener.requests_open, 1_u64.wrapping_neg());
        add_one(&listener.answers[class]);
        if let Some(route) = &self.route {
            let counts = route.counts.of(worker);
            add_one(&counts.answers[class]);
            add_one(&counts.latency[latency_bucket(took)]);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            add(&counts.latency_sum_us, micros);
        }
    }

    fn record(&mut self, noted: Noted, took: std::time::Duration) -> Record {
        let Noted { details, attempts } = noted;
        let gone = (!self.complete).then_some(Reason::ClientGone);
        Record {
            request_id: details.request_id,
            record_id: Uuid::now_v7(),
            listener: self.listener.spec.name.as_str().into(),
            route: self.route.take(),
            cluster: self.cluster.as_ref().map(|of| of.spec.name.as_str().into()),
            client: details.client,
            peer: details.peer,
            protocol: details.protocol,
            method: details.method,
            authority: details.authority,
            target: details.target,
            user_agent: details.user_agent,
            tls_version: details.tls_version,
            client_identity: details.client_identity,
            started: self.started,
            took,
            status: self.status,
            reason: self.reason.or(gone),
            attempts,
            retry_denied: self.retry_denied,
            received: self.received,
            sent: self.sent,
            trace: std::mem::take(&mut self.trace),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.worker.now().since(self.started);
        self.count(took);
        if let Some(noted) = self.noted.take() {
            let record = self.record(*noted, took);
            let worker = &self.worker;
            if worker.shared.sink.logs(&self.listener) {
                worker.log(&record);
            }
            worker.shared.sink.trace(worker.index, record);
        }
    }
}
