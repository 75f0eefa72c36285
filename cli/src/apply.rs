//! `evenkeel apply`: make it so.

use clap::Args;
use evenkeel_shared::proto::v1::{ApplyRequest, ApplyResponse};
use serde_json::json;

use crate::args::{ChangeArgs, WaitArgs};
use crate::author;
use crate::client::{self, Client};
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal, change, json as proto_json};
use crate::sources::{Files, Sources};
use crate::wait;

/// Arguments of `apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel apply -f shop.yaml
  evenkeel apply -f config/ --wait -m 'spring sale'
  evenkeel apply -f shop.yaml --dry-run
  generate | evenkeel apply -f - --expected-revision 12")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Runs `apply`.
pub(crate) async fn run(args: &ApplyArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let sources = Sources::read(&args.files)?;
    let mut client = Client::connect(&args.server).await?;
    let request = ApplyRequest {
        resources: sources.resources(),
        ..request(&args.change)
    };
    let response = client.apply(&request, &sources).await?;
    let outcome = Outcome {
        response,
        dry_run: args.change.dry_run,
        format: args.output,
    };
    outcome.tell(&mut client, terminal, args.wait).await
}

/// A change without its content.
pub(crate) fn request(args: &ChangeArgs) -> ApplyRequest {
    ApplyRequest {
        apply_id: client::apply_id(),
        expected_revision: args.expected_revision,
        dry_run: args.dry_run,
        message: args.message.clone(),
        author: author::author(args.author.as_deref()),
        allow_mass_removal: args.allow_mass_removal,
        ..ApplyRequest::default()
    }
}

/// What came of a change, and how to show it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The server's answer.
    pub(crate) response: ApplyResponse,
    /// Whether nothing was changed.
    pub(crate) dry_run: bool,
    /// How to show it.
    pub(crate) format: Format,
}

impl Outcome {
    /// Says what was changed and, if that is wanted, waits for the proxies.
    ///
    /// # Errors
    /// As [`wait::follow`]; the output is gone.
    pub(crate) async fn tell(
        &self,
        client: &mut Client,
        terminal: &mut Terminal,
        wait: WaitArgs,
    ) -> Result<Verdict, Failure> {
        self.show(terminal)?;
        if wait.wait {
            terminal.flush()?;
            wait::follow(client, terminal, self.response.revision, wait.timeout).await?;
        }
        Ok(Verdict::Good)
    }

    fn show(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let response = &self.response;
        match self.format {
            Format::Json | Format::Yaml => {
                let value = json!({
                    "revision": response.revision.to_string(),
                    "dryRun": self.dry_run,
                    "proxies": response.proxies,
                    "changes": proto_json::changes(&response.changes)?,
                });
                if self.format == Format::Json {
                    terminal.json(&value)?;
                } else {
                    terminal.text(&proto_json::yaml(&value)?)?;
                }
            }
            Format::Name => {
                for one in &response.changes {
                    terminal.line(change::label(one))?;
                }
            }
            Format::Table | Format::Wide => {
                change::list(terminal, &response.changes, self.dry_run)?;
                terminal.line(format_args!("revision {}", response.revision))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::captured;

    fn outcome(format: Format) -> Outcome {
        Outcome {
            response: ApplyResponse {
                revision: 12,
                changes: Vec::new(),
                proxies: 3,
            },
            dry_run: false,
            format,
        }
    }

    #[test]
    fn the_revision_is_told() {
        let (mut terminal, memory) = captured();
        outcome(Format::Table).show(&mut terminal).unwrap();
        assert_eq!(memory.out(), "revision 12\n");
    }

    #[test]
    fn scripts_get_the_revision_as_proto_json() {
        let (mut terminal, memory) = captured();
        outcome(Format::Json).show(&mut terminal).unwrap();
        let value: serde_json::Value = serde_json::from_str(&memory.out()).unwrap();
        assert_eq!(value["revision"], "12");
        assert_eq!(value["proxies"], 3);
    }

    #[test]
    fn every_change_has_an_id_of_its_own() {
        let first = request(&ChangeArgs::default());
        let second = request(&ChangeArgs::default());
        assert_ne!(first.apply_id, second.apply_id);
        assert!(first.author.contains('@'), "{}", first.author);
    }
}
