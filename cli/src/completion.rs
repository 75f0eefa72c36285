//! `evenkeel completion`: what the shell proposes after a tab.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

/// Arguments of `completion`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(evenkeel completion bash)
  evenkeel completion zsh > ~/.zfunc/_evenkeel
  evenkeel completion fish > ~/.config/fish/completions/evenkeel.fish")]
pub(crate) struct CompletionArgs {
    /// The shell.
    shell: Shell,
}

/// Runs `completion` for the command line `command`.
pub(crate) fn run(
    args: &CompletionArgs,
    mut command: Command,
    terminal: &mut Terminal,
) -> Result<Verdict, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "evenkeel", &mut script);
    terminal.text(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Good)
}
