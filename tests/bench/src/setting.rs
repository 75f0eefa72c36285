//! What every measurement needs: a backend, certificates, ports and a directory
//! that is gone afterwards.

use tempfile::TempDir;

use crate::backend::Backend;
use crate::certificates::Certificates;
use crate::peer::{Peer, Programs, Running, Stage, Tool};
use crate::process::Placements;
use crate::process::ports::Ports;

/// A place to measure in.
#[derive(Debug)]
pub(crate) struct Setting {
    /// For everything that is written on the way.
    pub(crate) directory: TempDir,
    /// What the proxies forward to.
    pub(crate) backend: Backend,
    /// What they show over TLS.
    pub(crate) certificates: Certificates,
    /// Where the programs are.
    pub(crate) programs: Programs,
    /// Where processes run.
    pub(crate) placements: Placements,
    ports: Ports,
}

impl Setting {
    /// Starts the backend.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn new(programs: &Programs, placements: Placements) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("evenkeel-bench-")
            .tempdir()?;
        Ok(Self {
            backend: Backend::start(placements.harness, directory.path())?,
            certificates: Certificates::make(directory.path())?,
            directory,
            programs: programs.clone(),
            placements,
            ports: Ports::default(),
        })
    }

    /// Starts a proxy, and waits until it serves.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(&mut self, peer: Peer, tool: Tool) -> anyhow::Result<Running> {
        let stage = Stage {
            directory: self.directory.path(),
            backend: &self.backend.addresses,
            certificates: &self.certificates,
            programs: &self.programs,
            tool,
            placements: self.placements,
        };
        Running::start(peer, &stage, &mut self.ports)
    }
}
