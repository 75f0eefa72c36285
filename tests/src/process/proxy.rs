//! Proxies as processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

use super::{Process, free_address, pairs, ready};

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
    control_plane: String,
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
        let url = format!("http://{control_plane}");
        Self::start_at(id, &url, directory, environment).await
    }

    /// The same with the address of the control plane in full.
    ///
    /// # Errors
    /// If its admin port does not answer in time.
    pub async fn start_at(
        id: &str,
        control_plane: &str,
        directory: &Path,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut proxy = Self {
            id: id.to_owned(),
            admin: free_address()?,
            listener: free_address()?,
            control_plane: control_plane.to_owned(),
            directory: directory.to_owned(),
            environment: pairs(environment),
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
            format!("--control-plane={}", self.control_plane),
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
