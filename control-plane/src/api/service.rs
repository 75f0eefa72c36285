//! Puts the verbs together into the gRPC service.

use std::pin::Pin;
use std::sync::Arc;

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::management_service_server::{
    ManagementService, ManagementServiceServer,
};
use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::committer::Configuration;
use super::{read, wait};
use crate::access::{Caller, Gate};
use crate::fleet::Fleet;
use crate::store::ConfigStore;
use crate::xds::clock::Clock;
use crate::xds::nodes::Nodes;

/// The largest request, in bytes.
const REQUEST_LIMIT: usize = 64 << 20;

/// The management API.
#[derive(Debug)]
pub struct Management<S> {
    /// The configuration and the way to change it.
    pub configuration: Configuration,
    /// Where revisions are kept.
    pub store: Arc<S>,
    /// The register of proxies.
    pub nodes: Arc<Nodes>,
    /// The lines to proxies.
    pub fleet: Arc<Fleet>,
    /// The time.
    pub clock: Clock,
    /// This control plane, as proxies are told.
    pub id: Arc<str>,
    /// Ends streams.
    pub shutdown: CancellationToken,
    /// Says who calls, and what the caller may do.
    pub gate: Gate,
    /// What is insecure about how the process was started.
    pub warnings: Vec<String>,
}

impl<S: ConfigStore + std::fmt::Debug> Management<S> {
    /// The service behind its gate, ready to be mounted.
    pub fn server(self) -> InterceptedService<ManagementServiceServer<Self>, Gate> {
        let gate = self.gate.clone();
        let server = ManagementServiceServer::new(self).max_decoding_message_size(REQUEST_LIMIT);
        InterceptedService::new(server, gate)
    }
}

#[tonic::async_trait]
impl<S: ConfigStore + std::fmt::Debug> ManagementService for Management<S> {
    type WaitStream = Pin<Box<dyn Stream<Item = Result<v1::WaitResponse, Status>> + Send>>;

    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::ApplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let response = self.apply_resources(request.into_inner(), caller).await?;
        Ok(Response::new(response))
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let caller = Caller::of(&request)?;
        let key = read::key(request.into_inner().id.as_ref())?;
        self.gate.permit(&caller, "get", v1::Role::Read, &key)?;
        let head = self.configuration.head();
        read::get(&head, &key).map(Response::new)
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let caller = Caller::of(&request)?;
        let head = self.configuration.head();
        let response = read::list(&head, &caller, request.into_inner());
        Ok(Response::new(response))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let response = self.describe_resource(&caller, request).await?;
        Ok(Response::new(response))
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let response = self.list_revisions(&caller, request).await?;
        Ok(Response::new(response))
    }

    async fn rollback(
        &self,
        request: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let response = self.go_back(request.into_inner(), caller).await?;
        Ok(Response::new(response))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let caller = Caller::of(&request)?;
        self.gate
            .permit_somewhere(&caller, "status", v1::Role::Read)?;
        Ok(Response::new(self.fleet_status(&caller)))
    }

    async fn wait(
        &self,
        request: Request<v1::WaitRequest>,
    ) -> Result<Response<Self::WaitStream>, Status> {
        let caller = Caller::of(&request)?;
        self.gate
            .permit_somewhere(&caller, "wait", v1::Role::Read)?;
        let current = self.configuration.head().revision.revision;
        let revision = match request.into_inner().revision {
            0 => current,
            asked if asked > current => {
                let text =
                    format!("there is no revision {asked} yet, the present one is {current}");
                return Err(Status::not_found(text));
            }
            asked => asked,
        };
        let (nodes, clock) = (Arc::clone(&self.nodes), self.clock);
        let stream = wait::follow(caller, nodes, revision, clock, self.shutdown.clone());
        Ok(Response::new(Box::pin(stream)))
    }

    async fn list_endpoints(
        &self,
        request: Request<v1::ListEndpointsRequest>,
    ) -> Result<Response<v1::ListEndpointsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let response = self.ask_endpoints(&caller, request).await?;
        Ok(Response::new(response))
    }
}
