//! The line to the control plane beside the configuration stream: the proxy says
//! how it is, and answers what it is asked. A control plane without this service
//! is obeyed all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_shared::names::ClusterName;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::fleet_service_client::FleetServiceClient;
use evenkeel_shared::proto::v1::report_request::Message;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::debug;

use crate::clock::Clock;
use crate::dns;
use crate::runtime::membership::cause_label;
use crate::runtime::snapshot::Snapshot;
use crate::tick::Tick;
use crate::tls::problems::problems;
use crate::tls::secrets::Secrets;
use crate::upstream::cluster::{Cluster, Exclusion, Member};
use crate::xds::connect::{Dialer, Line};
use crate::xds::task::backoff;
use crate::xds::view::Status;

/// How often the proxy says how it is.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a control plane that does not know this service is left alone.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(5);
/// Messages that may wait for the stream; a report that finds no room is left
/// out, the next one says the same and more.
const QUEUE: usize = 16;

/// The task that reports.
#[derive(Debug)]
pub struct Task {
    /// Where the control planes are, and how to know them.
    pub dialer: Dialer,
    /// Node id.
    pub node: String,
    /// Id of the process.
    pub instance: String,
    /// Address of the admin port.
    pub admin: std::net::SocketAddr,
    /// What is in force.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// The configuration side.
    pub status: Arc<Status>,
    /// Certificates and keys.
    pub secrets: Arc<Secrets>,
    /// Whether the proxy is being drained.
    pub draining: CancellationToken,
    /// Now.
    pub clock: Clock,
    /// For the waits.
    pub entropy: StdRng,
    /// Ends the task.
    pub shutdown: CancellationToken,
}

/// How a stream ended.
enum Ended {
    /// There was one.
    Open,
    /// There was none.
    Failed,
    /// The control plane does not know the service.
    Unknown,
}

impl Task {
    /// Reports until the shutdown.
    #[tracing::instrument(name = "fleet", skip_all)]
    pub async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let shutdown = self.shutdown.clone();
            let ended = tokio::select! {
                ended = self.try_all() => ended,
                () = shutdown.cancelled() => return,
            };
            failures = match ended {
                Ended::Open => 1,
                Ended::Failed | Ended::Unknown => failures.saturating_add(1),
            };
            let wait = match ended {
                Ended::Unknown => UNKNOWN_PAUSE,
                Ended::Open | Ended::Failed => backoff(failures, self.entropy.next_u64()),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn try_all(&self) -> Ended {
        let mut last = Ended::Failed;
        for uri in &self.dialer.control_planes {
            // The stream of configuration says why.
            let Ok(line) = self.dialer.connect(uri).await else {
                continue;
            };
            last = self.converse(line).await;
            if matches!(last, Ended::Open) {
                break;
            }
        }
        last
    }

    async fn converse(&self, line: Line) -> Ended {
        let (out, outbound) = mpsc::channel(QUEUE);
        let hello = v1::ProxyHello {
            node_id: self.node.clone(),
        };
        // The first message always finds room.
        let _ = out.try_send(request(Message::Hello(hello)));
        let opened = FleetServiceClient::new(line.channel)
            .report(ReceiverStream::new(outbound))
            .await;
        let mut questions = match opened {
            Ok(response) => response.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => return Ended::Unknown,
            Err(status) => {
                debug!(code = ?status.code(), reason = status.message(), "no fleet stream");
                return Ended::Failed;
            }
        };
        let renewed = self.dialer.renewed(line.shown.as_ref());
        tokio::pin!(renewed);
        let mut tick = tokio::time::interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What was said last of what is said at once.
        let mut said = None;
        loop {
            // All futures may be dropped without loss.
            let message = tokio::select! {
                question = questions.message() => match question {
                    Ok(Some(question)) => self.answer(question),
                    Err(status) if status.code() == Code::Unimplemented => return Ended::Unknown,
                    Ok(None) | Err(_) => return Ended::Open,
                },
                () = &mut renewed => return Ended::Open,
                _ = tick.tick() => {
                    let report = self.report();
                    said = Some(urgent(&report));
                    Some(Message::Report(report))
                }
                () = self.news(said.as_ref()) => {
                    let report = self.report();
                    let now = urgent(&report);
                    let changed = said.as_ref() != Some(&now);
                    said = Some(now);
                    changed.then_some(Message::Report(report))
                }
            };
            if let Some(message) = message
                && let Err(mpsc::error::TrySendError::Closed(_)) = out.try_send(request(message))
            {
                return Ended::Open;
            }
        }
    }

    /// Waits until there may be something that does not wait for the next report.
    async fn news(&self, said: Option<&Urgent>) {
        // Not to be told again and again that it is draining.
        let draining = async {
            if said.is_some_and(|said| !said.ready) {
                std::future::pending::<()>().await;
            }
            self.draining.cancelled().await;
        };
        tokio::select! {
            () = self.status.changed() => {}
            () = self.secrets.changed() => {}
            () = draining => {}
        }
    }

    fn report(&self) -> v1::ProxyReport {
        let snapshot = self.current.load();
        let listeners = || snapshot.listeners.values();
        let answered = listeners().map(|listener| {
            let shards = &listener.front.counts;
            shards.sum(|counts| {
                let answers = counts.answers.iter();
                answers.map(|count| count.load(Ordering::Relaxed)).sum()
            })
        });
        let open = listeners().map(|listener| {
            let shards = &listener.front.counts;
            shards.sum(|counts| counts.requests_open.load(Ordering::Relaxed))
        });
        let config = self.status.config.load();
        let held = config.mass_removal.as_ref();
        v1::ProxyReport {
            problems: self.problems(),
            instance_id: self.instance.clone(),
            admin_address: self.admin.to_string(),
            uptime: duration(self.clock.now().since(Tick::default())),
            ready: self.status.is_configured() && !self.draining.is_cancelled(),
            held: held.map(|held| held.reason.clone()).unwrap_or_default(),
            requests: answered.sum(),
            active_requests: u32::try_from(open.sum::<u64>()).unwrap_or(u32::MAX),
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut found = problems(&self.secrets.shown(), jiff::Timestamp::now().as_second());
        let names = self.status.names.load();
        found.extend(dns::shown::problems(&names, self.clock.now()));
        found
    }

    fn answer(&self, response: v1::ReportResponse) -> Option<Message> {
        let v1::report_response::Message::Endpoints(question) = response.message?;
        let snapshot = self.current.load();
        let cluster = snapshot
            .clusters
            .get(&ClusterName::new(question.cluster.as_str()));
        Some(Message::Endpoints(v1::EndpointsAnswer {
            question: question.question,
            known: cluster.is_some(),
            endpoints: cluster.map(|cluster| {
                let mut endpoints = endpoints(cluster, self.clock.now());
                endpoints.proxy.clone_from(&self.node);
                endpoints
            }),
        }))
    }
}

/// The endpoints of a cluster as this proxy sees them; the proxy's name is left
/// to the caller.
pub(crate) fn endpoints(cluster: &Cluster, now: Tick) -> v1::ProxyEndpoints {
    let hosts = cluster.hosts.load();
    v1::ProxyEndpoints {
        proxy: String::new(),
        endpoints: hosts
            .members
            .iter()
            .map(|member| endpoint_state(member, now))
            .collect(),
        panic: hosts.panic,
    }
}

fn endpoint_state(member: &Member, now: Tick) -> v1::EndpointState {
    let host = &member.host;
    let (reason, ejected_for) = match member.excluded {
        None => (String::new(), None),
        Some(Exclusion::Unhealthy) => ("unhealthy".to_owned(), None),
        Some(Exclusion::Unchecked) => ("waits for its first health check".to_owned(), None),
        Some(Exclusion::FailsChecks(failure)) => (format!("health check: {failure}"), None),
        Some(Exclusion::Draining) => ("draining".to_owned(), None),
        Some(Exclusion::Ejected { cause, until }) => {
            let reason = format!("ejected: {}", cause_label(cause));
            (reason, duration(until.since(now)))
        }
    };
    v1::EndpointState {
        address: host.address.to_string(),
        weight: member.weight,
        healthy: member.excluded.is_none(),
        reason,
        ejected_for,
        in_flight: host.shared.in_flight.load(Ordering::Relaxed),
        connections: host.shared.connections.load(Ordering::Relaxed),
        requests: host.counts.sum(|c| c.requests.load(Ordering::Relaxed)),
        failures: host.counts.sum(|c| c.failures.load(Ordering::Relaxed)),
    }
}

/// What of a report is said at once when it changes.
#[derive(Debug, PartialEq, Eq)]
struct Urgent {
    ready: bool,
    held: String,
    problems: Vec<String>,
}

fn urgent(report: &v1::ProxyReport) -> Urgent {
    Urgent {
        ready: report.ready,
        held: report.held.clone(),
        problems: report.problems.clone(),
    }
}

fn duration(time: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(time).ok()
}

fn request(message: Message) -> v1::ReportRequest {
    v1::ReportRequest {
        message: Some(message),
    }
}
