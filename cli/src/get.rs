//! `evenkeel get`: resources, as they were applied.

use clap::Args;
use evenkeel_shared::proto::v1::{GetRequest, Kind, ListRequest, Resource, ResourceId};

use crate::args::OutputArgs;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::{Format, Terminal, resource};

/// Arguments of `get`.
#[derive(Debug, Args)]
#[command(after_help = "\
Kinds: listeners (ls), routes (rt), clusters (cl), policies (pol),
endpoints (ep), proxygroups (pg), secrets (sec), all

Examples:
  evenkeel get all
  evenkeel get routes
  evenkeel get routes,clusters -o wide
  evenkeel get cluster cart -o yaml
  evenkeel get route/shop cluster/cart -o json")]
pub(crate) struct GetArgs {
    /// KIND, KIND NAME…, or KIND/NAME….
    #[arg(value_name = "KIND[/NAME]", required = true)]
    what: Vec<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
enum Wanted {
    /// All resources of these kinds; all kinds if there is none.
    Kinds(Vec<Kind>),
    /// These resources.
    Named(Vec<ResourceId>),
}

fn wanted(words: &[String]) -> Result<Wanted, Failure> {
    match words {
        [one] if one == "all" => Ok(Wanted::Kinds(Vec::new())),
        [one] if !one.contains('/') => {
            let kinds = one.split(',').map(kind::parse);
            Ok(Wanted::Kinds(kinds.collect::<Result<_, _>>()?))
        }
        several => Ok(Wanted::Named(kind::ids(several)?)),
    }
}

/// Runs `get`.
pub(crate) async fn run(args: &GetArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let wanted = wanted(&args.what)?;
    let mut client = Client::connect(&args.server).await?;
    let format = args.output.output;
    let resources = match &wanted {
        Wanted::Kinds(kinds) => list(&mut client, kinds).await?,
        Wanted::Named(ids) => {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.push(one(&mut client, id).await?);
            }
            found
        }
    };
    match (&wanted, resources.as_slice()) {
        (Wanted::Named(_), [single]) if format == Format::Json => {
            terminal.json(&resource::document(single))?;
        }
        (_, []) if matches!(format, Format::Table | Format::Wide) => {
            terminal.note("no resources found");
        }
        (_, all) => resource::print(terminal, all, format, !args.output.no_headers)?,
    }
    Ok(Verdict::Good)
}

async fn list(client: &mut Client, kinds: &[Kind]) -> Result<Vec<Resource>, Failure> {
    let asked = match kinds {
        [one] => *one,
        _ => Kind::Unspecified,
    };
    let request = ListRequest { kind: asked.into() };
    let answer = client.api.list(request).await;
    let mut resources = answer
        .map_err(|status| client.failure(&status))?
        .into_inner()
        .resources;
    resources.retain(|resource| kinds.is_empty() || kinds.contains(&kind::of(resource)));
    Ok(resources)
}

async fn one(client: &mut Client, id: &ResourceId) -> Result<Resource, Failure> {
    let request = GetRequest {
        id: Some(id.clone()),
    };
    let answer = client.api.get(request).await;
    answer
        .map_err(|status| client.failure(&status))?
        .into_inner()
        .resource
        .ok_or_else(|| Failure::Failed(format!("the server sent no {}", kind::label(id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn kinds_can_be_joined_and_all_is_every_kind() {
        assert_eq!(wanted(&words("all")).unwrap(), Wanted::Kinds(Vec::new()));
        assert_eq!(
            wanted(&words("rt,clusters")).unwrap(),
            Wanted::Kinds(vec![Kind::Route, Kind::Cluster])
        );
        assert_eq!(
            wanted(&words("route shop")).unwrap(),
            Wanted::Named(vec![kind::id(Kind::Route, "shop")])
        );
        assert_eq!(
            wanted(&words("route/shop")).unwrap(),
            Wanted::Named(vec![kind::id(Kind::Route, "shop")])
        );
    }
}
