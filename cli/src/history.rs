//! `evenkeel history`: who changed what, when, and why.

use clap::Args;
use evenkeel_shared::proto::v1::{Change, ChangeAction, HistoryRequest, HistoryResponse};
use jiff::Timestamp;

use crate::args::OutputArgs;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::table::Columns;
use crate::render::{Format, Terminal, change, json, time};

/// Arguments of `history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel history
  evenkeel history route/shop --limit 5
  evenkeel history -o wide")]
pub(crate) struct HistoryArgs {
    /// Only revisions that changed this resource.
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    what: Vec<String>,
    /// How many at the most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Only revisions below this one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    before: u64,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs `history`.
pub(crate) async fn run(args: &HistoryArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let mut ids = kind::ids(&args.what)?;
    if ids.len() > 1 {
        return Err(Failure::Usage(
            "history of one resource at a time".to_owned(),
        ));
    }
    let mut client = Client::connect(&args.server).await?;
    let request = HistoryRequest {
        limit: args.limit,
        before: args.before,
        id: ids.pop(),
    };
    let answer = client.api.history(request).await;
    let answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    match args.output.output {
        Format::Json => terminal.json(&json::value("HistoryResponse", &answer)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::value("HistoryResponse", &answer)?)?)?,
        Format::Name => {
            for revision in &answer.revisions {
                terminal.line(revision.revision)?;
            }
        }
        Format::Table | Format::Wide if answer.revisions.is_empty() => {
            terminal.note("no revisions found");
        }
        format => {
            let wide = format == Format::Wide;
            table(&answer, wide, Timestamp::now()).print(terminal, !args.output.no_headers)?;
        }
    }
    Ok(Verdict::Good)
}

fn table(answer: &HistoryResponse, wide: bool, now: Timestamp) -> Columns {
    let mut heading = vec!["REVISION", "AGE", "AUTHOR", "CHANGES", "MESSAGE"];
    if wide {
        heading.extend(["TIME", "PARENT", "APPLY-ID"]);
    }
    let mut columns = Columns::new(&heading);
    for revision in &answer.revisions {
        let mut cells = vec![
            revision.revision.to_string(),
            time::age(now, revision.time.as_ref()),
            revision.author.clone(),
            summary(&revision.changes),
            revision.message.clone(),
        ];
        if wide {
            cells.extend([
                time::at(revision.time.as_ref()),
                revision.parent.to_string(),
                revision.apply_id.clone(),
            ]);
        }
        columns.row(cells);
    }
    columns
}

/// `+route/shop ~cluster/cart -cluster/old`; the rest is counted.
pub(crate) fn summary(changes: &[Change]) -> String {
    const MOST: usize = 4;
    let mut shown: Vec<String> = changes
        .iter()
        .filter_map(|one| {
            let sign = match one.action() {
                ChangeAction::Created => '+',
                ChangeAction::Configured => '~',
                ChangeAction::Deleted => '-',
                ChangeAction::Unchanged | ChangeAction::Unspecified => return None,
            };
            Some(format!("{sign}{}", change::label(one)))
        })
        .collect();
    if shown.len() > MOST {
        let more = shown.len() - MOST;
        shown.truncate(MOST);
        shown.push(format!("and {more} more"));
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::proto::v1::{Kind, Revision};

    use super::*;

    #[test]
    fn a_revision_shows_what_it_changed() {
        let change = |name: &str, action: ChangeAction| Change {
            id: Some(kind::id(Kind::Cluster, name)),
            action: action.into(),
            ..Change::default()
        };
        let revision = Revision {
            revision: 7,
            author: "alice@laptop".to_owned(),
            message: "spring sale".to_owned(),
            changes: vec![
                change("cart", ChangeAction::Created),
                change("old", ChangeAction::Deleted),
                change("same", ChangeAction::Unchanged),
            ],
            ..Revision::default()
        };
        let answer = HistoryResponse {
            revisions: vec![revision],
        };
        let shown = table(&answer, false, Timestamp::UNIX_EPOCH).render(true);
        insta::assert_snapshot!(shown, @r"
        REVISION   AGE   AUTHOR         CHANGES                      MESSAGE
        7          -     alice@laptop   +cluster/cart -cluster/old   spring sale
        ");
    }
}
