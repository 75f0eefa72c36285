//! The real binary in real processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::Instant;

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
    process: Option<Process>,
}

impl ControlPlane {
    /// Starts one that keeps everything below `directory`.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        let mut control_plane = Self {
            xds: free_address()?,
            api: free_address()?,
            admin: free_address()?,
            directory: directory.to_owned(),
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
        let arguments = [
            "control-plane".to_owned(),
            format!("--data-dir={}", self.directory.join("data").display()),
            format!("--xds-listen={}", self.xds),
            format!("--api-listen={}", self.api),
            format!("--admin-listen={}", self.admin),
        ];
        let log = self.directory.join("control-plane.log");
        self.process = Some(Process::start(&arguments, &[], &log)?);
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
        run_cli(self.api, arguments, input).await
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
    use tokio::io::AsyncWriteExt;
    let mut child = tokio::process::Command::new(binary()?)
        .args(arguments)
        .env("EVENKEEL_SERVER", format!("http://{api}"))
        .env("NO_COLOR", "1")
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

/// A proxy with a state directory that outlives its processes.
#[derive(Debug)]
pub struct Proxy {
    /// Its node id.
    pub id: String,
    /// Its admin port.
    pub admin: SocketAddr,
    /// Where the test's listener for it is, by agreement with the
    /// configuration.
    pub listener: SocketAddr,
    control_plane: SocketAddr,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Proxy {
    /// Starts one; it need not be ready yet, since it may have no configuration.
    ///
    /// # Errors
    /// If its admin port does not answer in time.
    pub async fn start(
        id: &str,
        control_plane: SocketAddr,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        Self::start_with(id, control_plane, directory, &[]).await
    }

    /// The same with some environment.
    ///
    /// # Errors
    /// If its admin port does not answer in time.
    pub async fn start_with(
        id: &str,
        control_plane: SocketAddr,
        directory: &Path,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut proxy = Self {
            id: id.to_owned(),
            admin: free_address()?,
            listener: free_address()?,
            control_plane,
            directory: directory.to_owned(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            process: None,
        };
        proxy.restart().await?;
        Ok(proxy)
    }

    /// Starts it again with the same id, ports and state.
    ///
    /// # Errors
    /// If its admin port does not answer in time.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let log = self.spawn()?;
        ready(self.admin, "/livez", &log).await
    }

    /// Starts the process and waits for nothing; tells where its log is.
    ///
    /// # Errors
    /// If the binary cannot be run.
    pub fn spawn(&mut self) -> anyhow::Result<PathBuf> {
        let state = self.directory.join(format!("state-{}", self.id));
        let arguments = [
            "proxy".to_owned(),
            format!("--node-id={}", self.id),
            format!("--control-plane=http://{}", self.control_plane),
            format!("--admin-listen={}", self.admin),
            format!("--state-dir={}", state.display()),
        ];
        let log = self.directory.join(format!("{}.log", self.id));
        self.process = Some(Process::start(&arguments, &self.environment, &log)?);
        Ok(log)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// Waits until it exits by itself.
    ///
    /// # Errors
    /// If it does not within `patience`.
    pub async fn exited(&mut self, patience: Duration) -> anyhow::Result<std::process::ExitStatus> {
        let process = self.process.as_mut().context("it is not running")?;
        let began = Instant::now();
        loop {
            if let Some(status) = process.child.try_wait()? {
                return Ok(status);
            }
            ensure!(began.elapsed() < patience, "still running");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One page of its admin port.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn admin(&self, path: &str) -> anyhow::Result<crate::client::Answer> {
        crate::client::Client::new(self.admin, "admin")
            .get(path)
            .await
    }
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
