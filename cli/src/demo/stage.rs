//! Everything the demo needs, started in order and stopped together: each part
//! on a thread of its own, as it would be a process of its own.

use std::fmt::Write;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_shared::proto::v1::ApplyRequest;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::roles::{self, Role};
use super::shop::{CLUSTERS, PROXIES, Place, Shop};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::render::{BOLD, DIM, styled};
use crate::sources::{Files, Sources};
use crate::wait;

/// Time for the proxies to take in the first configuration.
const CONFIGURED_WITHIN: Duration = Duration::from_secs(15);
/// Time for the proxies to connect.
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    /// The shop.
    pub(super) shop: Shop,
    /// Where customers may enter, in the order of the proxies.
    pub(super) doors: Vec<SocketAddr>,
    /// A connection to the control plane.
    pub(super) client: Client,
    control_plane: Role,
    proxies: Vec<Role>,
    stop: CancellationToken,
    began: Instant,
    file: String,
    xds: String,
}

impl Stage {
    /// Starts everything, and puts the configuration in force.
    pub(super) async fn build(place: &Place) -> Result<Self, Failure> {
        let ending = CancellationToken::new();
        // Whatever fails from here on, the threads are told.
        let guard = ending.clone().drop_guard();
        let shop = Shop::open(&ending)?;
        let (control_plane, addresses) = roles::control_plane(place, &ending).await?;
        let api = format!("http://{}", addresses.api);
        let xds = format!("http://{}", addresses.xds);
        let mut proxies = Vec::new();
        for (id, _) in PROXIES {
            proxies.push(roles::proxy(id, &xds, place, &ending).await?);
        }
        let doors = free_addresses(PROXIES.len())?;
        let file = place.path("shop.yaml");
        std::fs::write(&file, shop.configuration(&doors)).map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}", file.display()))
        })?;
        let client = Client::to(&api).await?;
        let mut stage = Self {
            shop,
            doors,
            client,
            control_plane,
            proxies,
            stop: ending,
            began: Instant::now(),
            file: file.display().to_string(),
            xds,
        };
        stage.connected().await?;
        stage.configure(&file).await?;
        guard.disarm();
        stage.began = Instant::now();
        Ok(stage)
    }

    /// Waits until every proxy has a stream to the control plane.
    async fn connected(&mut self) -> Result<(), Failure> {
        let give_up = Instant::now() + CONNECTED_WITHIN;
        loop {
            self.check()?;
            let answer = self
                .client
                .api
                .status(evenkeel_shared::proto::v1::StatusRequest {});
            let answer = answer.await;
            let answer = answer.map_err(|status| self.client.failure(&status))?;
            let connected = answer.into_inner().proxies;
            let count = connected.iter().filter(|proxy| proxy.connected).count();
            if count >= self.proxies.len() {
                return Ok(());
            }
            if Instant::now() >= give_up {
                let all = self.proxies.len();
                return Err(Failure::Failed(format!(
                    "{count} of {all} proxies connected within {CONNECTED_WITHIN:?}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Applies the file as anybody would.
    async fn configure(&mut self, file: &std::path::Path) -> Result<(), Failure> {
        let files = Files {
            files: vec![file.to_owned()],
        };
        let sources = Sources::read(&files)?;
        let request = ApplyRequest {
            resources: sources.resources(),
            apply_id: client::apply_id(),
            message: "the demo opens".to_owned(),
            author: "demo".to_owned(),
            ..ApplyRequest::default()
        };
        let revision = self.client.apply(&request, &sources).await?.revision;
        wait::quietly(&mut self.client, revision, CONFIGURED_WITHIN).await
    }

    /// Time since the doors opened.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether every part still runs.
    ///
    /// # Errors
    /// One ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        std::iter::once(&mut self.control_plane)
            .chain(&mut self.proxies)
            .try_for_each(|role| role.thread.check())
    }

    /// Addresses, and what to try with them.
    pub(super) fn preface(&self) -> String {
        let api = &self.client.address;
        let mut text = String::new();
        let _ = writeln!(text, "{}", styled(BOLD, "evenkeel demo"));
        let _ = writeln!(text, "  management API  {api}");
        let _ = writeln!(text, "  xDS             {}", self.xds);
        for (proxy, door) in self.proxies.iter().zip(&self.doors) {
            let _ = writeln!(
                text,
                "  {:<15} http://{door}  admin http://{}",
                proxy.name, proxy.admin
            );
        }
        let _ = writeln!(text, "  configuration   {}", self.file);
        let _ = writeln!(text, "{}", styled(DIM, "Try, in another terminal:"));
        let cluster = CLUSTERS.first().copied().unwrap_or_default();
        let _ = writeln!(text, "  export EVENKEEL_SERVER={api}");
        let _ = writeln!(text, "  evenkeel status");
        let _ = writeln!(text, "  evenkeel endpoints {cluster}");
        let _ = writeln!(text, "  evenkeel describe route shop");
        let _ = writeln!(text, "  evenkeel diff -f {}", self.file);
        if let Some(door) = self.doors.first() {
            let _ = writeln!(text, "  curl http://{door}/{cluster}/items");
        }
        text
    }

    /// Stops everything: proxies first, so that they end while somebody is
    /// there to listen.
    pub(super) async fn close(self, within: Duration) {
        self.stop.cancel();
        let parts = self.proxies.into_iter().chain([self.control_plane]);
        let ended = futures_util::future::join_all(parts.map(|role| role.thread.ended()));
        // What has not ended by then ends with the process.
        drop(tokio::time::timeout(within, ended).await);
    }
}

/// Addresses of the loopback interface that are free now. All are held until
/// all are known, so that they differ.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let held = (0..count)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    let addresses = held.iter().map(std::net::TcpListener::local_addr);
    Ok(addresses.collect::<Result<_, _>>()?)
}

/// A part of the demo on its thread.
#[derive(Debug)]
pub(super) struct Thread {
    name: String,
    end: oneshot::Receiver<Result<(), Failure>>,
}

impl Thread {
    /// Whether it still runs.
    fn check(&mut self) -> Result<(), Failure> {
        match self.end.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => Ok(()),
            Ok(Err(failure)) => Err(Failure::Failed(format!("{}: {failure}", self.name))),
            Ok(Ok(())) | Err(oneshot::error::TryRecvError::Closed) => {
                Err(Failure::Failed(format!("{} ended", self.name)))
            }
        }
    }

    /// Why it ended before it was ready.
    pub(super) async fn reason(self) -> Failure {
        match self.end.await {
            Ok(Err(failure)) => Failure::Failed(format!("{}: {failure}", self.name)),
            Ok(Ok(())) | Err(_) => Failure::Failed(format!("{} ended at once", self.name)),
        }
    }

    /// Waits for its end.
    async fn ended(self) {
        drop(self.end.await);
    }
}

/// Runs `work` on a thread of its own with a runtime of its own.
pub(super) fn thread<W, F>(name: &str, work: W) -> Result<Thread, Failure>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<(), Failure>>,
{
    let (sender, end) = oneshot::channel();
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start {name}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody listens any more when the demo has been given up.
            drop(sender.send(runtime.block_on(work())));
        })
        .map_err(failed)?;
    Ok(Thread {
        name: name.to_owned(),
        end,
    })
}

/// Waits for Ctrl-C or a request to end.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        drop(tokio::signal::ctrl_c().await);
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
