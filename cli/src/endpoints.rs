//! `evenkeel endpoints`: the endpoints of a cluster as each proxy sees them.

use clap::Args;
use evenkeel_shared::proto::v1::{EndpointState, ListEndpointsRequest, ListEndpointsResponse};

use crate::args::OutputArgs;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::table::Columns;
use crate::render::{Format, Terminal, json, time};

/// Arguments of `endpoints`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel endpoints cart
  evenkeel endpoints cart -o wide")]
pub(crate) struct EndpointsArgs {
    /// Name of the cluster.
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs `endpoints`.
pub(crate) async fn run(args: &EndpointsArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let mut client = Client::connect(&args.server).await?;
    let request = ListEndpointsRequest {
        cluster: args.cluster.trim_start_matches("cluster/").to_owned(),
    };
    let answer = client.api.list_endpoints(request).await;
    let answer = answer
        .map_err(|status| client.failure(&status))?
        .into_inner();
    let name = "ListEndpointsResponse";
    match args.output.output {
        Format::Json => terminal.json(&json::value(name, &answer)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::value(name, &answer)?)?)?,
        Format::Name => addresses(terminal, &answer)?,
        format => {
            let table = table(&answer, format == Format::Wide);
            if table.is_empty() {
                terminal.note("no proxy told of endpoints");
            } else {
                table.print(terminal, !args.output.no_headers)?;
            }
        }
    }
    if !answer.silent.is_empty() {
        terminal.note(format_args!(
            "no answer in time from {}",
            answer.silent.join(", ")
        ));
    }
    Ok(Verdict::Good)
}

fn addresses(terminal: &mut Terminal, answer: &ListEndpointsResponse) -> std::io::Result<()> {
    let mut addresses: Vec<&str> = answer
        .proxies
        .iter()
        .flat_map(|proxy| proxy.endpoints.iter())
        .map(|endpoint| endpoint.address.as_str())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
        .into_iter()
        .try_for_each(|address| terminal.line(address))
}

/// One line per proxy: how many endpoints it would choose from.
pub(crate) fn health(answer: &ListEndpointsResponse) -> String {
    let mut columns = Columns::new(&["PROXY", "HEALTHY", "NOTE"]);
    for proxy in &answer.proxies {
        let healthy = proxy.endpoints.iter().filter(|one| one.healthy).count();
        let note = if proxy.panic {
            "health is ignored: too few are healthy"
        } else {
            ""
        };
        columns.row([
            proxy.proxy.clone(),
            format!("{healthy} of {}", proxy.endpoints.len()),
            note.to_owned(),
        ]);
    }
    for silent in &answer.silent {
        let note = "no answer in time";
        columns.row([silent.clone(), String::new(), note.to_owned()]);
    }
    if columns.is_empty() {
        return "no proxy told of endpoints".to_owned();
    }
    columns.render(true)
}

/// One line per endpoint and proxy.
pub(crate) fn table(answer: &ListEndpointsResponse, wide: bool) -> Columns {
    let mut heading = vec![
        "ADDRESS",
        "PROXY",
        "STATE",
        "BACK-IN",
        "IN-FLIGHT",
        "REQUESTS",
        "FAILURES",
    ];
    if wide {
        heading.extend(["WEIGHT", "CONNECTIONS"]);
    }
    let mut columns = Columns::new(&heading);
    for (proxy, endpoint) in rows(answer) {
        let mut cells = vec![
            endpoint.address.clone(),
            proxy.proxy.clone(),
            state(endpoint, proxy.panic),
            time::span(endpoint.ejected_for.as_ref()),
            endpoint.in_flight.to_string(),
            endpoint.requests.to_string(),
            endpoint.failures.to_string(),
        ];
        if wide {
            cells.extend([
                endpoint.weight.to_string(),
                endpoint.connections.to_string(),
            ]);
        }
        columns.row(cells);
    }
    columns
}

/// Every endpoint of every proxy, those of one address together.
fn rows(
    answer: &ListEndpointsResponse,
) -> Vec<(&evenkeel_shared::proto::v1::ProxyEndpoints, &EndpointState)> {
    let mut rows: Vec<_> = answer
        .proxies
        .iter()
        .flat_map(|proxy| {
            proxy
                .endpoints
                .iter()
                .map(move |endpoint| (proxy, endpoint))
        })
        .collect();
    rows.sort_by(|(one, left), (other, right)| {
        (&left.address, &one.proxy).cmp(&(&right.address, &other.proxy))
    });
    rows
}

fn state(endpoint: &EndpointState, panic: bool) -> String {
    let state = match (endpoint.healthy, endpoint.reason.as_str()) {
        (true, _) => "healthy",
        (false, "") => "unhealthy",
        (false, reason) => reason,
    };
    if panic && !endpoint.healthy {
        format!("{state} (ignored: too few are healthy)")
    } else {
        state.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::proto::v1::ProxyEndpoints;

    use super::*;

    #[test]
    fn the_views_of_all_proxies_on_one_endpoint_stand_together() {
        let healthy = EndpointState {
            address: "127.0.0.1:9001".to_owned(),
            healthy: true,
            requests: 100,
            ..EndpointState::default()
        };
        let ejected = EndpointState {
            healthy: false,
            reason: "ejected: consecutive_5xx".to_owned(),
            ejected_for: Some(prost_types::Duration {
                seconds: 2,
                nanos: 500_000_000,
            }),
            failures: 5,
            ..healthy.clone()
        };
        let proxy = |name: &str, endpoint: EndpointState| ProxyEndpoints {
            proxy: name.to_owned(),
            endpoints: vec![endpoint],
            panic: false,
        };
        let answer = ListEndpointsResponse {
            proxies: vec![proxy("edge-1", healthy), proxy("edge-2", ejected)],
            silent: Vec::new(),
        };
        insta::assert_snapshot!(table(&answer, false).render(true), @r"
        ADDRESS          PROXY    STATE                      BACK-IN   IN-FLIGHT   REQUESTS   FAILURES
        127.0.0.1:9001   edge-1   healthy                    -         0           100        0
        127.0.0.1:9001   edge-2   ejected: consecutive_5xx   2.5s      0           100        5
        ");
    }
}
