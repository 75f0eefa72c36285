//! Memory of a proxy that has just started, and with idle connections that have had
//! one request each.

use std::time::Duration;

use anyhow::Context;

use crate::clock;
use crate::load::{Load, LoadArgs};
use crate::output;
use crate::peer::{Peer, Tool};
use crate::process::usage;
use crate::report::Footprint;
use crate::setting::Setting;

/// Idle connections: some, and as many as listeners take by default.
const CONNECTIONS: [usize; 2] = [1_000, 9_000];

/// Time to come to rest.
const REST: Duration = Duration::from_secs(2);

/// Every proxy alone, and started anew for each number of connections.
pub(super) fn compare(peers: &[Peer], setting: &mut Setting) -> anyhow::Result<Vec<Footprint>> {
    let mut rows = Vec::new();
    for peer in peers {
        let [some, many] = CONNECTIONS;
        let (_, with_some) = with(*peer, some, setting)?;
        let (idle, with_many) = with(*peer, many, setting)?;
        rows.push(Footprint {
            peer: *peer,
            idle,
            with_some,
            with_many,
        });
    }
    Ok(rows)
}

/// KiB without connections, and with so many.
fn with(peer: Peer, connections: usize, setting: &mut Setting) -> anyhow::Result<(u64, u64)> {
    let running = setting.start(peer, Tool::None)?;
    clock::pause(REST);
    let idle = usage::memory(running.pid())?;
    let load = LoadArgs {
        connections,
        hold: true,
        ..LoadArgs::new(running.doors.http)
    };
    let mut load = Load::start(&load, setting.placements.harness, setting.directory.path())?;
    let what = || format!("{connections} connections to {}", peer.name());
    load.go().with_context(what)?;
    clock::pause(REST);
    let with = usage::memory(running.pid())?;
    let what = what();
    output::progress(&format!("memory: {idle} KiB, with {what} {with} KiB"));
    Ok((idle, with))
}
