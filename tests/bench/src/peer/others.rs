//! The proxies of others. Where a format wants the endpoints one by one, they are
//! written here; everything else stands in the files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Doors, Peer, Running, Stage, Tool};
use crate::process::ports::Ports;
use crate::process::{Process, limits};
use crate::template::Values;

const ENVOY: &str = include_str!("../../peers/envoy.yaml");
const HAPROXY: &str = include_str!("../../peers/haproxy.cfg");
const NGINX: &str = include_str!("../../peers/nginx.conf");

/// Files that `HAProxy` needs besides two for each connection: one for each server,
/// to check it, and some for itself.
const FILES_OF_HAPROXY: u64 = 1_200;

pub(super) fn start(peer: Peer, stage: &Stage<'_>, ports: &mut Ports) -> anyhow::Result<Running> {
    let program = stage.programs.of(peer)?;
    let doors = Doors::take(ports)?;
    let mut values = stage.values(&doors);
    let mut command = stage.command(&program);
    let file = match peer {
        Peer::Envoy => {
            blanks_of_envoy(&mut values, stage, &doors);
            command.args([
                "--concurrency",
                "1",
                "-l",
                "error",
                "--disable-hot-restart",
                "-c",
            ]);
            written(stage.directory, "envoy.yaml", &values.fill(ENVOY)?)?
        }
        Peer::Haproxy => {
            blanks_of_haproxy(&mut values, stage);
            command.args(["-db", "-f"]);
            written(stage.directory, "haproxy.cfg", &values.fill(HAPROXY)?)?
        }
        Peer::Nginx => {
            blanks_of_nginx(&mut values, stage);
            command
                .args(["-e", "stderr", "-p"])
                .arg(stage.directory)
                .arg("-c");
            written(stage.directory, "nginx.conf", &values.fill(NGINX)?)?
        }
        Peer::Pingora | Peer::Evenkeel | Peer::EvenkeelRecords => {
            let settings = pingora(stage, &doors);
            written(stage.directory, "pingora.json", &settings.to_string())?
        }
    };
    command.arg(file);
    Ok(Running {
        peer,
        doors,
        process: Process::start_quiet("proxy", command, stage.directory)?,
        _helpers: Vec::new(),
    })
}

fn written(directory: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// One line for each endpoint.
fn lines(addresses: &[SocketAddr], line: impl Fn(usize, &SocketAddr) -> String) -> String {
    let lines = addresses.iter().enumerate();
    let lines: Vec<String> = lines.map(|(index, address)| line(index, address)).collect();
    lines.join("\n")
}

fn blanks_of_envoy(values: &mut Values, stage: &Stage<'_>, doors: &Doors) {
    values.set("http_port", doors.http.port());
    values.set("http2_port", doors.http2.port());
    values.set("tls_port", doors.tls.port());
    values.set("grpc_port", doors.grpc.port());
    values.set("many_port", doors.many.port());
    let line = |_: usize, address: &SocketAddr| {
        format!(
            "        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
            address.ip(),
            address.port()
        )
    };
    values.set("usual_endpoints", lines(&stage.backend.usual, line));
    values.set("many_endpoints", lines(&stage.backend.many, line));
    values.set("grpc_endpoints", lines(&[stage.backend.http2], line));
}

fn blanks_of_haproxy(values: &mut Values, stage: &Stage<'_>) {
    let line = |index: usize, address: &SocketAddr| format!("  server s{index} {address}");
    values.set("usual_endpoints", lines(&stage.backend.usual, line));
    values.set("many_endpoints", lines(&stage.backend.many, line));
    // It refuses to start with more than it may have files for.
    let connections = limits::files().saturating_sub(FILES_OF_HAPROXY) / 2;
    values.set("connections", connections);
}

fn blanks_of_nginx(values: &mut Values, stage: &Stage<'_>) {
    let line = |_: usize, address: &SocketAddr| {
        format!("    server {address} max_fails=5 fail_timeout=10s;")
    };
    values.set("usual_endpoints", lines(&stage.backend.usual, line));
    values.set("many_endpoints", lines(&stage.backend.many, line));
    values.set("files", limits::files());
    // Under callgrind there must be one process, because it is told by its id.
    let has_master = stage.tool == Tool::None;
    values.set("master", if has_master { "on" } else { "off" });
}

fn pingora(stage: &Stage<'_>, doors: &Doors) -> serde_json::Value {
    serde_json::json!({
        "http": doors.http,
        "http2": doors.http2,
        "tls": doors.tls,
        "grpc": doors.grpc,
        "many": doors.many,
        "usual_endpoints": stage.backend.usual,
        "many_endpoints": stage.backend.many,
        "grpc_endpoints": [stage.backend.http2],
        "certificate": stage.certificates.chain,
        "key": stage.certificates.key,
    })
}
