//! Processes that are measured or help with it: where they run, what they log,
//! and that none of them stays.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::clock;

pub(crate) mod limits;
pub(crate) mod ports;
pub(crate) mod tree;
pub(crate) mod usage;

/// Time to end after a polite request.
const POLITE: Duration = Duration::from_secs(3);

/// Where Linux schedules sessions first and processes within them (autogroup),
/// `nice` has no effect on other sessions: the session of its own must go first.
const GO_FIRST: &str =
    "{ echo -15 > /proc/self/autogroup; } 2>/dev/null || true; exec \"$0\" \"$@\"";

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Wherever the system puts it: for counts that time has no part in.
    Anywhere,
    /// On this processor only.
    Core {
        /// Which.
        core: usize,
        /// Whether it goes before others, if that is permitted.
        first: bool,
    },
}

/// Where the processes of one measurement run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placements {
    /// The proxy that is measured.
    pub(crate) proxy: Placement,
    /// Everything else.
    pub(crate) harness: Placement,
}

impl Placements {
    /// For counts that time has no part in.
    pub(crate) const ANYWHERE: Self = Self {
        proxy: Placement::Anywhere,
        harness: Placement::Anywhere,
    };

    /// The proxy on processor 0, everything else on processor 1.
    pub(crate) fn pinned(first: bool) -> Self {
        Self {
            proxy: Placement::Core { core: 0, first },
            harness: Placement::Core { core: 1, first },
        }
    }
}

impl Placement {
    /// Puts this process here, as far as its processor goes.
    ///
    /// # Errors
    /// If there is no such processor.
    pub(crate) fn take(self) -> anyhow::Result<()> {
        if let Self::Core { core, .. } = self {
            let mut set = CpuSet::new();
            set.set(core);
            sched_setaffinity(None, &set).with_context(|| format!("processor {core}"))?;
        }
        Ok(())
    }

    /// A command that runs `program` here, and that ends with this process.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if let Self::Core { core, first } = self {
            if first {
                command.args(["setsid", "sh", "-c", GO_FIRST]);
                // Without the permission, `nice` says so and goes on.
                command.args(["nice", "-n", "-15"]);
            }
            command.args(["taskset", "-c"]).arg(core.to_string());
        }
        command.arg(program);
        command
    }
}

/// A process that is ended when dropped, with all its children.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Process {
    /// Starts it, with its log in `directory`. Its output can be read with
    /// [`Self::line`].
    ///
    /// # Errors
    /// If the program is not there.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let mut child = command
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name}: {command:?}"))?;
        let output = child.stdout.take().map(BufReader::new);
        Ok(Self {
            name: name.to_owned(),
            child,
            output,
            log,
        })
    }

    /// Starts one whose output nobody reads: it goes into the log as well.
    ///
    /// # Errors
    /// If the program is not there.
    pub(crate) fn start_quiet(
        name: &str,
        mut command: Command,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            output: None,
            log,
        })
    }

    /// Its process id: those in front of it in the command have become it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    ///
    /// # Errors
    /// With its log, if it has ended.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        if line.is_empty() {
            let status = self.child.wait()?;
            bail!("{} has ended ({status}):\n{}", self.name, self.log_text());
        }
        Ok(line)
    }

    /// Lets a process go on that waits for a line.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn go_on(&mut self) -> anyhow::Result<()> {
        use std::io::Write as _;
        let input = self.child.stdin.as_mut().context("its input is closed")?;
        input.write_all(b"\n")?;
        Ok(input.flush()?)
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// With its log, if it does not.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        let name = &self.name;
        ensure!(
            ended.is_none(),
            "{name} has ended ({ended:?}):\n{}",
            self.log_text()
        );
        Ok(())
    }

    /// What it logged.
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, and ends it if it does not.
    ///
    /// # Errors
    /// If its end cannot be seen.
    pub(crate) fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        signal(self.pid(), Signal::TERM);
        let child = &mut self.child;
        let ended = clock::eventually("end", POLITE, || child.try_wait()?.context("runs on"));
        if let Ok(status) = ended {
            return Ok(status);
        }
        for pid in tree::with_children(self.pid()) {
            signal(pid, Signal::KILL);
        }
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and nobody can be told here.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.stop());
        }
    }
}

/// Sends a signal to a child, which cannot have been replaced by a stranger as
/// long as nobody has waited for it.
fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The only reason to fail is that it is gone.
        let _gone = kill_process(pid, signal);
    }
}
