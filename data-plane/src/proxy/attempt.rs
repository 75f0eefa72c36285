//! One attempt at an endpoint: the host, what it holds of it, and its connection.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::ir;

use crate::health::Trigger;
use crate::message::{Fields, Known, ResponseHead};
use crate::outcome::Outcome;
use crate::proxy::Live;
use crate::proxy::outgoing;
use crate::telemetry::counters::add_one;
use crate::telemetry::record;
use crate::tick::Tick;
use crate::upstream::cluster::Cluster;
use crate::upstream::connection::Connection;
use crate::upstream::host::Host;
use crate::upstream::permit::HostLoad;
use crate::upstream::pool::{Ask, HostPool, Refused};
use crate::worker::Worker;

/// A connection that is being waited for, or made.
pub(super) type Acquiring = Pin<Box<dyn Future<Output = Result<Connection, Refused>>>>;

/// One attempt at an endpoint. Dropping it closes its connection.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) host: Arc<Host>,
    pub(super) pool: Rc<HostPool>,
    /// When it began.
    pub(super) started: Tick,
    /// Whether other requests were sent on its connection before.
    pub(super) reused: bool,
    /// Id of its span, if the request is traced.
    span: u64,
    connection: Option<Connection>,
    _load: HostLoad,
}

impl Attempt {
    /// Begins one.
    pub(super) fn begin(worker: &Worker, host: Arc<Host>, pool: Rc<HostPool>) -> Self {
        add_one(&host.counts.of(worker.index).requests);
        Self {
            _load: HostLoad::add(&host),
            host,
            pool,
            started: worker.now(),
            reused: false,
            span: worker.entropy().max(1),
            connection: None,
        }
    }

    /// Tells the endpoint which trace it belongs to.
    pub(super) fn name_trace(&self, live: &Live, fields: &mut Fields) {
        outgoing::name_trace(fields, live.exchange.trace(), self.span);
    }

    /// Waits for a connection, or makes one.
    pub(super) fn acquire(&self, cluster: &Arc<Cluster>, ask: Ask<'_>) -> Acquiring {
        let (pool, cluster) = (Rc::clone(&self.pool), Arc::clone(cluster));
        let worker = Rc::clone(ask.worker);
        let (careful, origin) = (ask.careful, ask.origin);
        Box::pin(async move {
            let ask = Ask {
                worker: &worker,
                cluster: &cluster,
                careful,
                origin,
            };
            pool.acquire(ask).await
        })
    }

    /// The request goes out on this connection.
    pub(super) fn send_on(&mut self, connection: Connection, reused: bool) {
        self.connection = Some(connection);
        self.reused = reused;
    }

    /// Its connection, once it has one.
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Its connection, to look at.
    pub(super) fn peek(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Its connection, to be used otherwise.
    pub(super) fn take_connection(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// The response is complete, or thrown away: the pool finds out whether the
    /// connection can go on.
    pub(super) fn give_back(mut self) {
        match self.connection.take() {
            Some(Connection::Http1(mut connection)) => {
                connection.discard();
                self.pool.give_back(connection);
            }
            // The stream makes room by being dropped.
            Some(Connection::Http2(_)) | None => {}
        }
    }

    /// Tells telemetry of it. `outcome` is `None` if it was given up.
    pub(super) fn note(&self, live: &mut Live, outcome: Option<Outcome>) {
        let worker = &live.conn.worker;
        live.exchange.attempted(|| record::Attempt {
            address: self.host.address,
            started: self.started,
            took: worker.now().since(self.started),
            outcome,
            span_id: self.span,
        });
    }
}

/// Tells balancing and health what became of an attempt: the host's counters, and
/// the control thread if a detector fires. `took` is until the head came, or
/// until there was no more hope of it.
pub(super) fn observe(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    (host, took): (&Host, Duration),
    outcome: Outcome,
) {
    if let ir::LbPolicy::PeakEwma(settings) = &cluster.spec.load_balancing.policy {
        let (latency, failed) = (&host.shared.latency, outcome.is_failure());
        latency.observe(took, failed, worker.now(), settings);
    }
    let counts = host.counts.of(worker.index);
    if outcome.is_failure() {
        add_one(&counts.failures);
    }
    if let Some(tally) = counts.tally.get() {
        tally.observe(outcome, took);
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

/// What the head of a response says of the attempt.
pub(super) fn outcome_of(head: &ResponseHead) -> Outcome {
    let grpc_status = head.fields.first(Known::GrpcStatus);
    Outcome::Response {
        status: head.status,
        grpc_status: grpc_status.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()),
    }
}
