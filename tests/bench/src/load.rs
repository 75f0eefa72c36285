//! The load generator for HTTP/1.1: as many requests as connections allow, or so
//! many a second whatever the answers take. It runs as a process of its own,
//! bound to the processor of the backend. Load over HTTP/2 is the business of
//! `h2load`.
//!
//! It speaks with the benchmark over its standard streams: `warm` when its
//! connections are open and warm, then it waits for a line, and in the end a
//! [`Report`] in one line of JSON.

use std::io::{BufRead, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::process::{Placement, Process};
use crate::statistics::quantile;

mod connection;
mod generator;
mod pace;
mod request;
mod timer;
mod tls;

pub(crate) use connection::SERVER_NAME;
use generator::{Generator, Target};
use pace::Pace;

/// How connections with TLS are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Handshakes {
    /// One for each connection, which is kept.
    Kept,
    /// A full one for each request.
    Full,
    /// A resumed one for each request.
    Resumed,
}

/// What is sent, and how fast.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Where to.
    #[arg(long)]
    pub(crate) target: SocketAddr,
    /// Path that is asked for.
    #[arg(long, default_value = "/128")]
    pub(crate) path: String,
    /// Size of a body to send, in bytes; none for GET.
    #[arg(long)]
    pub(crate) body: Option<usize>,
    /// Send the body in chunks.
    #[arg(long)]
    pub(crate) chunked: bool,
    /// Connections open at once.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Requests before it counts.
    #[arg(long, default_value_t = 200)]
    pub(crate) warm: u64,
    /// Requests that count; as many as there is time for if not given.
    #[arg(long)]
    pub(crate) requests: Option<u64>,
    /// Seconds that count.
    #[arg(long, default_value_t = 600.0)]
    pub(crate) seconds: f64,
    /// Requests a second; as many as the connections allow if not given.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Authority that signs the server's certificate; without it there is no TLS.
    #[arg(long)]
    pub(crate) authority: Option<PathBuf>,
    /// How connections with TLS are used.
    #[arg(long, value_enum, default_value = "kept")]
    pub(crate) handshakes: Handshakes,
    /// Send one request on each connection and keep all of them open.
    #[arg(long)]
    pub(crate) hold: bool,
}

impl LoadArgs {
    /// The usual load on `target`.
    pub(crate) fn new(target: SocketAddr) -> Self {
        Self {
            target,
            path: "/128".to_owned(),
            body: None,
            chunked: false,
            connections: 64,
            warm: 200,
            requests: None,
            seconds: 600.0,
            rate: None,
            authority: None,
            handshakes: Handshakes::Kept,
            hold: false,
        }
    }

    /// The command line that gives these arguments.
    fn words(&self) -> Vec<String> {
        let mut words = vec![
            format!("--target={}", self.target),
            format!("--path={}", self.path),
            format!("--connections={}", self.connections),
            format!("--warm={}", self.warm),
            format!("--seconds={}", self.seconds),
        ];
        let option =
            |name: &str, value: Option<String>| value.map(|value| format!("--{name}={value}"));
        words.extend(option("body", self.body.map(|body| body.to_string())));
        words.extend(option(
            "requests",
            self.requests.map(|count| count.to_string()),
        ));
        words.extend(option("rate", self.rate.map(|rate| rate.to_string())));
        let authority = self
            .authority
            .as_ref()
            .map(|path| path.display().to_string());
        words.extend(option("authority", authority));
        let handshakes = self.handshakes.to_possible_value();
        words.extend(option(
            "handshakes",
            handshakes.map(|value| value.get_name().to_owned()),
        ));
        words.extend(self.chunked.then(|| "--chunked".to_owned()));
        words.extend(self.hold.then(|| "--hold".to_owned()));
        words
    }
}

/// What became of the requests that count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Answered with a status of 2xx.
    pub(crate) requests: u64,
    /// Answered otherwise, or not at all.
    pub(crate) errors: u64,
    /// Time for all of them, in seconds.
    pub(crate) seconds: f64,
    /// Median of the time to the end of the answer, in microseconds; with a rate,
    /// from when the request was due.
    pub(crate) p50: f64,
    /// 99 of 100 were not slower.
    pub(crate) p99: f64,
    /// 999 of 1,000 were not slower.
    pub(crate) p999: f64,
    /// Handshakes that were resumed.
    pub(crate) resumed: u64,
}

impl Report {
    fn new(mut nanos: Vec<u64>, seconds: f64) -> Self {
        nanos.sort_unstable();
        let micros: Vec<f64> = nanos
            .iter()
            .map(|nanos| Duration::from_nanos(*nanos).as_secs_f64() * 1e6)
            .collect();
        Self {
            requests: micros.len().try_into().unwrap_or(u64::MAX),
            seconds,
            p50: quantile(&micros, 0.5),
            p99: quantile(&micros, 0.99),
            p999: quantile(&micros, 0.999),
            ..Self::default()
        }
    }
}

/// A load generator that waits for the word to go.
#[derive(Debug)]
pub(crate) struct Load {
    process: Process,
}

impl Load {
    /// Starts the process, and waits until it is warm.
    ///
    /// # Errors
    /// If the target does not answer.
    pub(crate) fn start(
        args: &LoadArgs,
        placement: Placement,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = placement.command(std::env::current_exe()?);
        command.arg("load").args(args.words());
        let mut process = Process::start("load", command, directory)?;
        let line = process.line()?;
        ensure!(
            line.trim_end() == "warm",
            "the load generator said {line:?}"
        );
        Ok(Self { process })
    }

    /// Sends the requests that count. Those of `hold` stay open until this is
    /// dropped.
    ///
    /// # Errors
    /// If the generator fails.
    pub(crate) fn go(&mut self) -> anyhow::Result<Report> {
        self.process.go_on()?;
        serde_json::from_str(&self.process.line()?).context("report of the load generator")
    }
}

/// Runs it to its end.
///
/// # Errors
/// If nothing can be sent at all.
pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<()> {
    let request = request::bytes(&args.path, args.body, args.chunked);
    let target = Target {
        address: args.target,
        request,
        tls: secured(args)?,
        keeps: args.handshakes == Handshakes::Kept,
    };
    let mut generator = Generator::new(target, args.connections)?;
    let mut input = std::io::stdin().lock();
    let mut word = String::new();
    if args.hold {
        tell("warm")?;
        input.read_line(&mut word)?;
        tell(&serde_json::to_string(&generator.hold()?)?)?;
        // Until the input is closed, or another line comes.
        input.read_line(&mut word)?;
        return Ok(());
    }
    let patience = Duration::from_mins(1);
    generator.run(Pace::closed(Some(args.warm), patience))?;
    tell("warm")?;
    input.read_line(&mut word)?;
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let pace = match args.rate {
        Some(rate) => Pace::at_rate(rate, time)?,
        None => Pace::closed(args.requests, time),
    };
    let report = generator.run(pace)?;
    tell(&serde_json::to_string(&report)?)
}

/// TLS of each connection. Each remembers its own sessions, so that a connection
/// resumes that of the one before it.
fn secured(args: &LoadArgs) -> anyhow::Result<Vec<Arc<ClientConfig>>> {
    let Some(authority) = &args.authority else {
        return Ok(Vec::new());
    };
    let each = (0..args.connections).map(|_| tls::client(authority, args.handshakes));
    each.map(|config| Ok(Arc::new(config?))).collect()
}

fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
