//! `ListEndpoints`: asks every connected proxy.

use evenkeel_shared::proto::v1;
use tonic::Status;

use super::service::Management;
use crate::access::Caller;
use crate::store::{ConfigStore, ResourceKey};

impl<S: ConfigStore> Management<S> {
    pub(super) async fn ask_endpoints(
        &self,
        caller: &Caller,
        request: v1::ListEndpointsRequest,
    ) -> Result<v1::ListEndpointsResponse, Status> {
        let key = ResourceKey::new(v1::Kind::Cluster, request.cluster);
        self.gate
            .permit(caller, "endpoints", v1::Role::Read, &key)?;
        if !self.configuration.head().state.contains_key(&key) {
            return Err(Status::not_found(format!("there is no {key}")));
        }
        let proxies = self.nodes.connected();
        let (proxies, silent) = self.fleet.endpoints(&proxies, &key.name).await;
        Ok(v1::ListEndpointsResponse { proxies, silent })
    }
}
