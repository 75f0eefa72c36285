//! The real binary in real processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::Instant;

mod proxy;

pub use proxy::Proxy;

/// Every process is up within this time.
const START: Duration = Duration::from_secs(20);

/// The binary that this build made.
///
/// # Errors
/// If it is not there: it is built with the workspace's tests.
pub fn binary() -> anyhow::Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let profile = tests
        .parent()
        .and_then(Path::parent)
        .context("a test binary lies two levels below its profile")?;
    let binary = profile.join("evenkeel");
    ensure!(
        binary.exists(),
        "{} is missing: run `cargo test --workspace`, or `cargo build` first",
        binary.display()
    );
    Ok(binary)
}

/// Below the range from which the system takes ports for outgoing connections,
/// so that none of them can take a port between its choice and its use.
const PORTS: std::ops::Range<u32> = 10_240..32_000;

/// Counts the ports that this process was given.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// A free port of 127.0.0.1, another one at each call. Listeners of the proxies
/// are named in the configuration, so their ports cannot be 0.
///
/// # Errors
/// If there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let size = PORTS.end - PORTS.start;
    // Two processes begin far apart.
    let start = std::process::id().wrapping_mul(7_919);
    for _ in 0..size {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + start.wrapping_add(step) % size;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

/// A process that is killed when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
}

impl Process {
    fn start(
        arguments: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?;
        let child = Command::new(binary()?)
            .args(arguments)
            .env("RUST_LOG", "info")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A control plane with a data directory that outlives its processes.
#[derive(Debug)]
pub struct ControlPlane {
    /// Configuration streams.
    pub xds: SocketAddr,
    /// Management API.
    pub api: SocketAddr,
    /// Admin port.
    pub admin: SocketAddr,
    directory: PathBuf,
    flags: Vec<String>,
    /// Environment of its process.
    pub environment: Vec<(String, String)>,
    /// Environment of the client verbs that are run against it.
    pub client: Vec<(String, String)>,
    process: Option<Process>,
}

impl ControlPlane {
    /// Starts one that keeps everything below `directory`.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        Self::start_with(directory, &[], &[]).await
    }

    /// The same with more flags, and with some environment for the client verbs
    /// that are run against it.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn start_with(
        directory: &Path,
        flags: &[String],
        client: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut control_plane = Self {
            xds: free_address()?,
            api: free_address()?,
            admin: free_address()?,
            directory: directory.to_owned(),
            flags: flags.to_vec(),
            environment: Vec::new(),
            client: pairs(client),
            process: None,
        };
        control_plane.restart().await?;
        Ok(control_plane)
    }

    /// Starts it again on the same ports and directory.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let mut arguments = vec![
            "control-plane".to_owned(),
            format!("--data-dir={}", self.directory.join("data").display()),
            format!("--xds-listen={}", self.xds),
            format!("--api-listen={}", self.api),
            format!("--admin-listen={}", self.admin),
        ];
        arguments.extend(self.flags.iter().cloned());
        let log = self.directory.join("control-plane.log");
        self.process = Some(Process::start(&arguments, &self.environment, &log)?);
        ready(self.admin, "/readyz", &log).await
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Runs a client verb against it.
    ///
    /// # Errors
    /// If the binary cannot be run.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.cli_with_input(arguments, "").await
    }

    /// Runs a client verb against it with text on standard input.
    ///
    /// # Errors
    /// If the binary cannot be run.
    pub async fn cli_with_input(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        run_cli_with(self.api, arguments, input, &self.client).await
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// Applies documents and expects it to succeed.
    ///
    /// # Errors
    /// With everything the command printed, if it fails.
    pub async fn apply(&self, yaml: &str, flags: &[&str]) -> anyhow::Result<String> {
        let arguments: Vec<&str> = ["apply", "-f", "-"]
            .into_iter()
            .chain(flags.iter().copied())
            .collect();
        let output = self.cli_with_input(&arguments, yaml).await?;
        let text = text_of(&output);
        ensure!(output.status.success(), "apply failed: {text}");
        Ok(text)
    }
}

/// Everything a command printed.
pub fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a client verb against a management API.
///
/// # Errors
/// If the binary cannot be run.
pub async fn run_cli(api: SocketAddr, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    run_cli_with(api, arguments, input, &[]).await
}

/// The same with some environment.
///
/// # Errors
/// If the binary cannot be run.
pub async fn run_cli_with(
    api: SocketAddr,
    arguments: &[&str],
    input: &str,
    environment: &[(String, String)],
) -> anyhow::Result<Output> {
    use tokio::io::AsyncWriteExt;
    let mut child = tokio::process::Command::new(binary()?)
        .args(arguments)
        .env("EVENKEEL_SERVER", format!("http://{api}"))
        .env("NO_COLOR", "1")
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin was piped")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    Ok(child.wait_with_output().await?)
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    of.iter().map(owned).collect()
}

/// Waits until a page answers 200.
async fn ready(address: SocketAddr, path: &str, log: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let answer = crate::client::Client::new(address, "admin").get(path).await;
        match answer {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            _ if began.elapsed() < START => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            last => bail!(
                "{address}{path} was not ready in time ({last:?}); its log:\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            ),
        }
    }
}

/// Waits until `check` gives a value, asking it again and again.
///
/// # Errors
/// With the last error, if it gives none within `patience`.
pub async fn eventually<T, F, C>(patience: Duration, mut check: C) -> anyhow::Result<T>
where
    C: FnMut() -> F,
    F: Future<Output = anyhow::Result<T>>,
{
    let began = Instant::now();
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() >= patience => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
