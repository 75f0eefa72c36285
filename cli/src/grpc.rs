//! `evenkeel grpc`: talks to any gRPC server that offers reflection, without
//! generated code.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::args::duration;
use crate::context::{self, Environment, ServerArgs};
use crate::failure::{Failure, Verdict};
use crate::link;
use crate::render::Terminal;

mod call;
mod codec;
mod describe;
mod reflection;

#[cfg(test)]
mod tests;

use self::reflection::Reflection;

/// Arguments of `grpc`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel grpc list
  evenkeel grpc list evenkeel.v1.ManagementService
  evenkeel grpc describe evenkeel.v1.ApplyRequest
  evenkeel grpc call evenkeel.v1.ManagementService/Status
  evenkeel grpc call grpc.health.v1.Health/Check -d '{\"service\": \"\"}' --server 127.0.0.1:18000")]
pub(crate) struct GrpcArgs {
    #[command(subcommand)]
    verb: GrpcVerb,
}

impl GrpcArgs {
    /// Which server.
    pub(crate) fn server_mut(&mut self) -> &mut ServerArgs {
        match &mut self.verb {
            GrpcVerb::List { server, .. } | GrpcVerb::Describe { server, .. } => server,
            GrpcVerb::Call(call) => &mut call.server,
        }
    }
}

#[derive(Debug, Subcommand)]
enum GrpcVerb {
    /// Show the services of a server, or the methods of a service.
    List {
        /// Full name of a service.
        service: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show what a service, method, message or enum consists of.
    Describe {
        /// Full name; none is every service.
        symbol: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Call a method.
    Call(CallArgs),
}

/// Arguments of `grpc call`.
#[derive(Debug, Args)]
struct CallArgs {
    /// `SERVICE/METHOD`, for example `evenkeel.v1.ManagementService/Status`.
    #[arg(value_name = "SERVICE/METHOD")]
    method: String,
    /// The request as JSON; several in a row for a streaming method; `-` reads
    /// standard input.
    #[arg(short, long, value_name = "JSON", default_value = "{}")]
    data: String,
    /// Metadata to send along; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// How long the whole call may take [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Show fields that have their default value, too.
    #[arg(long)]
    emit_defaults: bool,
    /// Do not end the stream of requests: keep a streaming call open.
    #[arg(long)]
    keep_open: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs `grpc`.
pub(crate) async fn run(args: &GrpcArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match &args.verb {
        GrpcVerb::List { service, server } => {
            let mut reflection = connect(server).await?;
            list(&mut reflection, service.as_deref(), terminal).await?;
        }
        GrpcVerb::Describe { symbol, server } => {
            let mut reflection = connect(server).await?;
            let symbols = match symbol {
                Some(symbol) => vec![symbol.clone()],
                None => reflection.services().await?,
            };
            for symbol in symbols {
                reflection.learn_symbol(&symbol).await?;
                terminal.text(&describe::symbol(reflection.pool(), &symbol)?)?;
            }
        }
        GrpcVerb::Call(call) => {
            let mut reflection = connect(&call.server).await?;
            call::run(call, &mut reflection, terminal).await?;
        }
    }
    Ok(Verdict::Good)
}

async fn connect(server: &ServerArgs) -> Result<Reflection, Failure> {
    let target = context::target(server, &Environment::of_process())?;
    let link = link::open(&target).await?;
    Ok(Reflection::new(link, target.address))
}

async fn list(
    reflection: &mut Reflection,
    service: Option<&str>,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let Some(service) = service else {
        for name in reflection.services().await? {
            terminal.line(name)?;
        }
        return Ok(());
    };
    reflection.learn_symbol(service).await?;
    let found = reflection
        .pool()
        .get_service_by_name(service)
        .ok_or_else(|| Failure::Failed(format!("`{service}` is not a service")))?;
    for method in found.methods() {
        terminal.line(format_args!("{service}/{}", method.name()))?;
    }
    Ok(())
}
