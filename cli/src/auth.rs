//! `evenkeel auth`: who are we to the server, and may we?

use clap::{Args, Subcommand};
use evenkeel_shared::proto::v1::{
    CanIRequest, Kind, ResourceId, Role, WhoAmIRequest, WhoAmIResponse,
};

use crate::access::{self, RoleWord};
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::table::Columns;
use crate::render::{Format, GREEN, RED, Terminal, json, one_line, styled, time};

/// Arguments of `auth`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code of can-i: 0 yes, 1 no, 2 and above an error.

Examples:
  evenkeel auth whoami
  evenkeel auth can-i write cluster/cart && evenkeel apply -f cart.yaml
  evenkeel auth can-i admin")]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    verb: AuthVerb,
}

#[derive(Debug, Subcommand)]
enum AuthVerb {
    /// Show who we are to the server, how it knows, and what we may do.
    Whoami {
        #[command(flatten)]
        server: ServerArgs,
        /// How to show the answer.
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Format,
    },
    /// Ask whether we may do something.
    CanI {
        /// The role that it needs.
        role: RoleWord,
        /// On all resources of a kind, or on one [default: on everything]
        #[arg(value_name = "KIND[/NAME]")]
        what: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
        /// How to show the answer.
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Format,
    },
}

impl AuthArgs {
    /// Which server.
    pub(crate) fn server_mut(&mut self) -> &mut ServerArgs {
        match &mut self.verb {
            AuthVerb::Whoami { server, .. } | AuthVerb::CanI { server, .. } => server,
        }
    }

    /// How to show the answer.
    pub(crate) fn format(&self) -> Format {
        match &self.verb {
            AuthVerb::Whoami { output, .. } | AuthVerb::CanI { output, .. } => *output,
        }
    }

    /// Whether exit code 1 is an answer.
    pub(crate) fn tells_by_1(&self) -> bool {
        matches!(self.verb, AuthVerb::CanI { .. })
    }
}

/// Runs `auth`.
pub(crate) async fn run(args: &AuthArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match &args.verb {
        AuthVerb::Whoami { server, output } => {
            let mut client = Client::connect(server).await?;
            let answer = client.access.who_am_i(WhoAmIRequest {}).await;
            let answer = answer.map_err(|status| client.failure(&status))?;
            whoami(&answer.into_inner(), *output, terminal)?;
            Ok(Verdict::Good)
        }
        AuthVerb::CanI {
            role,
            what,
            server,
            output,
        } => {
            let request = CanIRequest {
                role: Role::from(*role).into(),
                id: what.as_deref().map(target).transpose()?,
            };
            let mut client = Client::connect(server).await?;
            can_i(&mut client, request, *output, terminal).await
        }
    }
}

/// Reads `cluster`, `cluster/cart`.
fn target(text: &str) -> Result<ResourceId, Failure> {
    if text.contains('/') {
        kind::slashed(text)
    } else {
        let kind: Kind = kind::parse(text)?;
        Ok(kind::id(kind, ""))
    }
}

fn whoami(answer: &WhoAmIResponse, output: Format, terminal: &mut Terminal) -> Result<(), Failure> {
    match output {
        Format::Json => terminal.json(&json::value("WhoAmIResponse", answer)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::value("WhoAmIResponse", answer)?)?)?,
        Format::Name => terminal.line(one_line(&answer.subject))?,
        Format::Table | Format::Wide => {
            let expires = match &answer.expires {
                None => "never".to_owned(),
                Some(_) => time::at(answer.expires.as_ref()),
            };
            let mut columns = Columns::new(&["", ""]);
            for (name, fact) in [
                ("subject", answer.subject.clone()),
                ("known by", answer.method.clone()),
                ("may", access::words(&answer.grants)),
                ("expires", expires),
            ] {
                columns.row([name.to_owned(), fact]);
            }
            columns.print(terminal, false)?;
        }
    }
    Ok(())
}

async fn can_i(
    client: &mut Client,
    request: CanIRequest,
    output: Format,
    terminal: &mut Terminal,
) -> Result<Verdict, Failure> {
    let answer = client.access.can_i(request).await;
    let answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    match output {
        Format::Json => terminal.json(&json::value("CanIResponse", &answer)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::value("CanIResponse", &answer)?)?)?,
        Format::Name => terminal.line(if answer.allowed { "yes" } else { "no" })?,
        Format::Table | Format::Wide => {
            let word = if answer.allowed {
                styled(GREEN, "yes")
            } else {
                styled(RED, "no")
            };
            let reason = one_line(&answer.reason);
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            terminal.line(format_args!("{word}{reason}"))?;
        }
    }
    Ok(if answer.allowed {
        Verdict::Good
    } else {
        Verdict::Bad
    })
}
