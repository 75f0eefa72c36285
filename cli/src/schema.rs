//! `evenkeel schema`: the JSON Schema of documents, for editors.

use clap::{Args, ValueEnum};
use evenkeel_shared::document;

use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

/// Arguments of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel schema > evenkeel.schema.json
  evenkeel schema --as markdown > configuration.md

In an editor with the YAML language server, put this on top of a file:
  # yaml-language-server: $schema=./evenkeel.schema.json")]
pub(crate) struct SchemaArgs {
    /// The form.
    #[arg(long = "as", value_name = "FORM", default_value = "json")]
    form: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// JSON Schema.
    Json,
    /// The reference manual.
    Markdown,
}

/// Runs `schema`.
pub(crate) fn run(args: &SchemaArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match args.form {
        Form::Json => terminal.json(&document::schema::json_schema())?,
        Form::Markdown => terminal.text(&document::reference::markdown())?,
    }
    Ok(Verdict::Good)
}
