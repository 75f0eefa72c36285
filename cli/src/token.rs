//! `evenkeel token`: who is let in, to do what, and until when.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use evenkeel_shared::proto::v1::{
    CreateTokenRequest, Grant, Kind, ListTokensRequest, RevokeTokenRequest, Token,
};
use evenkeel_shared::secret::SecretBytes;
use jiff::Timestamp;

use crate::access::{self, RoleWord};
use crate::args::{OutputArgs, lifetime};
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::table::Columns;
use crate::render::{Format, Terminal, json, one_line, time};

mod made;

use self::made::{Made, NewFile};

/// Arguments of `token`.
#[derive(Debug, Args)]
#[command(after_help = "\
A token is shown once, when it is made. Keep it in a file that only you can read,
and give it with --token-file, EVENKEEL_TOKEN_FILE, EVENKEEL_TOKEN or in a context.
There is no flag for the token itself: others could read it in the process list.

Examples:
  evenkeel token create ci --role write --kind cluster --name 'shop-*' --expires 30d
  evenkeel token create ci --grant write:Cluster/shop-* --grant read --out ci.token
  evenkeel token create alice --role admin --certificate spiffe://evenkeel/admin/alice
  evenkeel token list
  evenkeel token revoke ci")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

impl TokenArgs {
    /// Which server.
    pub(crate) fn server_mut(&mut self) -> &mut ServerArgs {
        match &mut self.verb {
            TokenVerb::Create(args) => &mut args.server,
            TokenVerb::List { server, .. } | TokenVerb::Revoke { server, .. } => server,
        }
    }

    /// How to show the answer.
    pub(crate) fn format(&self) -> Format {
        match &self.verb {
            TokenVerb::Create(args) => args.output,
            TokenVerb::List { output, .. } => output.output,
            TokenVerb::Revoke { output, .. } => *output,
        }
    }
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Make a token, or let a certificate's name in.
    Create(Box<CreateArgs>),
    /// Show tokens, without their secrets.
    List {
        /// Also those that have ended.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End tokens at once.
    Revoke {
        /// Ids or names.
        #[arg(value_name = "ID|NAME", required = true)]
        tokens: Vec<String>,
        #[command(flatten)]
        server: ServerArgs,
        /// How to show the answer.
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Format,
    },
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
struct CreateArgs {
    /// What people call it.
    name: String,
    /// What it may do.
    #[arg(long)]
    role: Option<RoleWord>,
    /// With --role: on resources of this kind only.
    #[arg(long, value_name = "KIND", requires = "role", value_parser = kind_word)]
    kind: Option<Kind>,
    /// With --role: on resources of this name only, with `*` at the end for any
    /// rest; may be given several times.
    #[arg(long = "name", value_name = "PATTERN", requires = "role", value_parser = access::pattern)]
    patterns: Vec<String>,
    /// A role on some resources, `ROLE[:KIND[/PATTERN]]`; may be given several
    /// times.
    #[arg(long = "grant", value_name = "GRANT", value_parser = access::parse)]
    grants: Vec<Grant>,
    /// How long it holds, for example 30d [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Instead of a token: let a client in whose certificate carries this name
    /// (URI or DNS).
    #[arg(long, value_name = "SAN", conflicts_with = "out")]
    certificate: Option<String>,
    /// Write the token to a new file that only its owner can read.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// How to show the answer; `name` prints only the token.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Print only the token.
    #[arg(short, long, conflicts_with = "output")]
    quiet: bool,
}

fn kind_word(text: &str) -> Result<Kind, String> {
    kind::parse(text).map_err(|failure| failure.to_string())
}

/// Runs `token`.
pub(crate) async fn run(args: &TokenArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match &args.verb {
        TokenVerb::Create(args) => create(args, terminal).await?,
        TokenVerb::List {
            all,
            server,
            output,
        } => list(*all, server, *output, terminal).await?,
        TokenVerb::Revoke {
            tokens,
            server,
            output,
        } => revoke(tokens, server, *output, terminal).await?,
    }
    Ok(Verdict::Good)
}

async fn create(args: &CreateArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let request = CreateTokenRequest {
        name: args.name.clone(),
        grants: access::grants(args.role, args.kind, &args.patterns, &args.grants)?,
        lifetime: args.expires.map(|lifetime| prost_types::Duration {
            seconds: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
            nanos: 0,
        }),
        certificate: args.certificate.clone().unwrap_or_default(),
    };
    // Before there is a token that could be lost.
    let file = args.out.as_deref().map(NewFile::reserve).transpose()?;
    let mut client = Client::connect(&args.server).await?;
    let answer = client.access.create_token(request).await;
    let mut answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    let secret = SecretBytes::new(std::mem::take(&mut answer.secret).into_bytes());
    let path = file.map(|file| file.fill(&secret)).transpose()?;
    let format = if args.quiet {
        Format::Name
    } else {
        args.output
    };
    let made = Made {
        answer,
        secret,
        path,
    };
    made.show(format, terminal)
}

fn label(token: &Token) -> String {
    format!("token/{}", token.name)
}

fn until(time: Option<&prost_types::Timestamp>) -> String {
    match time {
        None => "never".to_owned(),
        Some(_) => time::at(time),
    }
}

async fn list(
    all: bool,
    server: &ServerArgs,
    output: OutputArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut client = Client::connect(server).await?;
    let answer = client.access.list_tokens(ListTokensRequest { all }).await;
    let answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    match output.output {
        Format::Json => terminal.json(&json::value("ListTokensResponse", &answer)?)?,
        Format::Yaml => {
            terminal.text(&json::yaml(&json::value("ListTokensResponse", &answer)?)?)?;
        }
        Format::Name => {
            for token in &answer.tokens {
                terminal.line(label(token))?;
            }
        }
        Format::Table | Format::Wide if answer.tokens.is_empty() => {
            terminal.note("no tokens found");
        }
        format => {
            let columns = table(&answer.tokens, format == Format::Wide, Timestamp::now());
            columns.print(terminal, !output.no_headers)?;
        }
    }
    Ok(())
}

fn table(tokens: &[Token], wide: bool, now: Timestamp) -> Columns {
    let mut heading = vec!["NAME", "ID", "STATE", "MAY", "EXPIRES", "LAST-USED"];
    if wide {
        heading.extend(["CREATED", "CREATED-BY", "CERTIFICATE"]);
    }
    let mut columns = Columns::new(&heading);
    for token in tokens {
        let used = token.last_used.as_ref();
        let mut cells = vec![
            token.name.clone(),
            token.id.clone(),
            state(token, now).to_owned(),
            access::words(&token.grants),
            until(token.expires.as_ref()),
            used.map_or_else(
                || "never".to_owned(),
                |used| format!("{} ago", time::age(now, Some(used))),
            ),
        ];
        if wide {
            cells.extend([
                time::at(token.created.as_ref()),
                token.created_by.clone(),
                token.certificate.clone(),
            ]);
        }
        columns.row(cells);
    }
    columns
}

fn state(token: &Token, now: Timestamp) -> &'static str {
    let expires = token.expires.as_ref();
    if token.revoked.is_some() {
        "revoked"
    } else if expires.is_some_and(|end| end.seconds <= now.as_second()) {
        "expired"
    } else {
        "valid"
    }
}

async fn revoke(
    tokens: &[String],
    server: &ServerArgs,
    output: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut client = Client::connect(server).await?;
    for word in tokens {
        let request = RevokeTokenRequest {
            token: word.strip_prefix("token/").unwrap_or(word).to_owned(),
        };
        let answer = client.access.revoke_token(request).await;
        let answer = answer
            .map_err(|status| client.failure(&status))?
            .into_inner();
        let token = answer.token.clone().unwrap_or_default();
        match output {
            Format::Json => terminal.json(&json::value("RevokeTokenResponse", &answer)?)?,
            Format::Yaml => {
                let value = json::value("RevokeTokenResponse", &answer)?;
                terminal.text(&format!("---\n{}", json::yaml(&value)?))?;
            }
            Format::Name => terminal.line(label(&token))?,
            Format::Table | Format::Wide => {
                let (label, id) = (one_line(&label(&token)), one_line(&token.id));
                terminal.line(format_args!("{label} revoked (id {id})"))?;
            }
        }
    }
    Ok(())
}
