//! `evenkeel rollback`: a new revision with the content of an old one.

use clap::Args;
use evenkeel_shared::proto::v1::{ApplyResponse, HistoryRequest, RollbackRequest};

use crate::apply::{self, Outcome};
use crate::args::{ChangeArgs, WaitArgs};
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal};

/// Arguments of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel rollback                # undo the last change
  evenkeel rollback --to 7 --wait
  evenkeel rollback --to 7 --dry-run")]
pub(crate) struct RollbackArgs {
    /// The revision whose content is wanted [default: the one before the
    /// present one]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
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

/// Runs `rollback`.
pub(crate) async fn run(args: &RollbackArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let mut client = Client::connect(&args.server).await?;
    let (to, expected) = match args.to {
        Some(to) => (to, args.change.expected_revision),
        None => previous(&mut client, args.change.expected_revision).await?,
    };
    let change = apply::request(&args.change);
    let request = RollbackRequest {
        to_revision: to,
        apply_id: change.apply_id,
        expected_revision: expected,
        dry_run: change.dry_run,
        message: change.message,
        author: change.author,
        allow_mass_removal: change.allow_mass_removal,
    };
    let answer = client.api.rollback(request).await;
    let answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    let outcome = Outcome {
        response: ApplyResponse {
            revision: answer.revision,
            changes: answer.changes,
            proxies: answer.proxies,
        },
        dry_run: args.change.dry_run,
        format: args.output,
    };
    outcome.tell(&mut client, terminal, args.wait).await
}

/// The revision before the present one, and the present one, which must not
/// change until then: two people who undo at once must not undo two changes.
async fn previous(client: &mut Client, expected: u64) -> Result<(u64, u64), Failure> {
    let request = HistoryRequest {
        limit: 1,
        ..HistoryRequest::default()
    };
    let answer = client.api.history(request).await;
    let revisions = answer
        .map_err(|status| client.failure(&status))?
        .into_inner()
        .revisions;
    let Some(present) = revisions.first() else {
        return Err(Failure::Failed("there is nothing to undo yet".to_owned()));
    };
    if present.parent == 0 {
        return Err(Failure::Failed(format!(
            "revision {} is the first one; there is none before it",
            present.revision
        )));
    }
    let expected = if expected == 0 {
        present.revision
    } else {
        expected
    };
    Ok((present.parent, expected))
}
