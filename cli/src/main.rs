//! The one binary of Evenkeel: the control plane, the proxy, a demonstration
//! of both, and the client of the management API.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

mod access;
mod apply;
mod args;
mod audit;
mod auth;
mod author;
mod client;
mod completion;
mod config;
mod context;
mod control_plane;
mod credentials;
mod delete;
mod demo;
mod describe;
mod diff;
mod endpoints;
mod failure;
mod get;
mod grpc;
mod history;
mod kind;
mod link;
mod man;
mod notify;
mod pki;
mod private_file;
mod probe;
mod proxy;
mod render;
mod role;
mod rollback;
mod schema;
mod settings;
mod sim;
mod sources;
mod status;
mod token;
mod validate;
mod version;
mod wait;

use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal, fault};

/// A load balancer for HTTP: a control plane, stateless proxies, and this.
#[derive(Debug, Parser)]
#[command(
    name = "evenkeel",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed (diff: differences; auth can-i: no), 2 usage, 3 configuration
invalid, 4 conflict, 5 server unreachable.")]
struct Cli {
    /// For those who name the server first; near the verb it is the same.
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// The verb, with the server that was named before it.
    ///
    /// # Errors
    /// A server for a verb that talks to none.
    fn into_command(self) -> Result<Command, Failure> {
        let Self {
            server,
            mut command,
        } = self;
        if server.is_empty() {
            return Ok(command);
        }
        match command.server_mut() {
            Some(own) => *own = std::mem::take(own).or(server),
            None => {
                return Err(Failure::Usage(
                    "flags of the server, like --server and --token-file, are for verbs that \
                     talk to a control plane; this one does not"
                        .to_owned(),
                ));
            }
        }
        Ok(command)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a control plane.
    ControlPlane(control_plane::ControlPlaneVerb),
    /// Run a proxy.
    Proxy(proxy::ProxyVerb),
    /// Run a control plane, three proxies and a shop on this machine.
    Demo(demo::DemoArgs),
    /// Check files, without a server.
    Validate(validate::ValidateArgs),
    /// Show what applying files would change.
    Diff(diff::DiffArgs),
    /// Create and change resources.
    Apply(apply::ApplyArgs),
    /// Show resources.
    Get(get::GetArgs),
    /// Show everything known of a resource.
    Describe(describe::DescribeArgs),
    /// Take resources away.
    Delete(delete::DeleteArgs),
    /// Show who changed what, when and why.
    History(history::HistoryArgs),
    /// Go back to an earlier revision.
    Rollback(rollback::RollbackArgs),
    /// Show the proxies and what they have.
    Status(status::StatusArgs),
    /// Show the endpoints of a cluster as the proxies see them.
    Endpoints(endpoints::EndpointsArgs),
    /// Wait until the proxies have a revision.
    Wait(wait::WaitVerbArgs),
    /// Simulate what goes wrong, and tell what clients would notice.
    Sim(sim::SimArgs),
    /// Print the JSON Schema of the files.
    Schema(schema::SchemaArgs),
    /// Make, show and end tokens.
    Token(token::TokenArgs),
    /// Ask who we are to the server, and what we may do.
    Auth(auth::AuthArgs),
    /// Show what was done and refused, by whom.
    Audit(audit::AuditArgs),
    /// Keep a small private authority for certificates.
    Pki(pki::PkiArgs),
    /// Choose the server to talk to.
    Config(config::ConfigArgs),
    /// Talk to any gRPC server.
    Grpc(grpc::GrpcArgs),
    /// Ask an HTTP address whether all is well.
    Probe(probe::ProbeArgs),
    /// Print a completion script for a shell.
    Completion(completion::CompletionArgs),
    /// Print or write manual pages.
    Man(man::ManArgs),
    /// Print the versions of this binary and of the server.
    Version(version::VersionArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut terminal = Terminal::of_process();
    let format = cli.command.format();
    let tells_by_1 = match &cli.command {
        Command::Diff(_) => true,
        Command::Auth(args) => args.tells_by_1(),
        _ => false,
    };
    let done = cli
        .into_command()
        .and_then(|command| run(command, &mut terminal));
    let outcome = done.and_then(|verdict| {
        terminal.flush()?;
        Ok(verdict)
    });
    match outcome {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            fault::report(&mut terminal, &failure, format);
            match failure.exit_code() {
                // 1 would mean that there are differences, or that the answer is no.
                1 if tells_by_1 => ExitCode::from(2),
                code => ExitCode::from(code),
            }
        }
    }
}

fn run(command: Command, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match command {
        Command::Validate(args) => validate::run(&args, terminal),
        Command::Schema(args) => schema::run(&args, terminal),
        Command::Config(args) => config::run(&args, terminal),
        Command::Completion(args) => completion::run(&args, Cli::command(), terminal),
        Command::Man(args) => man::run(&args, Cli::command(), terminal),
        Command::Pki(args) => pki::run(&args, terminal),
        Command::Sim(args) => sim::run(&args, terminal),
        // Many streams and handshakes at once; everything else waits for one
        // thing at a time.
        serving @ Command::ControlPlane(_) => {
            start(&mut Builder::new_multi_thread())?.block_on(ask(serving, terminal))
        }
        other => start(&mut Builder::new_current_thread())?.block_on(ask(other, terminal)),
    }
}

fn start(builder: &mut Builder) -> Result<Runtime, Failure> {
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))
}

/// Runs a verb that talks to somebody.
async fn ask(command: Command, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match command {
        Command::ControlPlane(verb) => control_plane::run(verb).await,
        Command::Proxy(verb) => proxy::run(verb).await,
        Command::Demo(args) => demo::run(&args, terminal).await,
        Command::Diff(args) => diff::run(&args, terminal).await,
        Command::Apply(args) => apply::run(&args, terminal).await,
        Command::Get(args) => get::run(&args, terminal).await,
        Command::Describe(args) => describe::run(&args, terminal).await,
        Command::Delete(args) => delete::run(&args, terminal).await,
        Command::History(args) => history::run(&args, terminal).await,
        Command::Rollback(args) => rollback::run(&args, terminal).await,
        Command::Status(args) => status::run(&args, terminal).await,
        Command::Endpoints(args) => endpoints::run(&args, terminal).await,
        Command::Wait(args) => wait::run(&args, terminal).await,
        Command::Grpc(args) => grpc::run(&args, terminal).await,
        Command::Probe(args) => probe::run(&args, terminal).await,
        Command::Version(args) => version::run(&args, terminal).await,
        Command::Token(args) => token::run(&args, terminal).await,
        Command::Auth(args) => auth::run(&args, terminal).await,
        Command::Audit(args) => audit::run(&args, terminal).await,
        Command::Validate(_)
        | Command::Schema(_)
        | Command::Config(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Pki(_)
        | Command::Sim(_) => Ok(Verdict::Good),
    }
}

impl Command {
    /// How its answer, and therefore its failure, is shown.
    fn format(&self) -> Format {
        match self {
            Self::Validate(args) => args.output,
            Self::Diff(args) => args.output,
            Self::Apply(args) => args.output,
            Self::Get(args) => args.output.output,
            Self::Describe(args) => args.output,
            Self::Delete(args) => args.output,
            Self::History(args) => args.output.output,
            Self::Rollback(args) => args.output,
            Self::Status(args) => args.output.output,
            Self::Endpoints(args) => args.output.output,
            Self::Wait(args) => args.output,
            Self::Config(args) => args.format(),
            Self::Token(args) => args.format(),
            Self::Auth(args) => args.format(),
            Self::Audit(args) => args.output.output,
            Self::Pki(args) => args.format(),
            Self::Sim(args) => args.format(),
            Self::Version(args) => args.output,
            Self::ControlPlane(_)
            | Self::Proxy(_)
            | Self::Demo(_)
            | Self::Schema(_)
            | Self::Grpc(_)
            | Self::Probe(_)
            | Self::Completion(_)
            | Self::Man(_) => Format::Table,
        }
    }

    /// Which server it talks to; none for a verb that talks to no control plane.
    fn server_mut(&mut self) -> Option<&mut ServerArgs> {
        match self {
            Self::Diff(args) => Some(&mut args.server),
            Self::Apply(args) => Some(&mut args.server),
            Self::Get(args) => Some(&mut args.server),
            Self::Describe(args) => Some(&mut args.server),
            Self::Delete(args) => Some(&mut args.server),
            Self::History(args) => Some(&mut args.server),
            Self::Rollback(args) => Some(&mut args.server),
            Self::Status(args) => Some(&mut args.server),
            Self::Endpoints(args) => Some(&mut args.server),
            Self::Wait(args) => Some(&mut args.server),
            Self::Grpc(args) => Some(args.server_mut()),
            Self::Version(args) => Some(&mut args.server),
            Self::Token(args) => Some(args.server_mut()),
            Self::Auth(args) => Some(args.server_mut()),
            Self::Audit(args) => Some(&mut args.server),
            Self::ControlPlane(_)
            | Self::Proxy(_)
            | Self::Demo(_)
            | Self::Validate(_)
            | Self::Schema(_)
            | Self::Config(_)
            | Self::Pki(_)
            | Self::Sim(_)
            | Self::Probe(_)
            | Self::Completion(_)
            | Self::Man(_) => None,
        }
    }
}

#[cfg(test)]
mod session;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("Examples:")),
                "{}",
                verb.get_name()
            );
        }
    }

    #[test]
    fn usage_errors_have_exit_code_2() {
        let error = Cli::try_parse_from(["evenkeel", "apply"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn verbs_take_the_flags_that_people_know() {
        let lines = [
            "apply -f shop.yaml --dry-run -m why --expected-revision 3",
            "apply -f a.yaml -f b/ --wait --timeout 2m --allow-mass-removal",
            "apply -f - --server http://127.0.0.1:1 -o json",
            "get routes,clusters -o wide --no-headers --context lab",
            "delete route shop blog",
            "delete -f shop.yaml",
            "history route/shop --limit 3",
            "rollback --to 7 --wait",
            "wait --revision 12 --timeout 5s",
            "grpc call a.B/C -d {} -H x:y --keep-open",
            "config set-context lab --server http://lab:18001",
            "probe http://127.0.0.1:9901/ready",
            "get all --ca ca.crt --cert me.crt --key me.key --token-file t --server-name cp",
            "config set-context lab --ca ca.crt --token-stdin",
            "token create ci --role write --kind cluster --name a-* --expires 30d -q",
            "token create ci --grant write:Cluster/a-* --grant read --out ci.token -o json",
            "token list --all -o wide",
            "token revoke ci 01J",
            "auth can-i write cluster/cart",
            "auth whoami -o json",
            "audit cluster/cart --limit 5 --subject token/ci --diff",
            "sim list -o name",
            "sim --scenario s1-slow-replica -f shop.yaml --cluster cart --seed 7 -o json",
            "pki issue proxy edge-1 --dir pki --group edge --lifetime 30d",
        ];
        for line in lines {
            let words = std::iter::once("evenkeel").chain(line.split(' '));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn the_server_may_stand_before_the_verb_and_nearer_is_stronger() {
        let server = |line: &str| {
            let words = std::iter::once("evenkeel").chain(line.split(' '));
            let cli = Cli::try_parse_from(words).unwrap();
            let mut command = cli.into_command()?;
            let server = command.server_mut().map(|server| server.server.clone());
            Ok::<_, Failure>(server.flatten())
        };
        let before = server("--server a:1 get routes").unwrap();
        assert_eq!(before.as_deref(), Some("a:1"));
        let nested = server("--server a:1 grpc call a.B/C").unwrap();
        assert_eq!(nested.as_deref(), Some("a:1"));
        let both = server("--context lab get routes --server b:2").unwrap();
        assert_eq!(both.as_deref(), Some("b:2"));
        let refused = server("--server a:1 probe http://127.0.0.1:1/").unwrap_err();
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn completions_know_the_verbs() {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let words = ["evenkeel", "completion", shell];
            let Command::Completion(args) = Cli::try_parse_from(words).unwrap().command else {
                panic!("a completion");
            };
            let (mut terminal, memory) = crate::render::testing::captured();
            completion::run(&args, Cli::command(), &mut terminal).unwrap();
            assert!(memory.out().contains("rollback"), "{shell}");
        }
    }
}
