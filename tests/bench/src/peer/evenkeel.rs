//! Evenkeel: a control plane on the processor of the load generator, which has
//! nothing to do once the configuration is there, and the proxy.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Doors, Peer, Running, Stage};
use crate::clock;
use crate::process::Process;
use crate::process::ports::Ports;

const CONFIGURATION: &str = include_str!("../../peers/evenkeel.yaml");

/// Time for the control plane to take the configuration.
const APPLY: Duration = Duration::from_secs(30);

/// What is set on the listener to write records.
const RECORDS: &str = "  accessLog: {path: \"{{directory}}/access.log\"}\n  \
    tracing: {samplePercent: 1}";

pub(super) fn start(peer: Peer, stage: &Stage<'_>, ports: &mut Ports) -> anyhow::Result<Running> {
    let program = stage.programs.of(peer)?;
    let mut doors = Doors::take(ports)?;
    // One listener speaks both versions.
    doors.http2 = doors.http;
    let (xds, api) = (ports.take()?, ports.take()?);
    let mut control_plane = stage.placements.harness.command(&program);
    control_plane.arg("control-plane").args([
        format!("--data-dir={}", stage.directory.join("data").display()),
        format!("--xds-listen={xds}"),
        format!("--api-listen={api}"),
        "--admin-listen=127.0.0.1:0".to_owned(),
    ]);
    let control_plane = Process::start_quiet("control-plane", control_plane, stage.directory)?;
    let configuration = stage.directory.join("evenkeel.yaml");
    std::fs::write(&configuration, filled(peer, stage, &doors)?)?;
    clock::eventually("apply", APPLY, || {
        apply(&program, api, &configuration, stage.directory)
    })?;

    let mut proxy = stage.command(&program);
    proxy.arg("proxy").args([
        "--node-id=bench".to_owned(),
        "--workers=1".to_owned(),
        format!("--control-plane=http://{xds}"),
        "--admin-listen=127.0.0.1:0".to_owned(),
        format!("--state-dir={}", stage.directory.join("state").display()),
    ]);
    if peer == Peer::EvenkeelRecords {
        let collector = format!("http://{}", stage.backend.http2);
        proxy.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    }
    Ok(Running {
        peer,
        doors,
        process: Process::start_quiet("proxy", proxy, stage.directory)?,
        _helpers: vec![control_plane],
    })
}

fn filled(peer: Peer, stage: &Stage<'_>, doors: &Doors) -> anyhow::Result<String> {
    let mut values = stage.values(doors);
    values.set("usual_endpoints", endpoints(&stage.backend.usual));
    values.set("many_endpoints", endpoints(&stage.backend.many));
    let records = match peer {
        Peer::EvenkeelRecords => values.fill(RECORDS)?,
        _ => String::new(),
    };
    values.set("records", records);
    values.fill(CONFIGURATION)
}

fn endpoints(addresses: &[SocketAddr]) -> String {
    let mut text = String::new();
    for address in addresses {
        let _ = writeln!(text, "    - address: \"{address}\"");
    }
    text
}

/// Applies the documents of a file.
///
/// # Errors
/// If the control plane is not there, or refuses them.
pub(crate) fn apply(
    program: &Path,
    api: SocketAddr,
    configuration: &Path,
    directory: &Path,
) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(["apply", "--author=bench", "-f"]);
    command.arg(configuration);
    done(command, api, directory)
}

/// Runs a command of a user.
///
/// # Errors
/// If it fails.
pub(crate) fn done(mut command: Command, api: SocketAddr, directory: &Path) -> anyhow::Result<()> {
    let output = command
        .env("EVENKEEL_SERVER", format!("http://{api}"))
        .env("XDG_CONFIG_HOME", directory)
        .stdin(Stdio::null())
        .output()
        .context("apply")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "apply: {errors}");
    Ok(())
}
