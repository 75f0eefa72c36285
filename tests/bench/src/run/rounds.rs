//! Rounds in which all proxies have their turn, one after the other, so that what
//! else the machine does hits all of them alike.

use std::time::Duration;

use anyhow::Context;

use super::RunArgs;
use crate::drive::{Amount, Driver};
use crate::output;
use crate::peer::{Peer, Running};
use crate::process::usage::{Usage, Used};
use crate::report::cpu::{Comparison, Row, Turn};
use crate::setting::Setting;
use crate::workload::Workload;

/// Processor of the proxies, and that of everything else.
const CORES: (usize, usize) = (0, 1);

/// Processor time for each request.
pub(super) fn compare(
    args: &RunArgs,
    workload: Workload,
    running: &mut [Running],
    setting: &Setting,
) -> anyhow::Result<Comparison> {
    let mut rows: Vec<(Peer, Vec<Turn>)> = running
        .iter()
        .filter(|running| workload.suits(running.peer))
        .map(|running| (running.peer, Vec::new()))
        .collect();
    for round in 1..=args.rounds {
        for (peer, turns) in &mut rows {
            let Some(running) = running.iter().find(|running| running.peer == *peer) else {
                continue;
            };
            let driver = workload.driver(&running.doors, &setting.certificates);
            let turn = turn(running, &driver, args.seconds, setting).with_context(|| {
                format!("{} through {}, round {round}", workload.name(), peer.name())
            })?;
            output::progress(&format!(
                "{} {round}/{} {}: {turn}",
                workload.name(),
                args.rounds,
                peer.name()
            ));
            turns.push(turn);
        }
    }
    let rows = rows.into_iter();
    let rows = rows.map(|(peer, turns)| Row { peer, turns }).collect();
    Ok(Comparison::new(workload, rows, args.foreign))
}

/// One turn of one proxy.
pub(super) fn turn(
    running: &Running,
    driver: &Driver,
    seconds: f64,
    setting: &Setting,
) -> anyhow::Result<Turn> {
    let amount = Amount::Seconds(seconds);
    let ready = driver.start(amount, setting.placements.harness, setting.directory.path())?;
    let (core, other_core) = CORES;
    let before = Usage::of(running.pid(), core, other_core)?;
    let report = ready.go()?;
    let Used {
        process,
        foreign,
        other_core,
    } = Usage::of(running.pid(), core, other_core)?.since(&before);
    let requests = u32::try_from(report.requests)?.max(1);
    Ok(Turn {
        cpu: micros(process / requests),
        rate: f64::from(requests) / report.seconds,
        p50: report.p50,
        p99: report.p99,
        p999: report.p999,
        errors: report.errors,
        resumed: report.resumed,
        foreign,
        other_core,
    })
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
