//! The control plane that is measured.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::configuration::{Sizes, documents};
use crate::clock;
use crate::peer;
use crate::process::ports::Ports;
use crate::process::{Placement, Process};

/// Time to be ready, and to take the configuration.
const READY: Duration = Duration::from_mins(1);

/// A control plane with its configuration.
#[derive(Debug)]
pub(super) struct Plane {
    /// Where proxies connect.
    pub(super) xds: SocketAddr,
    /// Where users do.
    pub(super) api: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Plane {
    /// Starts it, and applies the configuration.
    ///
    /// # Errors
    /// If it does not start, or refuses that.
    pub(super) fn start(
        program: &Path,
        placement: Placement,
        sizes: Sizes,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("evenkeel-bench-")
            .tempdir()?;
        let mut ports = Ports::default();
        let (xds, api) = (ports.take()?, ports.take()?);
        let mut command = placement.command(program);
        command.arg("control-plane").args([
            format!("--data-dir={}", directory.path().join("data").display()),
            format!("--xds-listen={xds}"),
            format!("--api-listen={api}"),
            "--admin-listen=127.0.0.1:0".to_owned(),
        ]);
        let process = Process::start_quiet("control-plane", command, directory.path())?;
        let configuration = directory.path().join("fleet.yaml");
        std::fs::write(&configuration, documents(sizes))?;
        clock::eventually("apply", READY, || {
            peer::apply(program, api, &configuration, directory.path())
        })?;
        Ok(Self {
            xds,
            api,
            process,
            _directory: directory,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}
