//! A proxy as far as the control plane can tell: it subscribes as ours does, and
//! accepts whatever comes.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Context;

use super::board::Board;
use super::configuration::{Sizes, source};
use super::grpc::{Call, Channel};
use super::wire::{DeltaRequest, DeltaResponse, Node};

const ADS: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ASSIGNMENT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// What it still lacks of the first configuration.
#[derive(Debug)]
struct Missing {
    clusters: usize,
    assignments: usize,
    tables: usize,
}

/// Lives until the control plane is gone.
///
/// # Errors
/// How the stream ended.
pub(super) async fn live(
    number: u16,
    to: SocketAddr,
    sizes: Sizes,
    board: Rc<Board>,
) -> anyhow::Result<()> {
    let mut stream = open(number, to).await?;
    let mut missing = Missing {
        clusters: sizes.clusters,
        assignments: sizes.clusters,
        tables: 1,
    };
    while !missing.is_nothing() {
        let (_, response) = accept_next(&mut stream).await?;
        let names = response.resources.len();
        let resources = response.resources.into_iter();
        let names_of = || resources.map(|resource| resource.name).collect();
        match response.type_url.as_str() {
            CLUSTER => {
                missing.clusters = missing.clusters.saturating_sub(names);
                subscribe(&mut stream, ASSIGNMENT, names_of())?;
            }
            ASSIGNMENT => missing.assignments = missing.assignments.saturating_sub(names),
            // Our control plane calls the routes of a listener as it is called.
            LISTENER => subscribe(&mut stream, ROUTES, names_of())?,
            ROUTES => missing.tables = missing.tables.saturating_sub(names),
            _ => {}
        }
    }
    board.ready();
    loop {
        let (revision, _) = accept_next(&mut stream).await?;
        board.accepted(revision);
    }
}

/// Asks for all clusters and listeners.
async fn open(number: u16, to: SocketAddr) -> anyhow::Result<Call> {
    let channel = Channel::open(source(number), to).await?;
    let mut stream = channel.call(ADS).await?;
    for (first, kind) in [(true, CLUSTER), (false, LISTENER)] {
        let node = first.then(|| Node {
            id: format!("proxy-{number}"),
        });
        let request = DeltaRequest {
            node,
            type_url: kind.to_owned(),
            subscribe: vec!["*".to_owned()],
            response_nonce: String::new(),
        };
        stream.send(&request, false)?;
    }
    Ok(stream)
}

/// Takes the next response and accepts it; with its revision.
async fn accept_next(stream: &mut Call) -> anyhow::Result<(u64, DeltaResponse)> {
    let response: DeltaResponse = stream.next().await?.context("the stream has ended")?;
    let revision = response.system_version_info.parse().context("revision")?;
    let accept = DeltaRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaRequest::default()
    };
    stream.send(&accept, false)?;
    Ok((revision, response))
}

impl Missing {
    fn is_nothing(&self) -> bool {
        self.clusters + self.assignments + self.tables == 0
    }
}

fn subscribe(stream: &mut Call, kind: &str, names: Vec<String>) -> anyhow::Result<()> {
    let request = DeltaRequest {
        type_url: kind.to_owned(),
        subscribe: names,
        ..DeltaRequest::default()
    };
    stream.send(&request, false)
}
