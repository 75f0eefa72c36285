//! The line from proxies beside the configuration stream: it keeps what each
//! says of itself, and asks them questions.
//!
//! Nothing depends on it: a proxy of another make has no such line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use evenkeel_shared::proto::v1::{report_request, report_response};
use futures_util::future::join_all;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use crate::audit_sink::Audit;
use crate::door::Quota;
use crate::peer::{Peer, Share};
use crate::rate::Bucket;
use crate::xds::check_name;
use crate::xds::clock::Clock;

/// How many proxies may report.
const PROXIES: usize = 20_000;

/// How many questions may be open at once.
const QUESTIONS: usize = 65_536;

/// How long a proxy has for an answer.
const ANSWER: Duration = Duration::from_secs(1);

/// How long a proxy has for saying who it is.
const HELLO: Duration = Duration::from_secs(10);

/// Questions that a proxy has not taken yet; another one is not asked then.
const BACKLOG: usize = 16;

/// How many lines one party may have: a certificate at one address, or an
/// address.
const LINES_EACH: usize = 64;

/// The largest message of a proxy, in bytes: the endpoints of a cluster of ten
/// thousand.
const MESSAGE_LIMIT: usize = 4 << 20;

/// The largest report that is kept, in bytes.
const REPORT_LIMIT: usize = 64 << 10;

/// How many messages a proxy may send at once, and how many more in each second.
/// It reports once in a while, and is asked by few.
const BURST: u64 = 1_000;
const RATE: u64 = 100;

/// The longest node id, in bytes.
const ID_LIMIT: usize = 256;

type Question = Result<v1::ReportResponse, Status>;

/// All lines.
#[derive(Debug, Default)]
pub struct Fleet {
    lines: DashMap<String, Line>,
    questions: DashMap<u64, Pending>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Line {
    number: u64,
    /// Whose it is.
    owner: String,
    report: Option<v1::ProxyReport>,
    ask: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Pending {
    proxy: String,
    reply: oneshot::Sender<v1::EndpointsAnswer>,
}

/// Forgets a question when nobody waits for its answer any more.
struct Open<'a> {
    fleet: &'a Fleet,
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.fleet.questions.remove(&self.number);
    }
}

impl Fleet {
    /// The last report of a proxy whose line is open.
    pub fn report(&self, proxy: &str) -> Option<v1::ProxyReport> {
        self.lines.get(proxy).and_then(|line| line.report.clone())
    }

    /// Asks proxies for the endpoints of a cluster: the answers of those that
    /// have it, and the ids of those that did not answer in time.
    pub async fn endpoints(
        &self,
        proxies: &[String],
        cluster: &str,
    ) -> (Vec<v1::ProxyEndpoints>, Vec<String>) {
        let asked = proxies.iter().map(|proxy| self.ask(proxy, cluster));
        let mut answers = Vec::new();
        let mut silent = Vec::new();
        for (proxy, answer) in proxies.iter().zip(join_all(asked).await) {
            match answer {
                Some(answer) if answer.known => {
                    let mut endpoints = answer.endpoints.unwrap_or_default();
                    endpoints.proxy.clone_from(proxy);
                    answers.push(endpoints);
                }
                Some(_) => {}
                None => silent.push(proxy.clone()),
            }
        }
        (answers, silent)
    }

    async fn ask(&self, proxy: &str, cluster: &str) -> Option<v1::EndpointsAnswer> {
        let line = self.lines.get(proxy)?.ask.clone();
        if self.questions.len() >= QUESTIONS {
            return None;
        }
        let number = self.next_number();
        let (reply, answer) = oneshot::channel();
        let proxy = proxy.to_owned();
        self.questions.insert(number, Pending { proxy, reply });
        let _open = Open {
            fleet: self,
            number,
        };
        let question = v1::EndpointsQuestion {
            question: number,
            cluster: cluster.to_owned(),
        };
        let message = v1::ReportResponse {
            message: Some(report_response::Message::Endpoints(question)),
        };
        line.try_send(Ok(message)).ok()?;
        timeout(ANSWER, answer).await.ok()?.ok()
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Opens the line of a proxy, in place of one that it had before.
    fn open(&self, proxy: &str, owner: String, ask: mpsc::Sender<Question>) -> Result<u64, Status> {
        if self.lines.len() >= PROXIES && !self.lines.contains_key(proxy) {
            return Err(Status::unavailable(format!("more than {PROXIES} proxies")));
        }
        let number = self.next_number();
        let line = Line {
            number,
            owner,
            report: None,
            ask,
        };
        match self.lines.entry(proxy.to_owned()) {
            Entry::Occupied(taken) if taken.get().owner != line.owner => Err(
                Status::already_exists(format!("node_id {proxy:?} is in use by somebody else")),
            ),
            Entry::Occupied(mut taken) => {
                taken.insert(line);
                Ok(number)
            }
            Entry::Vacant(place) => {
                place.insert(line);
                Ok(number)
            }
        }
    }

    fn close(&self, proxy: &str, number: u64) {
        self.lines.remove_if(proxy, |_, line| line.number == number);
    }

    fn take(&self, proxy: &str, number: u64, message: report_request::Message) {
        match message {
            report_request::Message::Hello(_) => {}
            report_request::Message::Report(report) => {
                if let Some(mut line) = self.lines.get_mut(proxy)
                    && line.number == number
                {
                    line.report = Some(report);
                }
            }
            report_request::Message::Endpoints(answer) => {
                let asked = self
                    .questions
                    .remove_if(&answer.question, |_, pending| pending.proxy == proxy);
                if let Some((_, pending)) = asked {
                    // Whoever asked may have given up by now.
                    let _ = pending.reply.send(answer);
                }
            }
        }
    }
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Reporting {
    /// All lines.
    pub fleet: Arc<Fleet>,
    /// Where refusals are told.
    pub audit: Audit,
    /// The time.
    pub clock: Clock,
    /// Owns the tasks of the lines.
    pub tasks: TaskTracker,
    /// Ends all lines.
    pub shutdown: CancellationToken,
}

/// The service that proxies call.
#[derive(Debug)]
pub struct Reports {
    with: Reporting,
    places: Arc<Quota<Share>>,
}

impl Reports {
    /// The service, ready to be mounted.
    pub fn server(with: Reporting) -> FleetServiceServer<Self> {
        let places = Quota::new(PROXIES, LINES_EACH);
        FleetServiceServer::new(Self { with, places }).max_decoding_message_size(MESSAGE_LIMIT)
    }
}

#[tonic::async_trait]
impl FleetService for Reports {
    type ReportStream = ReceiverStream<Question>;

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let peer = Peer::of(&request);
        let place = self.places.take(peer.as_ref().and_then(Peer::share));
        let place = place.map_err(|_| {
            Status::resource_exhausted(format!(
                "more than {LINES_EACH} lines from one place, or {PROXIES} in all"
            ))
        })?;
        let (ask, questions) = mpsc::channel(BACKLOG);
        let with = self.with.clone();
        self.with.tasks.spawn(async move {
            if let Err(status) = listen(&with, request.into_inner(), &ask, peer).await {
                debug!(%status, "report line ended");
                // The proxy may be gone or not reading; the line ends anyway.
                let _ = ask.try_send(Err(status));
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(questions)))
    }
}

/// Follows one line to its end.
async fn listen(
    with: &Reporting,
    mut reports: Streaming<v1::ReportRequest>,
    ask: &mpsc::Sender<Question>,
    peer: Option<Peer>,
) -> Result<(), Status> {
    let first = timeout(HELLO, reports.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let proxy = match first.and_then(|request| request.message) {
        Some(report_request::Message::Hello(hello)) if hello.node_id.len() <= ID_LIMIT => {
            hello.node_id
        }
        _ => {
            return Err(Status::invalid_argument(format!(
                "hello: must come first, with a node_id of at most {ID_LIMIT} bytes"
            )));
        }
    };
    let deny = |reason, status: &Status| {
        let detail = status.message().to_owned();
        with.audit.deny(reason, "report", peer.as_ref(), detail);
    };
    check_name(peer.as_ref(), &proxy, &with.clock).inspect_err(|status| deny("node_id", status))?;
    let owner = peer.as_ref().map_or_else(String::new, Peer::owner);
    let opened = with.fleet.open(&proxy, owner, ask.clone());
    let number = opened.inspect_err(|status| deny("node_id_in_use", status))?;
    let ended = follow(with, reports, ask, (&proxy, number)).await;
    with.fleet.close(&proxy, number);
    ended
}

/// Takes what comes on an open line.
async fn follow(
    with: &Reporting,
    mut reports: Streaming<v1::ReportRequest>,
    ask: &mpsc::Sender<Question>,
    (proxy, number): (&str, u64),
) -> Result<(), Status> {
    let mut bucket = Bucket::new(RATE, BURST, with.clock.now());
    loop {
        // Reading a message can be cancelled without losing one.
        let message = tokio::select! {
            () = with.shutdown.cancelled() => return Ok(()),
            () = ask.closed() => return Ok(()),
            message = reports.message() => message?,
        };
        let Some(request) = message else {
            return Ok(());
        };
        if !bucket.take(with.clock.now()) {
            return Err(Status::resource_exhausted(format!(
                "more than {BURST} messages at once and {RATE} in each second"
            )));
        }
        match request.message {
            Some(report_request::Message::Report(report))
                if report.encoded_len() > REPORT_LIMIT =>
            {
                return Err(Status::resource_exhausted(format!(
                    "report: more than {REPORT_LIMIT} bytes"
                )));
            }
            Some(message) => with.fleet.take(proxy, number, message),
            None => {}
        }
    }
}
