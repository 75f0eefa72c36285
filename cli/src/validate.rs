//! `evenkeel validate`: is it right? Asks nobody.

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal, fault, json as proto_json};
use crate::sources::{Files, Sources};

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel validate -f shop.yaml
  evenkeel validate -f config/
  generate | evenkeel validate -f - -o json")]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    files: Files,
    /// The files are not everything: do not look for what they refer to.
    #[arg(long)]
    partial: bool,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Runs `validate`.
pub(crate) fn run(args: &ValidateArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let (sources, mut faults) = Sources::read_all(&args.files)?;
    faults.extend(sources.check(!args.partial));
    let count = sources.documents.len();
    if matches!(args.output, Format::Json | Format::Yaml) {
        let mut value = json!({ "valid": faults.is_empty(), "resources": count });
        if !faults.is_empty() {
            value["faults"] = fault::as_json(&Failure::Invalid(faults.clone()))["faults"].take();
        }
        if args.output == Format::Json {
            terminal.json(&value)?;
        } else {
            terminal.text(&proto_json::yaml(&value)?)?;
        }
        let verdict = if faults.is_empty() {
            Verdict::Good
        } else {
            Verdict::Invalid
        };
        return Ok(verdict);
    }
    if !faults.is_empty() {
        return Err(Failure::Invalid(faults));
    }
    if args.output == Format::Name {
        for document in &sources.documents {
            terminal.line(crate::kind::label_of(&document.resource))?;
        }
    } else {
        let plural = if count == 1 { "" } else { "s" };
        terminal.line(format_args!("valid: {count} resource{plural}"))?;
    }
    Ok(Verdict::Good)
}
