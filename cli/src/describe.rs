//! `evenkeel describe`: everything known of a resource.

use std::fmt::Write;

use clap::Args;
use evenkeel_shared::proto::v1::{
    DescribeRequest, DescribeResponse, Kind, ListEndpointsRequest, ListEndpointsResponse,
    Rejection, ResourceId, Revision,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::client::Client;
use crate::context::ServerArgs;
use crate::endpoints;
use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::table::Columns;
use crate::render::{BOLD, Format, RED, Terminal, json, one_line, resource, styled, time};

/// Arguments of `describe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel describe route shop
  evenkeel describe cluster/cart -o json")]
pub(crate) struct DescribeArgs {
    /// KIND NAME…, or KIND/NAME….
    #[arg(value_name = "KIND[/NAME]", required = true)]
    what: Vec<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Runs `describe`.
pub(crate) async fn run(args: &DescribeArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let ids = kind::ids(&args.what)?;
    let mut client = Client::connect(&args.server).await?;
    let mut values = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let answer = ask(&mut client, id).await?;
        match args.output {
            Format::Json | Format::Yaml => values.push(value(&answer)?),
            Format::Name => terminal.line(kind::label(id))?,
            Format::Table | Format::Wide => {
                let endpoints = seen(&mut client, id).await;
                if index > 0 {
                    terminal.line("")?;
                }
                terminal.text(&text(id, &answer, endpoints.as_ref(), Timestamp::now()))?;
            }
        }
    }
    for (index, value) in values.iter().enumerate() {
        match args.output {
            Format::Json => terminal.json(value)?,
            _ if index > 0 => terminal.text(&format!("---\n{}", json::yaml(value)?))?,
            _ => terminal.text(&json::yaml(value)?)?,
        }
    }
    Ok(Verdict::Good)
}

async fn ask(client: &mut Client, id: &ResourceId) -> Result<DescribeResponse, Failure> {
    let request = DescribeRequest {
        id: Some(id.clone()),
    };
    let answer = client.api.describe(request).await;
    Ok(answer
        .map_err(|status| client.failure(&status))?
        .into_inner())
}

/// The endpoints of a cluster as the proxies see them. Not knowing them is no
/// reason to say nothing.
async fn seen(client: &mut Client, id: &ResourceId) -> Option<ListEndpointsResponse> {
    if id.kind() != Kind::Cluster {
        return None;
    }
    let request = ListEndpointsRequest {
        cluster: id.name.clone(),
    };
    let answer = client.api.list_endpoints(request).await.ok()?;
    Some(answer.into_inner())
}

fn value(answer: &DescribeResponse) -> Result<Value, Failure> {
    let bare = DescribeResponse {
        resource: None,
        ..answer.clone()
    };
    let mut value = json::value("DescribeResponse", &bare)?;
    if let Some(resource) = &answer.resource {
        value["resource"] = resource::document(resource);
    }
    Ok(value)
}

fn text(
    id: &ResourceId,
    answer: &DescribeResponse,
    endpoints: Option<&ListEndpointsResponse>,
    now: Timestamp,
) -> String {
    let mut text = String::new();
    let facts = [
        ("Name", id.name.clone()),
        ("Kind", kind::word(id.kind()).to_owned()),
        ("Changed", changed(answer.changed.as_ref(), now)),
        ("Refers to", labels(&answer.refers_to)),
        ("Referenced by", labels(&answer.referenced_by)),
    ];
    for (name, fact) in facts {
        let title = format!("{name}:");
        let title = styled(BOLD, format_args!("{title:<15}"));
        let _ = writeln!(text, "{title} {fact}");
    }
    if !answer.rejections.is_empty() {
        section(
            &mut text,
            &styled(RED, "Refused by"),
            &rejections(&answer.rejections, now),
        );
    }
    if !answer.effective.is_empty() {
        let mut columns = Columns::new(&["FIELD", "VALUE", "ORIGIN"]);
        for value in &answer.effective {
            columns.row([
                value.path.clone(),
                value.value.clone(),
                value.origin.clone(),
            ]);
        }
        section(&mut text, "Effective", &columns.render(true));
    }
    if let Some(endpoints) = endpoints {
        section(&mut text, "Health", &endpoints::health(endpoints));
        let table = endpoints::table(endpoints, false);
        if !table.is_empty() {
            section(&mut text, "Endpoints", &table.render(true));
        }
    }
    if let Some(resource) = &answer.resource {
        section(&mut text, "Document", &resource::yaml(resource));
    }
    text
}

fn changed(revision: Option<&Revision>, now: Timestamp) -> String {
    let Some(revision) = revision else {
        return "-".to_owned();
    };
    let mut text = format!(
        "revision {}, {} ago by {}",
        revision.revision,
        time::age(now, revision.time.as_ref()),
        one_line(&revision.author)
    );
    if !revision.message.is_empty() {
        text.push_str(": ");
        text.push_str(&one_line(&revision.message));
    }
    text
}

fn labels(ids: &[ResourceId]) -> String {
    if ids.is_empty() {
        return "-".to_owned();
    }
    let labels: Vec<String> = ids.iter().map(kind::label).collect();
    labels.join(", ")
}

fn rejections(rejections: &[Rejection], now: Timestamp) -> String {
    let mut columns = Columns::new(&["PROXY", "REVISION", "AGE", "TYPE", "NAME", "REASON"]);
    for one in rejections {
        columns.row([
            one.proxy.clone(),
            one.revision.to_string(),
            time::age(now, one.time.as_ref()),
            one.r#type.clone(),
            one.name.clone(),
            one.detail.clone(),
        ]);
    }
    columns.render(true)
}

fn section(text: &mut String, title: &str, body: &str) {
    let _ = writeln!(text, "{}", styled(BOLD, format_args!("{title}:")));
    for line in body.lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::document;
    use evenkeel_shared::proto::v1::EffectiveValue;

    use super::*;

    #[test]
    fn a_description_reads_from_the_name_down_to_the_document() {
        let source = "kind: Cluster\nname: cart\nspec: {endpoints: {ref: carts}}\n";
        let resource = document::read("t", source).unwrap().remove(0).resource;
        let answer = DescribeResponse {
            resource: Some(resource),
            changed: Some(Revision {
                revision: 12,
                author: "alice@laptop".to_owned(),
                message: "spring sale".to_owned(),
                time: Some(prost_types::Timestamp {
                    seconds: 1000,
                    nanos: 0,
                }),
                ..Revision::default()
            }),
            effective: vec![EffectiveValue {
                path: "loadBalancer.panicThreshold".to_owned(),
                value: "50".to_owned(),
                origin: "default".to_owned(),
            }],
            refers_to: vec![kind::id(Kind::Endpoints, "carts")],
            ..DescribeResponse::default()
        };
        let id = kind::id(Kind::Cluster, "cart");
        let now = Timestamp::from_second(1090).unwrap();
        let shown = anstream::adapter::strip_str(&text(&id, &answer, None, now)).to_string();
        insta::assert_snapshot!(shown, @r"
        Name:           cart
        Kind:           Cluster
        Changed:        revision 12, 90s ago by alice@laptop: spring sale
        Refers to:      endpoints/carts
        Referenced by:  -
        Effective:
          FIELD                         VALUE   ORIGIN
          loadBalancer.panicThreshold   50      default
        Document:
          kind: Cluster
          name: cart
          spec:
            endpoints:
              ref: carts
        ");
    }
}
