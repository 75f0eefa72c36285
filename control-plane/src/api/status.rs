//! `Status`.

use evenkeel_shared::proto::v1;

use super::service::Management;
use crate::access::Caller;
use crate::store::{ConfigStore, ResourceKey};
use crate::xds::clock::Clock;
use crate::xds::nodes::Node;
use crate::xds::subscription::Rejected;

/// Stands in place of what the caller may not read.
pub(super) const NOT_SHOWN: &str = "(not shown)";

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
            proxies: nodes
                .map(|node| self.proxy(caller, node, revision))
                .collect(),
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

    fn proxy(&self, caller: &Caller, node: Node, revision: u64) -> v1::ProxyStatus {
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
                .map(|rejected| seen_rejection(caller, &id, rejected, &self.clock))
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

/// A refusal, as it is shown to a caller: what proxies say of a resource tells
/// what is in it.
pub(super) fn seen_rejection(
    caller: &Caller,
    proxy: &str,
    rejected: &Rejected,
    clock: &Clock,
) -> v1::Rejection {
    let shown = rejection(proxy, rejected, clock);
    let is_seen = match concerned(&rejected.kind, &rejected.name) {
        Some(key) => caller.may(v1::Role::Read, &key),
        None => caller.sees_all(),
    };
    if is_seen {
        return shown;
    }
    v1::Rejection {
        name: NOT_SHOWN.to_owned(),
        detail: NOT_SHOWN.to_owned(),
        ..shown
    }
}

/// The resource that was compiled to what a proxy calls by this type and name.
pub(super) fn concerned(kind: &str, name: &str) -> Option<ResourceKey> {
    let (kind, name) = match kind {
        "Listener" | "RouteConfiguration" => (v1::Kind::Listener, name),
        "Cluster" => (v1::Kind::Cluster, name),
        "ClusterLoadAssignment" => match name.strip_prefix("static/") {
            Some(cluster) => (v1::Kind::Cluster, cluster),
            None => (v1::Kind::Endpoints, name),
        },
        "Secret" => (v1::Kind::Secret, name),
        _ => return None,
    };
    (!name.is_empty()).then(|| ResourceKey::new(kind, name))
}
