//! The shop: its instances with their ports, its configuration, and the
//! directory where the demo keeps its files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, Manner, free_port};
use crate::failure::Failure;

/// The configuration, with addresses that are replaced.
const CONFIGURATION: &str = include_str!("shop.yaml");

/// How often a port is tried again when an instance comes back, and how long
/// each time waits.
const BIND_AGAIN: (u32, Duration) = (20, Duration::from_millis(100));

/// The instances: cluster, name, address in the file, delay in milliseconds,
/// share of failures in percent.
const INSTANCES: [(&str, &str, &str, u64, u64); 7] = [
    ("catalogue", "catalogue-1", "127.0.0.1:10011", 0, 0),
    ("catalogue", "catalogue-2", "127.0.0.1:10012", 0, 0),
    ("catalogue", "catalogue-3", "127.0.0.1:10013", 150, 0),
    ("cart", "cart-1", "127.0.0.1:10021", 0, 0),
    ("cart", "cart-2", "127.0.0.1:10022", 0, 10),
    ("checkout", "checkout-1", "127.0.0.1:10031", 0, 0),
    ("checkout", "checkout-2", "127.0.0.1:10032", 0, 0),
];

/// The proxies: id and address in the file.
pub(super) const PROXIES: [(&str, &str); 3] = [
    ("demo-proxy-1", "127.0.0.1:10001"),
    ("demo-proxy-2", "127.0.0.1:10002"),
    ("demo-proxy-3", "127.0.0.1:10003"),
];

/// The clusters, in the order in which they are shown.
pub(super) const CLUSTERS: [&str; 3] = ["catalogue", "cart", "checkout"];

/// The instance that crashes.
pub(super) const VICTIM: &str = "catalogue-1";

/// The directory of the demo.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    // Removes the directory at the end.
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// A directory of its own, or the one that is given.
    pub(super) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = given {
            std::fs::create_dir_all(path).map_err(|error| {
                Failure::Failed(format!("cannot make {}: {error}", path.display()))
            })?;
            return Ok(Self {
                path: path.to_owned(),
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("evenkeel-demo-")
            .tempdir()
            .map_err(|error| Failure::Failed(format!("cannot make a directory: {error}")))?;
        Ok(Self {
            path: temporary.path().to_owned(),
            _temporary: Some(temporary),
        })
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// An instance, as the rest of the demo knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    /// Its cluster.
    pub(super) cluster: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Its address.
    pub(super) address: SocketAddr,
    /// What is special about it.
    pub(super) note: String,
}

/// What can happen to an instance.
#[derive(Debug)]
enum Fate {
    /// Its port and connections close.
    Crash,
    /// It listens again; answers whether it could.
    Return(oneshot::Sender<std::io::Result<()>>),
}

/// The running shop.
#[derive(Debug)]
pub(super) struct Shop {
    /// Its instances.
    pub(super) instances: Vec<Instance>,
    victim: mpsc::Sender<Fate>,
}

impl Shop {
    /// Opens all ports and serves them on a thread of its own, until `stop`.
    pub(super) fn open(stop: &CancellationToken) -> Result<Self, Failure> {
        let mut instances = Vec::new();
        let mut parts = Vec::new();
        for (cluster, name, _, slow, fail_percent) in INSTANCES {
            let listener = free_port()?;
            let address = listener.local_addr()?;
            let note = match (slow, fail_percent) {
                (0, 0) => String::new(),
                (0, percent) => format!("fails {percent} %"),
                (slow, _) => format!("slow, {slow} ms"),
            };
            instances.push(Instance {
                cluster,
                name,
                address,
                note,
            });
            let manner = Manner {
                name: name.to_owned(),
                slow: Duration::from_millis(slow),
                fail_percent,
            };
            parts.push((listener, manner));
        }
        // One fate is decided at a time; the script waits for each.
        let (victim, fates) = mpsc::channel(1);
        let stop = stop.clone();
        super::stage::thread("shop", move || serve(parts, fates, stop))?;
        Ok(Self { instances, victim })
    }

    /// Closes the victim's port and connections.
    pub(super) async fn crash(&self) -> Result<(), Failure> {
        self.victim.send(Fate::Crash).await.map_err(|_| gone())
    }

    /// Lets the victim listen again on its port.
    pub(super) async fn restore(&self) -> Result<(), Failure> {
        let (sender, answer) = oneshot::channel();
        self.victim
            .send(Fate::Return(sender))
            .await
            .map_err(|_| gone())?;
        answer
            .await
            .map_err(|_| gone())?
            .map_err(|error| Failure::Failed(format!("{VICTIM} cannot listen again: {error}")))
    }

    /// The configuration with the shop's addresses, and those of the proxies.
    pub(super) fn configuration(&self, proxies: &[SocketAddr]) -> String {
        let mut text = CONFIGURATION.to_owned();
        for ((_, _, written, ..), instance) in INSTANCES.iter().zip(&self.instances) {
            text = text.replace(written, &instance.address.to_string());
        }
        for ((_, written), address) in PROXIES.iter().zip(proxies) {
            text = text.replace(written, &address.to_string());
        }
        text
    }
}

fn gone() -> Failure {
    Failure::Failed("the shop has stopped".to_owned())
}

async fn serve(
    parts: Vec<(std::net::TcpListener, Manner)>,
    mut fates: mpsc::Receiver<Fate>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let local = LocalSet::new();
    let mut victim = None;
    for (listener, manner) in parts {
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let is_victim = manner.name == VICTIM;
        let instance = Backend::new(manner);
        let serving = instance.clone();
        let task = local.spawn_local(async move { serving.serve(listener).await });
        if is_victim {
            victim = Some((instance, address, task));
        }
    }
    let Some((instance, address, mut task)) = victim else {
        return Err(Failure::Failed(format!("{VICTIM} is not in the shop")));
    };
    local
        .run_until(async {
            loop {
                let fate = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    fate = fates.recv() => fate,
                };
                match fate {
                    None => return Ok(()),
                    Some(Fate::Crash) => task.abort(),
                    Some(Fate::Return(answer)) => {
                        let bound = bind(address).await;
                        let outcome = bound.map(|listener| {
                            let serving = instance.clone();
                            task = tokio::task::spawn_local(async move {
                                serving.serve(listener).await;
                            });
                        });
                        // Nobody waits any more when the demo ends.
                        drop(answer.send(outcome));
                    }
                }
            }
        })
        .await
}

/// Takes the port again; the kernel may need a moment to let it go.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let (tries, wait) = BIND_AGAIN;
    for _ in 1..tries {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
        tokio::time::sleep(wait).await;
    }
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::document;

    use super::super::traffic::{Line, Traffic};
    use super::*;

    #[test]
    fn the_configuration_reads_well_and_takes_real_addresses() {
        let ports = |from: u16| {
            move |index: usize| {
                SocketAddr::from(([127, 0, 0, 1], from + u16::try_from(index).unwrap()))
            }
        };
        let instances: Vec<Instance> = INSTANCES
            .iter()
            .enumerate()
            .map(|(index, (cluster, name, ..))| Instance {
                cluster,
                name,
                address: ports(40_000)(index),
                note: String::new(),
            })
            .collect();
        let (victim, _fates) = mpsc::channel(1);
        let shop = Shop { instances, victim };
        let proxies: Vec<SocketAddr> = (0..3).map(ports(50_000)).collect();
        let text = shop.configuration(&proxies);
        assert!(
            !text.contains("127.0.0.1:100"),
            "an address was not replaced"
        );
        let documents = document::read("shop.yaml", &text).unwrap();
        assert_eq!(documents.len(), 11);
    }

    #[test]
    fn the_configuration_means_something() {
        let documents = document::read("shop.yaml", CONFIGURATION).unwrap();
        let state = documents.into_iter().map(|document| {
            let key = evenkeel_control_plane::store::ResourceKey::of(&document.resource);
            (key, document.resource)
        });
        let faults = evenkeel_control_plane::model::check(&state.collect());
        assert_eq!(faults.err(), None);
    }

    /// The status that the victim answers with, if it does.
    async fn asked(line: &mut Line) -> Option<u16> {
        let answer = line.send(&http::Method::GET, "/items", "id").await;
        answer.ok().map(|(status, _)| status.as_u16())
    }

    #[tokio::test]
    async fn a_crash_cuts_connections_and_the_return_is_on_the_same_port() {
        let ending = CancellationToken::new();
        let shop = Shop::open(&ending).unwrap();
        let victim = shop.instances.iter().find(|one| one.name == VICTIM);
        let mut line = Line::new(victim.unwrap().address);
        assert_eq!(asked(&mut line).await, Some(200));
        shop.crash().await.unwrap();
        let gone = async { while asked(&mut line).await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(10), gone)
            .await
            .unwrap();
        shop.restore().await.unwrap();
        assert_eq!(asked(&mut line).await, Some(200));
        ending.cancel();
    }

    #[tokio::test]
    async fn customers_are_served_and_orders_are_executed_once() {
        let ending = CancellationToken::new();
        let shop = Shop::open(&ending).unwrap();
        let till = shop.instances.iter().find(|one| one.cluster == "checkout");
        let till = till.unwrap().address;
        let traffic = Traffic::start(&[till], vec![till]);
        let enough = async {
            while traffic.totals().orders < 5 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), enough)
            .await
            .unwrap();
        traffic.finish().await;
        let totals = traffic.totals();
        assert_eq!(totals.requests, totals.answered);
        assert_eq!(totals.errors, 0);
        let mut line = Line::new(till);
        let stats = line.send(&http::Method::GET, "/stats", "id").await.unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&stats.1).unwrap();
        assert_eq!(stats["executed"], totals.orders);
        assert_eq!(stats["executedTwice"], 0);
        ending.cancel();
    }

    #[test]
    fn a_temporary_place_is_removed() {
        let place = Place::new(None).unwrap();
        let path = place.path.clone();
        assert!(path.is_dir());
        drop(place);
        assert!(!path.exists());
    }
}
