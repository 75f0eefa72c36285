//! `evenkeel version`: of this binary, and of the server if it answers.

use clap::Args;
use evenkeel_shared::proto::v1::{StatusRequest, StatusResponse};
use serde_json::{Value, json};

use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal, json as proto_json};

/// Version of this binary.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What it was built for, as rustc names it.
const TARGET: &str = env!("EVENKEEL_TARGET");

/// The profile it was built with: `debug` or `release`, also for profiles that
/// inherit from these.
const PROFILE: &str = env!("EVENKEEL_PROFILE");

/// The version of Rust it was built with.
const RUST: &str = env!("EVENKEEL_RUST");

/// Its Cargo features, separated by commas.
const FEATURES: &str = env!("EVENKEEL_FEATURES");

/// Whether it needs no library of the system.
const STATIC: bool = cfg!(target_feature = "crt-static");

/// What it was built from, if whoever built it said so.
const COMMIT: Option<&str> = option_env!("EVENKEEL_COMMIT");

/// Arguments of `version`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel version
  evenkeel version --client
  evenkeel version -o json")]
pub(crate) struct VersionArgs {
    /// Do not ask the server.
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Runs `version`.
pub(crate) async fn run(args: &VersionArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let server = if args.client {
        None
    } else {
        Some(ask(&args.server).await)
    };
    match args.output {
        Format::Json => terminal.json(&value(server.as_ref()))?,
        Format::Yaml => terminal.text(&proto_json::yaml(&value(server.as_ref()))?)?,
        Format::Table | Format::Wide | Format::Name => {
            terminal.line(format_args!("client   {VERSION}"))?;
            match &server {
                None => {}
                Some(Ok((address, status))) => {
                    let version = &status.server_version;
                    let revision = status.revision;
                    terminal.line(format_args!(
                        "server   {version}   {address}, revision {revision}"
                    ))?;
                }
                Some(Err(failure)) => terminal.note(format_args!("server   {failure}")),
            }
        }
    }
    Ok(Verdict::Good)
}

async fn ask(server: &ServerArgs) -> Result<(String, StatusResponse), Failure> {
    let mut client = Client::connect(server).await?;
    let answer = client.api.status(StatusRequest {}).await;
    let answer = answer.map_err(|status| client.failure(&status))?;
    Ok((client.address, answer.into_inner()))
}

/// What is known of this binary.
fn client() -> Value {
    let features = FEATURES.split(',').filter(|name| !name.is_empty());
    let mut client = json!({
        "version": VERSION,
        "target": TARGET,
        "profile": PROFILE,
        "features": features.collect::<Vec<_>>(),
        "static": STATIC,
        "rust": RUST,
    });
    if let Some(commit) = COMMIT.filter(|commit| !commit.is_empty()) {
        client["commit"] = commit.into();
    }
    client
}

fn value(server: Option<&Result<(String, StatusResponse), Failure>>) -> Value {
    let mut value = json!({ "client": client() });
    match server {
        None => {}
        Some(Ok((address, status))) => {
            value["server"] = json!({
                "address": address,
                "version": status.server_version,
                "id": status.control_plane_id,
                "revision": status.revision.to_string(),
            });
        }
        Some(Err(failure)) => value["server"] = json!({ "error": failure.to_string() }),
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_answer_leaves_the_client_version() {
        let silent = Err(Failure::Failed("no answer".to_owned()));
        let value = value(Some(&silent));
        assert_eq!(value["client"]["version"], VERSION);
        assert_eq!(value["server"]["error"], "no answer");
    }

    #[test]
    fn the_build_is_told() {
        let client = client();
        for field in ["version", "target", "profile", "rust"] {
            let told = client[field].as_str();
            assert!(told.is_some_and(|told| !told.is_empty()), "{field}");
        }
        let expected = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        assert_eq!(client["profile"], expected);
        assert!(client["features"].is_array() && client["static"].is_boolean());
    }
}
