//! Time to the answer, at a rate that all proxies can bear: with as many requests as
//! fit, it would only tell how long the queue is.

use anyhow::ensure;

use super::{RunArgs, rounds};
use crate::drive::Driver;
use crate::load::LoadArgs;
use crate::output;
use crate::peer::{Peer, Running};
use crate::report::Results;
use crate::report::cpu::Turn;
use crate::report::latency::{Delays, Latency};
use crate::setting::Setting;
use crate::workload::Workload;

/// Share of what the slowest proxy can do.
const SHARE: f64 = 0.3;

/// Seconds of a turn to find out what a proxy can do.
const TRIAL: f64 = 2.0;

/// Seconds of one turn: 1 of 1,000 requests must be many.
const TURN: f64 = 5.0;

/// Rates are rounded down to this.
const STEP: f64 = 100.0;

/// Median and tails of the small GET.
pub(super) fn compare(
    args: &RunArgs,
    results: &Results,
    running: &mut [Running],
    setting: &Setting,
) -> anyhow::Result<Latency> {
    let rate = match args.rate {
        Some(rate) => rate,
        None => (SHARE * slowest(results, running, setting)? / STEP).floor() * STEP,
    };
    ensure!(
        rate >= STEP,
        "a rate of {rate} requests a second is too low"
    );
    let mut turns: Vec<(Peer, Vec<Turn>)> = running
        .iter()
        .map(|running| (running.peer, Vec::new()))
        .collect();
    for round in 1..=args.rounds {
        for (running, (peer, turns)) in running.iter().zip(&mut turns) {
            let load = LoadArgs {
                rate: Some(rate),
                ..LoadArgs::new(running.doors.http)
            };
            let turn = rounds::turn(running, &Driver::Own(load), TURN, setting)?;
            output::progress(&format!(
                "latency {round}/{} {}: {:.0} / {:.0} / {:.0} us, {turn}",
                args.rounds,
                peer.name(),
                turn.p50,
                turn.p99,
                turn.p999
            ));
            turns.push(turn);
        }
    }
    let rows = turns.iter().map(|(peer, turns)| Delays::new(*peer, turns));
    Ok(Latency {
        rate,
        rows: rows.collect(),
    })
}

/// Requests a second of the slowest proxy, as measured before, or now.
fn slowest(results: &Results, running: &[Running], setting: &Setting) -> anyhow::Result<f64> {
    let mut before = results.cpu.iter();
    if let Some(small) = before.find(|comparison| comparison.workload == Workload::SmallGet) {
        return Ok(small.slowest());
    }
    let mut slowest = f64::INFINITY;
    for running in running {
        let driver = Workload::SmallGet.driver(&running.doors, &setting.certificates);
        let turn = rounds::turn(running, &driver, TRIAL, setting)?;
        slowest = slowest.min(turn.rate);
    }
    Ok(slowest)
}
