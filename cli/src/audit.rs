//! `evenkeel audit`: what was done and refused, by whom, and from where.

use clap::Args;
use evenkeel_shared::proto::v1::{AuditEntry, ListAuditRequest, ListAuditResponse};
use jiff::Timestamp;
use serde_json::Value;

use crate::args::OutputArgs;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::history;
use crate::kind;
use crate::render::table::Columns;
use crate::render::{BOLD, Format, Terminal, change, json, styled, time};

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel audit
  evenkeel audit cluster/cart --diff
  evenkeel audit --subject token/ci --limit 10
  evenkeel audit -o json")]
pub(crate) struct AuditArgs {
    /// Only what concerns this resource.
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    what: Vec<String>,
    /// How many entries at the most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only entries below this one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    before: u64,
    /// Only what this subject did or tried.
    #[arg(
        long,
        value_name = "SUBJECT",
        default_value = "",
        hide_default_value = true
    )]
    subject: String,
    /// Show what changed, before and after; `-o wide` does, too.
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs `audit`.
pub(crate) async fn run(args: &AuditArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let mut ids = kind::ids(&args.what)?;
    if ids.len() > 1 {
        return Err(Failure::Usage("audit of one resource at a time".to_owned()));
    }
    let request = ListAuditRequest {
        limit: args.limit,
        before: args.before,
        subject: args.subject.clone(),
        id: ids.pop(),
    };
    let mut client = Client::connect(&args.server).await?;
    let answer = client.access.list_audit(request).await;
    let answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    match args.output.output {
        Format::Json => terminal.json(&value(&answer)?)?,
        Format::Yaml => terminal.text(&json::yaml(&value(&answer)?)?)?,
        Format::Name => {
            for entry in &answer.entries {
                terminal.line(entry.id)?;
            }
        }
        Format::Table | Format::Wide if answer.entries.is_empty() => {
            terminal.note("no entries found");
        }
        format => {
            let wide = format == Format::Wide;
            let columns = table(&answer.entries, wide, Timestamp::now());
            columns.print(terminal, !args.output.no_headers)?;
            if wide || args.diff {
                diffs(&answer.entries, terminal)?;
            }
        }
    }
    Ok(Verdict::Good)
}

fn table(entries: &[AuditEntry], wide: bool, now: Timestamp) -> Columns {
    let mut heading = vec![
        "ENTRY", "AGE", "SUBJECT", "ACTION", "ALLOWED", "REVISION", "CHANGES", "DETAIL",
    ];
    if wide {
        heading.extend(["TIME", "KNOWN-BY", "SOURCE"]);
    }
    let mut columns = Columns::new(&heading);
    for entry in entries {
        let revision = match entry.revision {
            0 => String::new(),
            revision => revision.to_string(),
        };
        let mut cells = vec![
            entry.id.to_string(),
            time::age(now, entry.time.as_ref()),
            entry.subject.clone(),
            entry.action.clone(),
            if entry.allowed { "yes" } else { "no" }.to_owned(),
            revision,
            history::summary(&entry.changes),
            entry.detail.clone(),
        ];
        if wide {
            cells.extend([
                time::at(entry.time.as_ref()),
                entry.method.clone(),
                entry.source.clone(),
            ]);
        }
        columns.row(cells);
    }
    columns
}

/// What each entry changed, below the table.
fn diffs(entries: &[AuditEntry], terminal: &mut Terminal) -> Result<(), Failure> {
    for entry in entries {
        if entry.changes.is_empty() {
            continue;
        }
        terminal.line("")?;
        terminal.line(styled(BOLD, format_args!("entry {}:", entry.id)))?;
        change::diff(terminal, &entry.changes)?;
    }
    Ok(())
}

fn value(answer: &ListAuditResponse) -> Result<Value, Failure> {
    let entries: Result<Value, Failure> = answer
        .entries
        .iter()
        .map(|entry| {
            let bare = AuditEntry {
                changes: Vec::new(),
                ..entry.clone()
            };
            let mut value = json::value("AuditEntry", &bare)?;
            value["changes"] = json::changes(&entry.changes)?;
            Ok(value)
        })
        .collect();
    Ok(serde_json::json!({ "entries": entries? }))
}
