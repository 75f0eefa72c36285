//! The server behind the proxies: it spends as little as possible, so that the
//! proxies are what is measured. It runs as a process of its own, bound to the
//! processor of the load generator.
//!
//! | path | answer |
//! | --- | --- |
//! | `/128`, `/16384`, `/1048576` | so many bytes with `content-length` |
//! | `/chunked` | 16 KiB in four chunks |
//! | anything over HTTP/2 | a gRPC message of 16 bytes, status 0 |

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::process::{Placement, Process};

mod answers;
mod http1;
mod http2;

/// Where it listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// HTTP/1.1, the two endpoints of the usual cluster.
    pub(crate) usual: Vec<SocketAddr>,
    /// HTTP/1.1, many endpoints.
    pub(crate) many: Vec<SocketAddr>,
    /// HTTP/2 with prior knowledge.
    pub(crate) http2: SocketAddr,
}

/// Arguments of the process.
#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    /// Endpoints of the large cluster.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) many: u16,
}

/// A running one; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Where it listens.
    pub(crate) addresses: Addresses,
    _process: Process,
}

impl Backend {
    /// Starts the process and waits for its addresses.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(placement: Placement, directory: &std::path::Path) -> anyhow::Result<Self> {
        let mut command = placement.command(std::env::current_exe()?);
        command.arg("backend");
        let mut process = Process::start("backend", command, directory)?;
        let line = process.line()?;
        let addresses = serde_json::from_str(&line).context("addresses of the backend")?;
        Ok(Self {
            addresses,
            _process: process,
        })
    }
}

/// Runs it until the process is killed.
///
/// # Errors
/// If it cannot listen.
pub(crate) fn run(args: &BackendArgs) -> anyhow::Result<()> {
    let many = (0..args.many).map(|index| {
        let [high, low] = index.to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0))
    });
    let usual = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 2];
    let mut server = http1::Server::new()?;
    let addresses = Addresses {
        usual: server.listen(usual)?,
        many: server.listen(many)?,
        http2: http2::start()?,
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&addresses)?)?;
    out.flush()?;
    drop(out);
    server.run()
}
