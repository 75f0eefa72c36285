//! The control plane that is measured.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::clock;
use crate::peer;
use crate::process::Process;
use crate::process::ports::Ports;

/// Time to be ready, and to take the configuration.
const READY: Duration = Duration::from_mins(2);

/// A control plane with its configuration.
#[derive(Debug)]
pub(crate) struct Plane {
    /// Where proxies connect.
    pub(crate) xds: SocketAddr,
    /// Where users do.
    pub(crate) api: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Plane {
    /// Starts `program` by a command that has it as its last word, and applies the
    /// documents.
    ///
    /// # Errors
    /// If it does not start, or refuses that.
    pub(crate) fn start(
        program: &Path,
        mut command: Command,
        documents: &str,
        ports: &mut Ports,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("evenkeel-bench-")
            .tempdir()?;
        let (xds, api) = (ports.take()?, ports.take()?);
        command.arg("control-plane").args([
            format!("--data-dir={}", directory.path().join("data").display()),
            format!("--xds-listen={xds}"),
            format!("--api-listen={api}"),
            "--admin-listen=127.0.0.1:0".to_owned(),
        ]);
        let process = Process::start_quiet("control-plane", command, directory.path())?;
        let configuration = directory.path().join("fleet.yaml");
        std::fs::write(&configuration, documents)?;
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
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}
