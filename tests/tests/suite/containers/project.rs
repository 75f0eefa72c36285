//! A running project of compose, and what can be done to its containers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use evenkeel_tests::client::Client;
use evenkeel_tests::process::{binary, eventually, text_of};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use super::engine::{compose, docker, inspect, root, run};

/// Patience with containers, which start slowly on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);
/// The name of this project, apart from anybody's own.
pub(super) const PROJECT: &str = "evenkeel-suite";
/// As many as the compose file has.
pub(super) const PROXIES: usize = 3;
pub(super) const TRACES: u16 = 28686;
pub(super) const PROMETHEUS: u16 = 28190;
/// A network that compose does not know.
pub(super) const FAR: &str = "far";
const API: u16 = 28001;
const CUSTOMERS: u16 = 28090;
/// Room for two proxies more.
const PROXY_PORTS: &str = "28081-28085";

/// There is one project at a time, because it has fixed ports.
static ONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// A running project; taken down with its volumes at the end.
pub(super) struct Project {
    /// Certificates for the host, copied out of the volume.
    pub(super) pki: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) service: String,
}

impl Container {
    /// A verb of `docker` for it, such as `kill`.
    pub(super) async fn order(&self, verb: &str) -> anyhow::Result<()> {
        if verb == "pause" {
            // On a busy machine runc gives up to freeze what it may freeze later.
            eventually(PATIENCE, || async { docker(&[verb, &self.id]).await }).await?;
        } else {
            docker(&[verb, &self.id]).await?;
        }
        Ok(())
    }

    /// The port of the host that leads to the proxy.
    pub(super) async fn port(&self) -> anyhow::Result<u16> {
        let port = docker(&["port", &self.id, "8080/tcp"]).await?;
        let address: SocketAddr = port.lines().next().unwrap_or_default().parse()?;
        Ok(address.port())
    }

    /// Its address in a network of the project.
    pub(super) async fn address(&self, network: &str) -> anyhow::Result<String> {
        let network = self::network(network);
        let field = format!("(index .NetworkSettings.Networks \"{network}\").IPAddress");
        inspect(&self.id, &field).await
    }

    /// Stops it as an operator does, and takes it and its own volumes away.
    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        self.order("stop").await?;
        docker(&["rm", "--volumes", &self.id]).await?;
        Ok(())
    }
}

impl Project {
    /// Starts everything and waits for those who are waited for.
    pub(super) async fn up() -> anyhow::Result<Self> {
        let alone = ONE.lock().await;
        take_down();
        let project = Self {
            pki: tempfile::tempdir()?,
            _alone: alone,
        };
        project.compose(&["up", "-d", "--no-build"]).await?;
        let pki = project.only("pki").await?;
        let here = project.pki.path().display().to_string();
        docker(&["cp", &format!("{}:/etc/evenkeel/pki/.", pki.id), &here]).await?;
        Ok(project)
    }

    /// Runs a verb of compose.
    pub(super) async fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let words = [&compose()[..], &["--project-name", PROJECT], arguments].concat();
        run(&words, &environment()).await
    }

    /// Starts what is missing of a service, and only that.
    pub(super) async fn fill(&self, service: &str, count: usize) -> anyhow::Result<()> {
        let scale = format!("{service}={count}");
        let flags = ["up", "-d", "--no-build", "--no-deps", "--no-recreate"];
        self.compose(&[&flags[..], &["--scale", &scale, service]].concat())
            .await?;
        Ok(())
    }

    /// The containers of a service that there are, or of all.
    pub(super) async fn containers(&self, service: &str) -> anyhow::Result<Vec<Container>> {
        let project = format!("label=com.docker.compose.project={PROJECT}");
        let format = "{{.ID}} {{.Label \"com.docker.compose.service\"}}";
        let words = ["ps", "--all", "--no-trunc", "--filter", &project];
        let all = docker(&[&words[..], &["--format", format]].concat()).await?;
        let all = all.lines().filter_map(|line| line.split_once(' '));
        let all = all.map(|(id, service)| Container {
            id: id.to_owned(),
            service: service.to_owned(),
        });
        Ok(all
            .filter(|one| service.is_empty() || one.service == service)
            .collect())
    }

    /// The container of a service that has one.
    pub(super) async fn only(&self, service: &str) -> anyhow::Result<Container> {
        let mut found = self.containers(service).await?;
        anyhow::ensure!(found.len() == 1, "{service}: {found:?}");
        Ok(found.remove(0))
    }

    /// The proxies, each with its port of the host.
    pub(super) async fn proxies(&self) -> anyhow::Result<Vec<(Container, u16)>> {
        let mut proxies = Vec::new();
        for container in self.containers("proxy").await? {
            let port = container.port().await?;
            proxies.push((container, port));
        }
        proxies.sort_by_key(|(_, port)| *port);
        Ok(proxies)
    }

    /// Runs the command line of this machine against the container.
    pub(super) async fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let file = |name: &str| self.pki.path().join(name);
        let output = Command::new(binary()?)
            .args(arguments)
            .env("EVENKEEL_SERVER", format!("https://127.0.0.1:{API}"))
            .env("EVENKEEL_CA", file("ca.crt"))
            .env("EVENKEEL_CERT", file("admin.crt"))
            .env("EVENKEEL_KEY", file("admin.key"))
            .current_dir(root())
            .kill_on_drop(true)
            .output()
            .await?;
        anyhow::ensure!(output.status.success(), "{}", text_of(&output));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Pushes a configuration, and waits until all proxies have it.
    pub(super) async fn push(&self, yaml: &str) -> anyhow::Result<()> {
        let file = self.pki.path().join("pushed.yaml");
        std::fs::write(&file, yaml)?;
        let file = file.display().to_string();
        self.cli(&["apply", "-f", &file, "--wait"]).await?;
        Ok(())
    }

    /// Waits until so many proxies are connected, have what is in force, and are
    /// ready, and no others are connected.
    pub(super) async fn synced(&self, count: usize) -> anyhow::Result<()> {
        eventually(PATIENCE, || async {
            let status = self.cli(&["status", "-o", "json"]).await?;
            let status: Value = serde_json::from_str(&status)?;
            let proxies = status["proxies"].as_array().cloned().unwrap_or_default();
            let connected = proxies.iter().filter(|one| one["connected"] == true);
            let connected: Vec<_> = connected.collect();
            let is_good = |one: &&Value| one["lag"] == "0" && one["report"]["ready"] == true;
            let good = connected.iter().filter(|one| is_good(one)).count();
            anyhow::ensure!(good == count && connected.len() == count, "{status}");
            Ok(())
        })
        .await
    }

    /// Waits until all proxies use all instances of a service, and no others.
    pub(super) async fn used(&self, cluster: &str) -> anyhow::Result<()> {
        let mut wanted = BTreeSet::new();
        for container in self.containers("").await? {
            if container.service.starts_with(&format!("{cluster}-")) {
                wanted.insert(format!("{}:8080", container.address("shop").await?));
            }
        }
        eventually(PATIENCE, || async {
            let said = self.cli(&["endpoints", cluster, "-o", "json"]).await?;
            let said: Value = serde_json::from_str(&said)?;
            let mut proxies = 0;
            for proxy in said["proxies"].as_array().into_iter().flatten() {
                let endpoints = proxy["endpoints"].as_array().into_iter().flatten();
                let healthy = endpoints.filter(|one| one["healthy"] == true);
                let used: BTreeSet<_> = healthy
                    .filter_map(|one| one["address"].as_str().map(str::to_owned))
                    .collect();
                anyhow::ensure!(used == wanted, "{used:?} are used of {wanted:?}");
                proxies += 1;
            }
            anyhow::ensure!(proxies >= PROXIES, "{proxies} proxies: {said}");
            Ok(())
        })
        .await
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        take_down();
    }
}

/// The full name of a network of the project.
pub(super) fn network(name: &str) -> String {
    format!("{PROJECT}_{name}")
}

/// Ends the project, whatever there is of it.
fn take_down() {
    let words = [&compose()[..], &["--project-name", PROJECT]].concat();
    let ended = std::process::Command::new(words[0])
        .args(&words[1..])
        .args(["down", "--volumes", "--remove-orphans"])
        .current_dir(root())
        .envs(environment())
        .output();
    // What is left over then fails the next start.
    drop(ended);
    let far = std::process::Command::new("docker")
        .args(["network", "rm", &network(FAR)])
        .output();
    drop(far);
}

/// The ports of this project, apart from anybody's own.
fn environment() -> Vec<(&'static str, String)> {
    vec![
        ("EVENKEEL_PROXY_PORTS", PROXY_PORTS.to_owned()),
        ("EVENKEEL_API_PORT", API.to_string()),
        ("EVENKEEL_CLIENT_PORT", CUSTOMERS.to_string()),
        ("EVENKEEL_TRACES_PORT", TRACES.to_string()),
        ("EVENKEEL_PROMETHEUS_PORT", PROMETHEUS.to_string()),
    ]
}

/// A page of a published port, as JSON.
pub(super) async fn json(port: u16, path: &str) -> anyhow::Result<Value> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = Client::new(address, "localhost").get(path).await?;
    anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(serde_json::from_slice(&answer.body)?)
}

/// The books of the customers that are a container themselves.
#[derive(Debug, Clone)]
pub(super) struct Books(Value);

impl Books {
    /// As they are now.
    pub(super) async fn read() -> anyhow::Result<Self> {
        Ok(Self(json(CUSTOMERS, "/stats").await?))
    }

    /// As they are when so many more requests have ended.
    pub(super) async fn after(more: u64) -> anyhow::Result<Self> {
        let ended = |books: &Self| books.count("/requests") - books.count("/underWay");
        let before = ended(&eventually(PATIENCE, Self::read).await?);
        eventually(PATIENCE, || async {
            let books = Self::read().await?;
            anyhow::ensure!(ended(&books) >= before + more, "{books:?}");
            Ok(books)
        })
        .await
    }

    /// A figure.
    pub(super) fn count(&self, pointer: &str) -> u64 {
        let found = self.0.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_default()
    }

    /// Requests that were lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.count("/lost/all")
    }
}
