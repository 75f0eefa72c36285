//! `evenkeel diff`: what would change?

use clap::Args;
use evenkeel_shared::proto::v1::{ApplyRequest, ChangeAction};

use crate::args::ChangeArgs;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal, change, json};
use crate::sources::{Files, Sources};

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code: 0 nothing would change, 1 something would, 2 and above an error.

Examples:
  evenkeel diff -f shop.yaml
  evenkeel diff -f config/ -o json")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Runs `diff`.
pub(crate) async fn run(args: &DiffArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let sources = Sources::read(&args.files)?;
    let mut client = Client::connect(&args.server).await?;
    let dry_run = ChangeArgs {
        dry_run: true,
        allow_mass_removal: true,
        ..ChangeArgs::default()
    };
    let request = ApplyRequest {
        resources: sources.resources(),
        ..crate::apply::request(&dry_run)
    };
    let mut changes = client.apply(&request, &sources).await?.changes;
    changes.retain(|change| change.action() != ChangeAction::Unchanged);
    match args.output {
        Format::Table | Format::Wide => {
            change::diff(terminal, &changes)?;
        }
        Format::Json => terminal.json(&json::changes(&changes)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::changes(&changes)?)?)?,
        Format::Name => {
            for one in &changes {
                terminal.line(change::label(one))?;
            }
        }
    }
    if changes.is_empty() {
        Ok(Verdict::Good)
    } else {
        Ok(Verdict::Bad)
    }
}
