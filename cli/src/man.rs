//! `evenkeel man`: manual pages, from the same words as `--help`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::failure::{Failure, Verdict};
use crate::private_file::{self, Existing, Readers};
use crate::render::Terminal;

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel man | man -l -
  evenkeel man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write a page for each verb into this directory, which is made if it is
    /// not there; else the page of the program is printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `man` for the command line `command`.
pub(crate) fn run(
    args: &ManArgs,
    command: Command,
    terminal: &mut Terminal,
) -> Result<Verdict, Failure> {
    let mut command = without_help(command);
    command.build();
    let Some(directory) = &args.out else {
        terminal.text(&page(&command)?)?;
        return Ok(Verdict::Good);
    };
    let failed =
        |path: &Path, error| Failure::Failed(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for command in family(&command) {
        let path = directory.join(format!("{}.1", name(command)));
        let text = page(command)?;
        private_file::write(
            &path,
            text.as_bytes(),
            Readers::Everybody,
            Existing::Replace,
        )
        .map_err(|error| failed(&path, error))?;
    }
    Ok(Verdict::Good)
}

/// Without the verbs called `help`: their answers are the pages.
fn without_help(command: Command) -> Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}

/// A verb and those below it.
fn family(command: &Command) -> Vec<&Command> {
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    std::iter::once(command)
        .chain(below.flat_map(family))
        .collect()
}

/// The name of a page: `evenkeel-token-create`.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// A page. The examples are set as they are: the generator would fill them like
/// prose.
fn page(command: &Command) -> Result<String, Failure> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(&mut page)?;
    }
    if family(command).len() > 1 {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(after) = command.get_after_help() {
        page.push_str(".SH NOTES\n.nf\n");
        for line in after.to_string().lines() {
            let line = line.replace('\\', "\\e").replace('-', "\\-");
            // What begins with a dot or a quote would be a request.
            let guard = if line.starts_with(['.', '\'']) {
                "\\&"
            } else {
                ""
            };
            writeln!(page, "{guard}{line}").map_err(|error| Failure::Failed(error.to_string()))?;
        }
        page.push_str(".fi\n");
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn pages() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let args = ManArgs {
            out: Some(directory.path().join("man1")),
        };
        let mut terminal = Terminal::to_nobody();
        run(&args, crate::Cli::command(), &mut terminal).unwrap();
        directory
    }

    #[test]
    fn every_verb_has_a_page() {
        let directory = pages();
        let pages = directory.path().join("man1");
        for verb in crate::Cli::command().get_subcommands() {
            let path = pages.join(format!("evenkeel-{}.1", verb.get_name()));
            assert!(path.exists(), "{}", path.display());
        }
        assert!(pages.join("evenkeel.1").exists());
        assert!(pages.join("evenkeel-token-create.1").exists());
        let main = std::fs::read_to_string(pages.join("evenkeel.1")).unwrap();
        assert!(!main.contains("help(1)"), "{main}");
    }

    #[test]
    fn examples_keep_their_lines() {
        let directory = pages();
        let page = directory.path().join("man1/evenkeel-apply.1");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(".TH evenkeel-apply 1"), "{page}");
        assert!(page.contains(".nf\nExamples:\n  evenkeel apply "), "{page}");
    }

    #[test]
    fn two_runs_write_the_same() {
        let read = |directory: &tempfile::TempDir| {
            let path = directory.path().join("man1/evenkeel-proxy.1");
            std::fs::read_to_string(path).unwrap()
        };
        assert_eq!(read(&pages()), read(&pages()));
    }
}
