//! A whole control plane on real sockets, real gRPC clients, a real store.

use std::path::Path;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::rpc::Status as Detail;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::fleet_service_client::FleetServiceClient;
use evenkeel_shared::proto::v1::management_service_client::ManagementServiceClient;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::v1::{report_request, report_response};
use evenkeel_shared::xds::ResourceType;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

use crate::app::{self, Addresses};
use crate::config::ControlPlaneArgs;

mod access;
mod changes;
mod proxies;
mod secrets;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

struct Plane {
    addresses: Addresses,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Plane {
    async fn start(directory: &Path) -> Self {
        Self::start_with(directory, false).await
    }

    async fn start_with(directory: &Path, require_auth: bool) -> Self {
        let args = ControlPlaneArgs {
            require_auth,
            ..arguments(directory)
        };
        let shutdown = CancellationToken::new();
        let (told, ready) = oneshot::channel();
        let token = shutdown.clone();
        let task = tokio::spawn(app::run(args, token, |addresses| {
            told.send(addresses).unwrap();
        }));
        let addresses = ready.await.unwrap();
        Self {
            addresses,
            shutdown,
            task,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    async fn client(&self) -> ManagementServiceClient<Channel> {
        let url = format!("http://{}", self.addresses.api);
        ManagementServiceClient::connect(url).await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.addresses.admin)
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text))
            .await
            .unwrap()
            .unwrap();
        text
    }
}

fn arguments(directory: &Path) -> ControlPlaneArgs {
    let any = "127.0.0.1:0".parse().unwrap();
    ControlPlaneArgs {
        data_dir: directory.to_owned(),
        xds_listen: any,
        api_listen: any,
        admin_listen: any,
        id: "cp-1".to_owned(),
        tls_cert: None,
        tls_key: None,
        client_ca: None,
        insecure: false,
        require_auth: false,
    }
}

fn cluster(name: &str, ports: &[u16]) -> v1::Resource {
    let addresses = ports.iter().map(|port| v1::Endpoint {
        address: format!("127.0.0.1:{port}"),
        ..v1::Endpoint::default()
    });
    let endpoints = v1::ClusterEndpoints {
        r#static: addresses.collect(),
        ..v1::ClusterEndpoints::default()
    };
    resource(
        name,
        Spec::Cluster(v1::Cluster {
            endpoints: Some(endpoints),
            ..v1::Cluster::default()
        }),
    )
}

fn listener(name: &str, port: u16) -> v1::Resource {
    resource(
        name,
        Spec::Listener(v1::Listener {
            address: format!("127.0.0.1:{port}"),
            ..v1::Listener::default()
        }),
    )
}

/// A route of a listener to clusters, one rule each.
fn route(name: &str, listener: &str, clusters: &[&str]) -> v1::Resource {
    let rules = clusters.iter().map(|cluster| v1::RouteRule {
        name: format!("{name}-{cluster}"),
        clusters: vec![v1::WeightedCluster {
            name: (*cluster).to_owned(),
            ..v1::WeightedCluster::default()
        }],
        ..v1::RouteRule::default()
    });
    resource(
        name,
        Spec::Route(v1::Route {
            listeners: vec![listener.to_owned()],
            rules: rules.collect(),
            ..v1::Route::default()
        }),
    )
}

fn resource(name: &str, spec: Spec) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        spec: Some(spec),
    }
}

fn shop() -> Vec<v1::Resource> {
    vec![
        cluster("api", &[9001, 9002]),
        listener("web", 8080),
        route("web", "web", &["api"]),
    ]
}

fn apply(resources: Vec<v1::Resource>) -> v1::ApplyRequest {
    v1::ApplyRequest {
        resources,
        ..v1::ApplyRequest::default()
    }
}

fn delete(kind: v1::Kind, name: &str) -> v1::ApplyRequest {
    v1::ApplyRequest {
        deletions: vec![id(kind, name)],
        ..v1::ApplyRequest::default()
    }
}

fn id(kind: v1::Kind, name: &str) -> v1::ResourceId {
    v1::ResourceId {
        kind: kind.into(),
        name: name.to_owned(),
    }
}

/// What a proxy does with a response; `Some` refuses it with this text.
type Judge = fn(&DeltaDiscoveryResponse) -> Option<String>;

fn content(_: &DeltaDiscoveryResponse) -> Option<String> {
    None
}

/// A proxy that takes everything, follows references, and answers as its judge
/// says.
struct Proxy {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    judge: Judge,
}

impl Proxy {
    async fn connect(plane: &Plane, id: &str, judge: Judge) -> Self {
        let url = format!("http://{}", plane.addresses.xds);
        let mut client = AggregatedDiscoveryServiceClient::connect(url)
            .await
            .unwrap();
        let (requests, receiver) = mpsc::channel(64);
        let first = DeltaDiscoveryRequest {
            node: Some(core::Node {
                id: id.to_owned(),
                user_agent_name: "tester".to_owned(),
                ..core::Node::default()
            }),
            ..request(ResourceType::Cluster)
        };
        requests.send(first).await.unwrap();
        requests
            .send(request(ResourceType::Listener))
            .await
            .unwrap();
        let outbound = ReceiverStream::new(receiver);
        let responses = client.delta_aggregated_resources(outbound).await.unwrap();
        Self {
            requests,
            responses: responses.into_inner(),
            judge,
        }
    }

    /// Reads one response and answers it.
    async fn step(&mut self) -> Result<DeltaDiscoveryResponse, tonic::Status> {
        let next = timeout(PATIENCE, self.responses.message()).await.unwrap();
        let response = next?.ok_or_else(|| tonic::Status::ok("ended"))?;
        let refusal = (self.judge)(&response);
        let mut wanted = Vec::new();
        for resource in &response.resources {
            let kind = ResourceType::from_type_url(&response.type_url).unwrap();
            match kind {
                ResourceType::Cluster => wanted.push((
                    ResourceType::Assignment,
                    format!("static/{}", resource.name),
                )),
                ResourceType::Listener => {
                    wanted.push((ResourceType::RouteTable, resource.name.clone()));
                }
                _ => {}
            }
        }
        let refused = refusal.is_some();
        let answer = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: refusal.map(|message| Detail {
                code: 3,
                message,
                ..Detail::default()
            }),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(answer).await.unwrap();
        for (kind, name) in wanted.into_iter().filter(|_| !refused) {
            let request = DeltaDiscoveryRequest {
                resource_names_subscribe: vec![name],
                ..request(kind)
            };
            self.requests.send(request).await.unwrap();
        }
        Ok(response)
    }

    /// Goes on until the stream ends.
    fn run(mut self) -> JoinHandle<tonic::Status> {
        tokio::spawn(async move {
            loop {
                if let Err(status) = self.step().await {
                    return status;
                }
            }
        })
    }
}

fn request(kind: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// Follows a revision to its end.
async fn wait(client: &mut ManagementServiceClient<Channel>, revision: u64) -> v1::WaitResponse {
    let stream = client.wait(v1::WaitRequest { revision }).await.unwrap();
    let mut stream = stream.into_inner();
    let mut last = None;
    while let Some(message) = timeout(PATIENCE, stream.message()).await.unwrap().unwrap() {
        last = Some(message);
    }
    last.unwrap()
}

/// Waits until a proxy is known to be connected.
async fn until_connected(client: &mut ManagementServiceClient<Channel>, id: &str) {
    until(client, id, |proxy| proxy.connected).await;
}

/// Waits until a proxy is known as the condition says.
async fn until(
    client: &mut ManagementServiceClient<Channel>,
    id: &str,
    condition: impl Fn(&v1::ProxyStatus) -> bool,
) {
    let poll = async {
        loop {
            let status = client.status(v1::StatusRequest {}).await.unwrap();
            let proxies = status.into_inner().proxies;
            if proxies
                .iter()
                .any(|proxy| proxy.id == id && condition(proxy))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap();
}
