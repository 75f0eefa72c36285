//! `docker compose up`, as somebody does who has just found the project.
//!
//! Needs a Docker engine with compose, and the images: either those of
//! the registries, or what `deploy/offline/up.sh --images` makes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_tests::client::Client;
use evenkeel_tests::process::{binary, eventually, text_of};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

/// Patience with containers, which start slowly on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
/// The name of this project, apart from anybody's own.
const PROJECT: &str = "evenkeel-suite";
const PROXIES: [u16; 3] = [28081, 28082, 28083];
const API: u16 = 28001;
const CLIENT: u16 = 28090;
const TRACES: u16 = 28686;
const PROMETHEUS: u16 = 28190;

/// A running project; taken down with its volumes at the end.
struct Project {
    /// Certificates for the host, copied out of the volume.
    pki: tempfile::TempDir,
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn compose(arguments: &[&str]) -> Vec<String> {
    // The second version is a verb of `docker`, the first one a program.
    let second = std::process::Command::new("docker")
        .args(["compose", "version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let start: &[&str] = if second {
        &["docker", "compose"]
    } else {
        &["docker-compose"]
    };
    let project = ["--project-name", PROJECT];
    let words = start.iter().chain(&project).chain(arguments);
    words.map(|word| (*word).to_owned()).collect()
}

/// Runs a program at the root of the repository; its standard output.
async fn run(words: &[String]) -> anyhow::Result<String> {
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .env("EVENKEEL_PROXY_PORTS", "28081-28083")
        .env("EVENKEEL_API_PORT", API.to_string())
        .env("EVENKEEL_CLIENT_PORT", CLIENT.to_string())
        .env("EVENKEEL_TRACES_PORT", TRACES.to_string())
        .env("EVENKEEL_PROMETHEUS_PORT", PROMETHEUS.to_string())
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{words:?}: {}", text_of(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    let words = std::iter::once("docker").chain(arguments.iter().copied());
    run(&words.map(str::to_owned).collect::<Vec<_>>()).await
}

impl Project {
    async fn up() -> anyhow::Result<Self> {
        let project = Self {
            pki: tempfile::tempdir()?,
        };
        run(&compose(&["up", "-d", "--no-build"])).await?;
        let of_container = format!("{}:/etc/evenkeel/pki/.", project.container("pki", 1).await?);
        let here = project.pki.path().display().to_string();
        docker(&["cp", &of_container, &here]).await?;
        Ok(project)
    }

    /// The id of a container; the first one of a service is 1.
    async fn container(&self, service: &str, number: usize) -> anyhow::Result<String> {
        let labels = [
            format!("label=com.docker.compose.project={PROJECT}"),
            format!("label=com.docker.compose.service={service}"),
            format!("label=com.docker.compose.container-number={number}"),
        ];
        let mut words = vec!["ps", "-aq"];
        for label in &labels {
            words.extend(["--filter", label]);
        }
        let id = docker(&words).await?.trim().to_owned();
        anyhow::ensure!(!id.is_empty(), "no container {service} {number}");
        Ok(id)
    }

    async fn kill(&self, service: &str, number: usize) {
        let id = self.container(service, number).await.unwrap();
        docker(&["kill", &id]).await.unwrap();
    }

    async fn start(&self, service: &str, number: usize) {
        let id = self.container(service, number).await.unwrap();
        docker(&["start", &id]).await.unwrap();
    }

    /// Runs the command line of this machine against the container.
    async fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let file = |name: &str| self.pki.path().join(name);
        let output = Command::new(binary()?)
            .args(arguments)
            .env("EVENKEEL_SERVER", format!("https://127.0.0.1:{API}"))
            .env("EVENKEEL_CA", file("ca.crt"))
            .env("EVENKEEL_CERT", file("admin.crt"))
            .env("EVENKEEL_KEY", file("admin.key"))
            .current_dir(root())
            .output()
            .await?;
        anyhow::ensure!(output.status.success(), "{}", text_of(&output));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the customers have sent so many more requests.
    async fn traffic(&self, more: u64) -> anyhow::Result<Value> {
        let before = count(&books().await?["requests"]);
        eventually(PATIENCE, || async {
            let books = books().await?;
            anyhow::ensure!(count(&books["requests"]) >= before + more, "{books}");
            Ok(books)
        })
        .await
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let words = compose(&["down", "--volumes", "--remove-orphans"]);
        let ended = std::process::Command::new(&words[0])
            .args(&words[1..])
            .current_dir(root())
            .output();
        drop(ended);
    }
}

async fn json(port: u16, path: &str) -> anyhow::Result<Value> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = Client::new(address, "localhost").get(path).await?;
    anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn books() -> anyhow::Result<Value> {
    json(CLIENT, "/stats").await
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// What the customers have lost so far.
fn lost(books: &Value) -> u64 {
    count(&books["lost"]["all"])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn compose_up_serves_is_observed_takes_changes_and_survives_kills() {
    let began = Instant::now();
    let project = Project::up().await.unwrap();
    let first = eventually(PATIENCE, || json(PROXIES[0], "/catalogue/items"));
    first.await.unwrap();
    println!("first request after {:?}", began.elapsed());
    for port in PROXIES {
        let asked = eventually(PATIENCE, || json(port, "/cart/items")).await;
        assert!(
            asked.unwrap()["name"]
                .as_str()
                .unwrap()
                .starts_with("cart-")
        );
    }
    observed().await;
    pushed(&project).await;
    let calm = project.traffic(600).await.unwrap();
    assert_eq!(lost(&calm), 0, "{calm}");
    killed(&project, &calm).await;
}

/// Traces and metrics have what the proxies say.
async fn observed() {
    let found = eventually(PATIENCE, || async {
        let found = json(TRACES, "/api/traces?service=evenkeel-proxy&limit=5").await?;
        let traces = found["data"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(traces > 0, "no trace");
        Ok(found)
    });
    let found = found.await.unwrap();
    assert!(!found["data"][0]["spans"].as_array().unwrap().is_empty());
    let metrics = eventually(PATIENCE, || async {
        let query = "/api/v1/query?query=count(evenkeel_requests_total%3E0)";
        let found = json(PROMETHEUS, query).await?;
        let value = found["data"]["result"][0]["value"][1].as_str();
        anyhow::ensure!(value.is_some(), "{found}");
        let up = json(PROMETHEUS, "/api/v1/query?query=sum(up)").await?;
        let up = up["data"]["result"][0]["value"][1]
            .as_str()
            .map(str::to_owned);
        anyhow::ensure!(up.as_deref() == Some("4"), "up: {up:?}");
        Ok(())
    });
    metrics.await.unwrap();
}

/// The command line of the host changes what all proxies do.
async fn pushed(project: &Project) {
    let shop = std::fs::read_to_string(root().join("deploy/compose/shop.yaml")).unwrap();
    let shop = shop.replace("/catalogue}", "/katalog}");
    let file = project.pki.path().join("katalog.yaml");
    std::fs::write(&file, &shop).unwrap();
    let file = file.display().to_string();
    project
        .cli(&["apply", "-f", &file, "--wait"])
        .await
        .unwrap();
    for port in PROXIES {
        json(port, "/katalog/items").await.unwrap();
    }
    project
        .cli(&["rollback", "--to", "1", "--wait"])
        .await
        .unwrap();
    let restarted = project.container("client", 1).await.unwrap();
    // What was lost while the path was away is not what this is about.
    docker(&["restart", &restarted]).await.unwrap();
    eventually(PATIENCE, books).await.unwrap();
}

/// Kills one part after the other, and reads in the books what it costs.
async fn killed(project: &Project, calm: &Value) {
    let before = lost(calm);
    project.kill("catalogue-1", 1).await;
    let after = project.traffic(600).await.unwrap();
    println!("a killed instance cost {}", lost(&after) - before);
    assert_eq!(lost(&after), before, "{after}");
    project.start("catalogue-1", 1).await;

    project.kill("control-plane", 1).await;
    let away = project.traffic(600).await.unwrap();
    println!("a killed control plane cost {}", lost(&away) - lost(&after));
    assert_eq!(lost(&away), lost(&after), "{away}");
    project.start("control-plane", 1).await;

    // What was under way in the proxy is lost, and nothing else: each of its
    // customers has one request at most.
    project.kill("proxy", 1).await;
    let gone = project.traffic(600).await.unwrap();
    let cost = lost(&gone) - lost(&away);
    println!("a killed proxy cost {cost}: {gone}");
    assert!(cost <= 20, "{gone}");
    assert_eq!(count(&gone["lost"]["unreachable"]), 0, "{gone}");
    project.start("proxy", 1).await;

    let connected = eventually(PATIENCE, || async {
        let status = project.cli(&["status", "-o", "json"]).await?;
        let connected = status.matches("\"connected\": true").count();
        anyhow::ensure!(connected == PROXIES.len(), "{status}");
        Ok(())
    });
    connected.await.unwrap();
    let end = project.traffic(300).await.unwrap();
    println!("{end}");
}
