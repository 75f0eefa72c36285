//! A client that comes through the published ports and knows the fate of every
//! request, and when it was.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_tests::client::Client;
use evenkeel_tests::process::eventually;
use http::{Method, Request};
use http_body_util::Full;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::project::PATIENCE;

/// What the customers of a proxy ask for; one customer each.
const WISHES: [(Method, &str); 5] = [
    (Method::GET, "/catalogue/items"),
    (Method::GET, "/catalogue/items"),
    (Method::GET, "/cart/items"),
    (Method::GET, "/cart/items"),
    (Method::POST, "/checkout/orders"),
];
/// From an answer to the next request.
const PAUSE: Duration = Duration::from_millis(50);
/// A request that takes longer was affected by a fault. The slow instance takes
/// 150 ms.
const SLOW: Duration = Duration::from_millis(700);

/// A request, and its fate.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    /// The port of the proxy.
    pub(super) port: u16,
    pub(super) method: Method,
    path: &'static str,
    began: Instant,
    ended: Instant,
    /// Why it failed, if it did.
    wrong: Option<String>,
}

impl Fate {
    fn is_slow(&self) -> bool {
        self.ended - self.began > SLOW
    }
}

/// Customers at work.
pub(super) struct Customers {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Vec<Fate>>>,
}

impl Customers {
    /// Sends some through each of the ports.
    pub(super) fn start(ports: &[u16]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for port in ports {
            for (method, path) in WISHES {
                let (port, stop, ended) = (*port, Arc::clone(&stop), Arc::clone(&ended));
                tasks.push(tokio::spawn(async move {
                    let mut client = Client::new(([127, 0, 0, 1], port).into(), "shop");
                    let mut fates = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        fates.push(ask(&mut client, port, &method, path).await);
                        ended.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(PAUSE).await;
                    }
                    fates
                }));
            }
        }
        Self { stop, ended, tasks }
    }

    /// Waits until so many more requests have ended.
    pub(super) async fn more(&self, count: u64) -> anyhow::Result<()> {
        let before = self.ended.load(Ordering::Relaxed);
        eventually(PATIENCE, || async {
            let more = self.ended.load(Ordering::Relaxed) - before;
            anyhow::ensure!(more >= count, "{more} of {count} requests have ended");
            Ok(())
        })
        .await
    }

    /// Lets them finish; what became of their requests.
    pub(super) async fn stop(self) -> anyhow::Result<Account> {
        self.stop.store(true, Ordering::Relaxed);
        let mut fates = Vec::new();
        for task in self.tasks {
            fates.extend(task.await?);
        }
        Ok(Account(fates))
    }
}

async fn ask(client: &mut Client, port: u16, method: &Method, path: &'static str) -> Fate {
    let began = Instant::now();
    let answer = match request(method, path) {
        Ok(request) => client.send(request).await,
        Err(error) => Err(error),
    };
    let wrong = match answer {
        Ok(answer) if answer.status.is_success() => None,
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.body);
            Some(format!("{} {}", answer.status, said.trim()))
        }
        Err(error) => Some(format!("{error:#}")),
    };
    Fate {
        port,
        method: method.clone(),
        path,
        began,
        ended: Instant::now(),
        wrong,
    }
}

fn request(method: &Method, path: &str) -> anyhow::Result<Request<Full<Bytes>>> {
    let id = uuid::Uuid::new_v4().to_string();
    let request = Request::builder().method(method).uri(path);
    Ok(request
        .header("idempotency-key", id)
        .body(Full::default())?)
}

/// What became of all requests.
#[derive(Debug)]
pub(super) struct Account(Vec<Fate>);

impl Account {
    /// How many requests of some kind failed.
    pub(super) fn failed(&self, counts: impl Fn(&Fate) -> bool) -> usize {
        let failed = self.0.iter().filter(|fate| fate.wrong.is_some());
        failed.filter(|fate| counts(fate)).count()
    }

    /// Without what went through this port.
    pub(super) fn beside(self, port: u16) -> Self {
        Self(
            self.0
                .into_iter()
                .filter(|fate| fate.port != port)
                .collect(),
        )
    }

    /// A line, and one for each of the first failures. A request was affected if
    /// it failed or was slow.
    pub(super) fn told(&self, what: &str, fault: Instant) -> String {
        let affected =
            |fate: &&Fate| fate.ended > fault && (fate.wrong.is_some() || fate.is_slow());
        let affected: Vec<&Fate> = self.0.iter().filter(affected).collect();
        let mut text = format!(
            "{what}: {} requests, {} failed, {} took more than {SLOW:?}",
            self.0.len(),
            self.failed(|_| true),
            affected.iter().filter(|fate| fate.is_slow()).count()
        );
        if let Some(last) = affected.iter().map(|fate| fate.ended - fault).max() {
            let _ = write!(
                text,
                "; the last one affected ended {last:.1?} after the fault"
            );
        }
        let failed = affected
            .iter()
            .filter_map(|fate| Some((fate, fate.wrong.as_ref()?)));
        for (fate, wrong) in failed.take(8) {
            let began = fate.began.saturating_duration_since(fault);
            let took = fate.ended - fate.began;
            let (method, path, port) = (&fate.method, fate.path, fate.port);
            let _ = write!(
                text,
                "\n    {method} {path} at {port}, {began:.2?} after the fault, took {took:.2?}: {wrong}"
            );
        }
        text
    }
}
