//! Processor time and memory, as the kernel counts them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::tree;
use crate::clock;
use crate::statistics::float;

/// Length of the ticks in `/proc/stat`: `USER_HZ` is 100 on every Linux that matters here.
const TICK: Duration = Duration::from_millis(10);

/// What was used up to a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    at: Instant,
    process: Duration,
    core: Duration,
    other_core: Duration,
}

/// What was used between two moments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Used {
    /// Processor time of the process, of all its threads and children.
    pub(crate) process: Duration,
    /// Share of its processor that somebody else used, 0 to 1.
    pub(crate) foreign: f64,
    /// Share of the other processor that was used, 0 to 1.
    pub(crate) other_core: f64,
}

impl Usage {
    /// Up to now, by a process on one of two processors.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(crate) fn of(pid: u32, core: usize, other_core: usize) -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Ok(Self {
            at: clock::now(),
            process: process_time(pid)?,
            core: busy(&stat, core)?,
            other_core: busy(&stat, other_core)?,
        })
    }

    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Used {
        let time = self.at.saturating_duration_since(before.at).as_secs_f64();
        let process = self.process.saturating_sub(before.process);
        let core = self.core.saturating_sub(before.core);
        let other = self.other_core.saturating_sub(before.other_core);
        Used {
            process,
            foreign: core.saturating_sub(process).as_secs_f64() / time,
            other_core: other.as_secs_f64() / time,
        }
    }
}

/// Run time of all threads, which `/proc/PID/task/*/schedstat` tells in nanoseconds.
fn process_time(pid: u32) -> anyhow::Result<Duration> {
    let mut nanos: u64 = 0;
    for pid in tree::with_children(pid) {
        for task in tree::threads(pid) {
            // A thread may end while it is looked at.
            let path = format!("/proc/{pid}/task/{task}/schedstat");
            let text = fs::read_to_string(path).unwrap_or_default();
            let first = text.split(' ').next().unwrap_or_default();
            nanos += first.parse::<u64>().unwrap_or_default();
        }
    }
    anyhow::ensure!(nanos > 0, "process {pid} is gone");
    Ok(Duration::from_nanos(nanos))
}

/// Time in which a processor was not idle, stolen time included.
fn busy(stat: &str, core: usize) -> anyhow::Result<Duration> {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let line = line.with_context(|| format!("there is no processor {core}"))?;
    let mut ticks: u64 = 0;
    // user nice system idle iowait irq softirq steal; guests are within user.
    for (index, field) in line.split_whitespace().take(8).enumerate() {
        if !matches!(index, 3 | 4) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(TICK.mul_f64(float(usize::try_from(ticks)?)))
}

/// Memory of a process and its children in KiB, shared pages divided by those who
/// share them (PSS).
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn memory(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in tree::with_children(pid) {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).context(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let size = line.and_then(|line| line.trim().strip_suffix("kB"));
        sum += size.context("there is no PSS")?.trim().parse::<u64>()?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 800 1600 8 16 32 5 0\ncpu1 0 0 0 1 1 0 0 0 0 0\n";
        assert_eq!(busy(stat, 0).unwrap(), TICK * 63);
        assert_eq!(busy(stat, 1).unwrap(), Duration::ZERO);
        assert!(busy(stat, 2).is_err());
    }

    #[test]
    fn what_others_use_is_foreign() {
        let at = clock::now();
        let seconds = Duration::from_secs;
        let before = Usage {
            at,
            process: seconds(5),
            core: seconds(50),
            other_core: seconds(0),
        };
        let after = Usage {
            at: at + seconds(10),
            process: seconds(9),
            core: seconds(55),
            other_core: seconds(9),
        };
        let used = after.since(&before);
        assert_eq!(used.process, seconds(4));
        assert!((used.foreign - 0.1).abs() < 1e-9);
        assert!((used.other_core - 0.9).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let pid = std::process::id();
        assert!(process_time(pid).unwrap() > Duration::ZERO);
        assert!(memory(pid).unwrap() > 100);
    }
}
