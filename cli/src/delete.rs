//! `evenkeel delete`: take resources away.

use std::path::PathBuf;

use clap::Args;
use evenkeel_shared::proto::v1::{ApplyRequest, ResourceId};

use crate::apply::{self, Outcome};
use crate::args::{ChangeArgs, WaitArgs};
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::{Format, Terminal};
use crate::sources::{Files, Sources};

/// Arguments of `delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel delete route shop
  evenkeel delete route/shop cluster/cart
  evenkeel delete -f shop.yaml --dry-run")]
pub(crate) struct DeleteArgs {
    /// KIND NAME…, or KIND/NAME….
    #[arg(value_name = "KIND[/NAME]", required_unless_present = "files")]
    what: Vec<String>,
    /// File or directory whose resources are taken away; `-` is standard
    /// input.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        conflicts_with = "what"
    )]
    files: Vec<PathBuf>,
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

/// Runs `delete`.
pub(crate) async fn run(args: &DeleteArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let request = ApplyRequest {
        deletions: targets(args)?,
        ..apply::request(&args.change)
    };
    let mut client = Client::connect(&args.server).await?;
    let answer = client.apply(&request, &Sources::default()).await;
    let response = answer.map_err(not_there)?;
    let outcome = Outcome {
        response,
        dry_run: args.change.dry_run,
        format: args.output,
    };
    outcome.tell(&mut client, terminal, args.wait).await
}

/// A deletion submits no configuration that could be invalid: what the server
/// finds wrong with it is that there is nothing to delete.
fn not_there(failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Failure::Failed(faults.join("\n  "))
        }
        other => other,
    }
}

fn targets(args: &DeleteArgs) -> Result<Vec<ResourceId>, Failure> {
    if args.files.is_empty() {
        return kind::ids(&args.what);
    }
    let files = Files {
        files: args.files.clone(),
    };
    Ok(Sources::read(&files)?.ids())
}
