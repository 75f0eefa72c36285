//! `Status`.

use evenkeel_shared::proto::v1;

use super::service::Management;
use crate::access::Caller;
use crate::store::ConfigStore;
use crate::xds::clock::Clock;
use crate::xds::nodes::Node;
use crate::xds::subscription::Rejected;

impl<S: ConfigStore> Management<S> {
    pub(super) fn fleet_status(&self, caller: &Caller) -> v1::StatusResponse {
        let head = self.configuration.head();
        let revision = head.revision.revision;
        let nodes = self.nodes.list().into_iter();
        v1::StatusResponse {
            revision,
            revision_time: head.revision.time,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            control_plane_id: self.id.to_string(),
            proxies: nodes.map(|node| self.proxy(node, revision)).collect(),
            warnings: self.warnings(caller),
        }
    }

    /// How the process was started, and what the caller may know that somebody has
    /// to renew.
    fn warnings(&self, caller: &Caller) -> Vec<String> {
        let now = self.clock.wall_now().seconds;
        let mut warnings = self.warnings.clone();
        warnings.extend(self.configuration.expiring(now, caller));
        warnings
    }

    fn proxy(&self, node: Node, revision: u64) -> v1::ProxyStatus {
        let id = node.identity.id;
        let refused = node.progress.rejections.iter();
        v1::ProxyStatus {
            cluster: node.identity.cluster,
            agent: node.identity.agent,
            connected: node.connected,
            revision: node.progress.accepted,
            lag: revision.saturating_sub(node.progress.accepted),
            since: Some(self.clock.wall(node.since)),
            rejections: refused
                .map(|rejected| rejection(&id, rejected, &self.clock))
                .collect(),
            report: self.fleet.report(&id),
            address: node.address,
            identity: node.certificate,
            id,
        }
    }
}

/// A refusal, as it is shown.
pub(super) fn rejection(proxy: &str, rejected: &Rejected, clock: &Clock) -> v1::Rejection {
    v1::Rejection {
        proxy: proxy.to_owned(),
        r#type: rejected.kind.clone(),
        name: rejected.name.clone(),
        detail: rejected.detail.clone(),
        time: Some(clock.wall(rejected.at)),
        revision: rejected.revision,
    }
}
