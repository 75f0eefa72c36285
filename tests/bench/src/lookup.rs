//! What it costs to find a route and to pick an endpoint, by how many there are:
//! instructions, counted by valgrind's callgrind, and time. The questions are asked
//! by a program of the proxy's package, which this one only runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use crate::output;
use crate::peer::NO_STRINGS;

/// The functions in which is counted.
const COUNTED: [&str; 2] = ["*::find_all", "*::pick_all"];

/// Arguments of `lookup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo build --release -p evenkeel-data-plane --example lookup
  evenkeel-bench lookup --json lookup.json")]
pub(crate) struct LookupArgs {
    /// The program that asks.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "target/release/examples/lookup"
    )]
    program: PathBuf,
    /// Questions that are counted.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    questions: u32,
    /// Questions that are timed, which is noisy.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    timed: u32,
    /// Write the results there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Something that is asked for, with the sizes and how much dearer each may be
/// than the one before.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    sizes: &'static [u32],
    /// The largest against the one in front of it.
    goal: f64,
}

const KINDS: [Kind; 5] = [
    routes("routes-by-host"),
    routes("routes-by-path"),
    routes("routes-by-prefix"),
    picks("pick"),
    picks("pick-by-weight"),
];

const fn routes(name: &'static str) -> Kind {
    Kind {
        name,
        sizes: &[1, 1_000, 100_000],
        goal: 2.0,
    }
}

const fn picks(name: &'static str) -> Kind {
    Kind {
        name,
        sizes: &[10, 10_000],
        goal: 1.2,
    }
}

/// What one question costs.
#[derive(Debug, Serialize)]
struct Cost {
    kind: &'static str,
    size: u32,
    instructions: f64,
    nanoseconds: f64,
}

/// Counts, times and prints.
///
/// # Errors
/// If the program or valgrind is not there, or a goal is missed.
pub(crate) fn run(args: &LookupArgs) -> anyhow::Result<()> {
    let program = args.program.display().to_string();
    let program = args.program.canonicalize().context(program)?;
    let directory = tempfile::Builder::new()
        .prefix("evenkeel-bench-")
        .tempdir()?;
    let mut costs: Vec<Cost> = Vec::new();
    let mut missed = Vec::new();
    for kind in KINDS {
        for size in kind.sizes {
            let cost = Cost {
                kind: kind.name,
                size: *size,
                instructions: count(args, &program, directory.path(), (kind.name, *size))?,
                nanoseconds: time(args, &program, (kind.name, *size))?,
            };
            output::line(&format!(
                "{:<18} {size:>7} {:>9.1} instructions {:>9.1} ns",
                kind.name, cost.instructions, cost.nanoseconds
            ))?;
            costs.push(cost);
        }
        if let [.., before, last] = costs.as_slice() {
            let ratio = last.instructions / before.instructions;
            let goal = kind.goal;
            output::line(&format!(
                "{:<18} {} against {}: {ratio:.2} times (goal: at most {goal})",
                kind.name, last.size, before.size
            ))?;
            if ratio > goal {
                missed.push(kind.name);
            }
        }
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&costs)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    ensure!(missed.is_empty(), "dearer than they may be: {missed:?}");
    Ok(())
}

fn count(
    args: &LookupArgs,
    program: &Path,
    directory: &Path,
    (kind, size): (&str, u32),
) -> anyhow::Result<f64> {
    let file = directory.join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .env("GLIBC_TUNABLES", NO_STRINGS)
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(COUNTED.map(|function| format!("--toggle-collect={function}")))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([
            kind.to_owned(),
            size.to_string(),
            args.questions.to_string(),
        ]);
    let output = valgrind.output().context("valgrind")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{kind} {size}: {errors}");
    let text = std::fs::read_to_string(&file)?;
    let total = total(&text).context("callgrind has counted nothing")?;
    Ok(total / f64::from(args.questions))
}

/// What callgrind has counted in all.
fn total(text: &str) -> Option<f64> {
    let mut lines = text.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals:"))?;
    let total: f64 = total.trim().parse().ok()?;
    (total > 0.0).then_some(total)
}

fn time(args: &LookupArgs, program: &Path, (kind, size): (&str, u32)) -> anyhow::Result<f64> {
    let output = Command::new(program)
        .args([kind.to_owned(), size.to_string(), args.timed.to_string()])
        .output()
        .context("program")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{kind} {size} does not run");
    text.trim().parse().context("nanoseconds")
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn nothing_counted_is_no_result() {
        assert_eq!(total("events: Ir\nfn=(1) a\n1 5\ntotals: 42\n"), Some(42.0));
        assert_eq!(total("events: Ir\ntotals: 0\n"), None);
        assert_eq!(total("events: Ir\n"), None);
    }
}
